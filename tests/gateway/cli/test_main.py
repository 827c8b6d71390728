"""The command line as a process whose output goes where not every text can; and its smallest commands."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import warnings
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import huggingface_hub
import pytest
import yaml

from classifiers.errors import ArtifactError
from gateway import __version__
from gateway.cli.output import Exit
from gateway.ledger.store import LedgerError
from tests.given import table_text


def test_a_reader_that_closes_early_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("version: 1\nupstreams: {one: {kind: echo}}\nmodels: {dear: one}\n")
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "gateway", "check", "gateway.yaml", "--json"]
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(command, cwd=tmp_path, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (Exit.CLOSED, b"")


def test_text_that_the_output_cannot_hold_is_escaped(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway", "models", "list", "--models", "東"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert rb"\u6771" in done.stdout


def test_the_version_is_printed_for_people_and_as_data(offramp: Callable[..., Any]) -> None:
    for option in ("version", "--version"):
        assert offramp(option).stdout == f"offramp {__version__}\n"
    assert json.loads(offramp("version", "--json").stdout)["offramp"] == __version__


def test_init_writes_by_the_next_try_what_it_could_not_write(tmp_path: Path, offramp: Callable[..., Any]) -> None:
    config = tmp_path / "my shop" / "config"
    config.mkdir(parents=True)
    (config / "policies").write_text("in the way")
    assert offramp("init", config.parent).exit_code != Exit.DONE
    assert not (config / "gateway.yaml").exists()
    (config / "policies").unlink()
    done = offramp("init", config.parent, "--json")
    train, serve = map(shlex.split, json.loads(done.stdout)["next"])
    assert all(Path(name).is_file() for name in (*train[2:], serve[2]))


def test_a_version_in_use_that_is_not_there_is_marked(
    publish: Callable[[datetime], str], models_dir: Path, offramp: Callable[..., Any]
) -> None:
    old, gone = (publish(datetime(2026, 1, day, tzinfo=UTC)) for day in (1, 2))
    home = next(models_dir.glob(f"*/{gone}")).parent
    shutil.rmtree(home / gone)

    def run(*command: str) -> str:
        done = offramp(*command, "--models", models_dir)
        if done.exception is not None:
            raise done.exception
        return done.stdout

    assert json.loads(run("models", "list", "--json")) == [
        {"name": home.name, "version": old, "current": False, "there": True},
        {"name": home.name, "version": gone, "current": True, "there": False},
    ]
    assert "yes, but gone: roll back, or train" in run("models", "list")
    with pytest.raises(ArtifactError, match="which is not there; roll back"):
        run("classify", home.name, "hello")
    assert json.loads(run("models", "rollback", home.name, "--json")) == {"name": home.name, "version": old}
    assert json.loads(run("models", "list", "--json")) == [
        {"name": home.name, "version": old, "current": True, "there": True}
    ]
    assert run("classify", home.name, "hello")


def test_an_exported_classifier_is_imported_elsewhere(
    publish: Callable[[datetime], str], models_dir: Path, tmp_path: Path, offramp: Callable[..., Any]
) -> None:
    version = publish(datetime(2026, 1, 1, tzinfo=UTC))
    name, file, there = next(models_dir.glob(f"*/{version}")).parent.name, tmp_path / "made.zip", tmp_path / "there"
    made = json.loads(offramp("models", "export", name, "--to", file, "--models", models_dir, "--json").stdout)
    assert (made["version"], made["file"]) == (version, str(file))
    again = offramp("models", "export", name, "--to", tmp_path / "again.zip", "--models", models_dir, "--json")
    assert json.loads(again.stdout)["sha256"] == made["sha256"]
    shutil.copytree(models_dir / "encoders", there / "encoders", dirs_exist_ok=True)
    refused = offramp("models", "import", file, "--sha256", "0" * 64, "--models", there)
    assert refused.exit_code == 2
    assert "nothing was imported" in refused.output
    done = offramp("models", "import", file, "--sha256", made["sha256"], "--models", there)
    assert f"{name} is at {version} now" in done.stdout
    assert (
        offramp("classify", name, "hello", "--models", there).stdout
        == offramp("classify", name, "hello", "--models", models_dir).stdout
    )


@pytest.fixture
def exported(
    publish: Callable[[datetime], str], models_dir: Path, tmp_path: Path, offramp: Callable[..., Any]
) -> dict[str, str]:
    """A classifier as `offramp models export` says that it wrote it: its name, version, file and sha256."""
    version = publish(datetime(2026, 1, 1, tzinfo=UTC))
    name, folder = next(models_dir.glob(f"*/{version}")).parent.name, tmp_path / "served"
    folder.mkdir()
    export = ("models", "export", name, "--to", folder / "made.zip", "--models", models_dir, "--json")
    return dict(json.loads(offramp(*export).stdout))


def test_an_exported_classifier_comes_from_an_address_or_the_hub(
    exported: dict[str, str],
    models_dir: Path,
    tmp_path: Path,
    offramp: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, version, digest = exported["name"], exported["version"], exported["sha256"]
    folder, there = Path(exported["file"]).parent, tmp_path / "there"
    shutil.copytree(models_dir / "encoders", there / "encoders")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        unsure = offramp("models", "import", f"{address}/made.zip", "--models", there)
        assert (unsure.exit_code, "give --sha256" in unsure.stderr) == (Exit.USAGE, True)
        gone = offramp("models", "import", f"{address}/none.zip", "--sha256", digest, "--models", there)
        assert (gone.exit_code, "none.zip could not be fetched: <HTTPError 404" in gone.stderr) == (Exit.UPSTREAM, True)
        done = offramp("models", "import", f"{address}/made.zip", "--sha256", digest, "--models", there)
        server.shutdown()
    assert f"{name} is at {version} now" in done.stdout
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda **wanted: asked.append(wanted) or str(folder))
    assert f"{name} is at {version} now" in offramp("models", "import", "hub:org/name", "--models", there).stdout
    assert asked == [{"repo_id": "org/name", "allow_patterns": ["*.zip"]}]
    with monkeypatch.context() as patch:
        patch.setattr(huggingface_hub, "snapshot_download", Mock(side_effect=OSError("no route to host")))
        unreached = offramp("models", "import", "hub:org/name", "--models", there).stderr
    assert "Without the network, take a file that another machine has fetched: offramp models import" in unreached
    (folder / "again.zip").write_bytes(b"")
    two = offramp("models", "import", "hub:org/name", "--models", there)
    assert (two.exit_code, "holds 2 zip files, not one" in two.stderr) == (Exit.USAGE, True)


def test_init_puts_a_larger_guard_behind_the_starters(
    exported: dict[str, str],
    models_dir: Path,
    tmp_path: Path,
    offramp: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, version, file, there = exported["name"], exported["version"], exported["file"], tmp_path / "there"
    shutil.copytree(models_dir / "encoders", there / "models" / "encoders")
    for alone in (("--guard", "large"), ("--from", file), ("--guard", "large", "--from", file, "--template", "proxy")):
        refused = offramp("init", there, *alone)
        assert (refused.exit_code, "--guard large" in refused.stderr) == (Exit.USAGE, True)
    refused = offramp("init", there, "--guard", "large", "--from", file)
    assert f"{name} is no guard on an encoder of its own" in str(refused.exception)
    assert not (there / "config").exists()
    assert not (there / "models" / name).exists()

    monkeypatch.setattr("classifiers.encoder.guard.as_guard", lambda held: held)
    done = json.loads(offramp("init", there, "--guard", "large", "--from", file, "--json").stdout)
    assert done["guard"]["version"] == version
    policy = yaml.safe_load((there / "config" / "policies" / "support-safety.yaml").read_text())
    assert (policy["builds_on"], policy["guard"]) == (
        "harm",
        {"model": f"trained:{name}", "labels": {"jailbreak": None}},
    )
    assert offramp("check", there / "config" / "gateway.yaml").exit_code == 0
    # what was cut off is gone on with, and a policy without the guard is no ground for it
    gateway = there / "config" / "gateway.yaml"
    gateway.unlink()
    assert offramp("init", there, "--guard", "large", "--from", file).exit_code == Exit.DONE
    gateway.unlink()
    (there / "config" / "policies" / "support-safety.yaml").write_text("name: support-safety")
    shutil.rmtree(there / "models" / name)
    again = offramp("init", there, "--guard", "large", "--from", file)
    assert (again.exit_code, "support-safety.yaml is there already" in again.stderr) == (Exit.USAGE, True)
    # what says that nothing was written has put nothing in use either
    assert not (there / "models" / name).exists()


@pytest.mark.parametrize("change", ["text", "damaged", "tampered", "outside"])
def test_a_file_that_is_no_export_is_refused(
    change: str, publish: Callable[[datetime], str], models_dir: Path, tmp_path: Path, offramp: Callable[..., Any]
) -> None:
    version = publish(datetime(2026, 1, 1, tzinfo=UTC))
    folder, file, there = next(models_dir.glob(f"*/{version}")), tmp_path / "made.zip", tmp_path / "there"
    if change == "text":
        file.write_text("no archive")
    elif change == "damaged":
        offramp("models", "export", folder.parent.name, "--to", file, "--models", models_dir)
        whole = bytearray(file.read_bytes())
        whole[200:400] = bytes(200)
        file.write_bytes(whole)
    else:
        offramp("models", "export", folder.parent.name, "--to", file, "--models", models_dir)
        with zipfile.ZipFile(file, "a") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name that is there twice
            name = f"{version}/report.json" if change == "tampered" else "../../escaped.txt"
            archive.writestr(name, "{}")
    refused = offramp("models", "import", file, "--models", there)
    assert isinstance(refused.exception, ArtifactError)
    message = {
        "text": "no file that",
        "damaged": "no file that",
        "tampered": f"{file}: {version}/report.json has been changed since it was trained; train or import",
        "outside": "holds no exported classifier",
    }
    assert message[change] in str(refused.exception)
    assert str(there) not in str(refused.exception)
    assert not [path for path in there.iterdir() if path.name != "encoders"]
    assert not list(tmp_path.rglob("escaped.txt"))


@pytest.mark.parametrize(
    ("name", "message"),
    [("folder", "folder is a folder; a ledger is a file"), ("none.db", "none.db yet; it is made by the first")],
)
@pytest.mark.parametrize("flag", [True, False])
def test_report_says_what_is_no_ledger(
    name: str, message: str, flag: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offramp: Callable[..., Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("gateway.yaml").write_text(
        f"version: 1\nledger: {name}\nupstreams: {{one: {{kind: echo}}}}\nmodels: {{m: one}}\n"
    )
    done = offramp("report", *(["--ledger", name] if flag else ["gateway.yaml"]))
    assert isinstance(done.exception, LedgerError)
    assert message in str(done.exception)


@pytest.mark.parametrize(("template", "policies"), [("support", 2), ("guard", 1), ("proxy", 0)])
def test_init_writes_what_check_accepts(
    template: str, policies: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offramp: Callable[..., Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = json.loads(offramp("init", "--template", template, "--json").stdout)
    advised = [shlex.split(step)[2:] for step in done["next"] if step.startswith("offramp train")]
    assert [len(names) for names in advised] == ([policies] if policies else [])
    assert {name for names in advised for name in names} <= set(done["written"])
    assert offramp("check").exit_code == 0
    again = offramp("init")
    assert again.exit_code == Exit.USAGE
    assert "is there already" in again.stderr


TINY = table_text("given/gateway-cli-main-tiny.yaml")


def test_a_policy_that_misses_its_own_test_is_not_published(
    models_dir: Path, tmp_path: Path, offramp: Callable[..., Any]
) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    rows = (f'{{"text": "good day", "label": "{label}"}}\n' for label in ("greeting", "refund"))
    (tmp_path / "both.jsonl").write_text("".join(rows))
    done = offramp("train", tmp_path / "tiny.yaml", "--data", tmp_path / "both.jsonl", "--models", models_dir)
    assert done.exit_code == Exit.GOAL_MISSED
    assert "NOT published" in done.stdout
    assert "dropped 2 rows for several labels of one text; the report lists them" in done.stdout
    assert re.search(r"held out: written text, \d+ rows\n  accuracy: \S+ % \(95 %: \S+ – \S+ %\)\n", done.stdout)
    assert json.loads(offramp("models", "list", "--models", models_dir, "--json").stdout) == []


def test_patterns_show_what_was_found_and_where(tmp_path: Path, offramp: Callable[..., Any]) -> None:
    policy, gateway, models = tmp_path / "data.yaml", tmp_path / "gateway.yaml", tmp_path / "models"
    policy.write_text(
        "version: 1\nname: data\nkind: safety\nabout: messages\nlabels: {contact: {means: x, patterns: email}}\n"
    )
    assert "told by patterns: contact" in offramp("train", policy, "--models", models).stdout
    done = offramp("classify", "data", "é joe@example.com", "--models", models, "--json")
    (verdict,) = json.loads(done.stdout)
    assert (verdict["labels"], verdict["confidence"]) == (["contact"], 1.0)
    assert verdict["spans"] == [{"label": "contact", "kind": "email", "start": 2, "end": 17}]
    gateway.write_text(
        f"version: 1\nmodels_dir: {models}\nupstreams: {{demo: {{kind: echo}}}}\nmodels: {{other: demo}}\n"
        "rules: [{name: r, classifier: data, then: {contact: block}}]\n"
    )
    people = offramp("explain", "write to joe@example.com", "--gateway", gateway)
    assert "found: email at characters 9 to 24 of text 1, which is contact" in people.stdout
    assert "decision: block by rule r for contact" in people.stdout
