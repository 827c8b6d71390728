import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, comments dropped and continued lines joined."""
    lines = [line for line in (ROOT / "deploy" / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


ALL = instructions()
STAGES = [at for at, (word, _) in enumerate(ALL) if word == "FROM"]
LAST = ALL[STAGES[-1] :]


def one(word: str) -> str:
    (found,) = [rest for name, rest in LAST if name == word]
    return found


def copied() -> list[str]:
    found = [shlex.split(rest) for word, rest in ALL if word == "COPY" and "--from=" not in rest]
    return [source for words in found for source in words[:-1] if not source.startswith("--")]


def test_what_is_copied_exists_is_let_through_and_builds_the_wheel() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert sorted(line[1:] for line in lines if line.startswith("!")) == sorted(set(copied()))
    assert all((ROOT / source).exists() for source in copied())
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], "config", "hatch_build.py", PROJECT["project"]["readme"], "pyproject.toml"}
    assert needed | set(PROJECT["project"]["license-files"]) <= set(copied())


def test_packages_come_from_the_lock() -> None:
    runs = " && ".join(rest for word, rest in ALL if word == "RUN")
    installs = [step for step in runs.split(" && ") if " install " in step]
    assert "--require-hashes --requirement requirements/serve.lock" in installs[0]
    assert all(re.search(r"--require-hashes|--no-deps|--constraint /tmp/constraints\.txt", step) for step in installs)


def test_base_images_are_pinned_and_supported() -> None:
    low = PROJECT["project"]["requires-python"].removeprefix(">=")
    for rest in [rest for word, rest in ALL if word == "FROM"]:
        image = rest.partition(" AS ")[0]
        if ":" in image:
            version = re.fullmatch(r"python:(\d+\.\d+)-slim", image)
            assert version, image
            assert tuple(map(int, version[1].split("."))) >= tuple(map(int, low.split(".")))


def test_the_last_stage_is_small_and_runs_as_nobody_special() -> None:
    user = one("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    order = [word for word, _ in LAST]
    assert order.index("USER") > max(at for at, word in enumerate(order) if word in ("RUN", "COPY"))
    commands = " ".join(rest for word, rest in LAST if word == "RUN")
    assert not re.search(r"\b(pip|apt-get|gcc|curl|wget)\b", commands)


def test_it_starts_the_command_that_the_wheel_brings() -> None:
    (program,) = json.loads(one("ENTRYPOINT"))
    assert program in PROJECT["project"]["scripts"]
    assert json.loads(one("CMD")) == ["serve", "/etc/offramp/config/gateway.yaml", "--host", "0.0.0.0"]
    assert one("EXPOSE") == "8080"
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "--host" in done.stdout


def test_volumes_hold_what_the_configuration_names() -> None:
    """models_dir and ledger of a starter file, relative to /etc/offramp/config, end in the volumes through links."""
    made = " ".join(rest for _, rest in ALL)
    for volume in json.loads(one("VOLUME")):
        assert re.search(rf"ln -s {volume}(/\S+)? /etc/offramp/\S+", made), volume
    for file in ["gateway.yaml", *(f"templates/{path.name}" for path in (ROOT / "config" / "templates").iterdir())]:
        text = (ROOT / "config" / file).read_text()
        assert re.search(r"^models_dir: \.\./models\b", text, re.MULTILINE), file
        assert re.search(r"^ledger: \.\./offramp\.db\b", text, re.MULTILINE), file
        assert re.search(r'^access_key: "\$\{OFFRAMP_KEY:-\}"', text, re.MULTILINE), file


def test_the_health_check_tells_up_from_down(with_rules: str) -> None:
    command = json.loads(one("HEALTHCHECK").partition("CMD ")[2])
    assert command[0] == "python"
    up, down = (
        subprocess.run(
            [sys.executable, *(part.replace("127.0.0.1:8080", address) for part in command[1:])],
            capture_output=True,
            check=False,
            timeout=60,
        ).returncode
        for address in (with_rules, "127.0.0.1:9")
    )
    assert (up, down) == (0, 1)
