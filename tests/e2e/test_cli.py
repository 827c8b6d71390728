"""The command line, as people and scripts use it: JSON on stdout, exit codes, places of mistakes."""

import json
import shutil
from pathlib import Path

import pytest

from tests.given import table_text

POLICY = table_text("given/e2e-cli-policy.yaml")


@pytest.fixture
def folder(tmp_path: Path, prepared_dir: Path) -> Path:
    """An empty folder where the encoder is prepared already."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "encoders").symlink_to(prepared_dir / "encoders")
    return tmp_path


def test_help_names_every_command(run_offramp, folder: Path) -> None:
    done = run_offramp("--help", cwd=folder)
    assert done.returncode == 0
    for command in ("init", "check", "train", "eval", "explain", "classify", "serve", "report", "doctor", "models"):
        assert command in done.stdout


def test_train_classify_eval_rollback(run_offramp, folder: Path) -> None:
    policy = folder / "tiny.yaml"
    policy.write_text(POLICY.format(more="other: anything else\n"))
    (outcome,) = json.loads(run_offramp("train", "tiny.yaml", "--json", cwd=folder).stdout)
    assert outcome["accepted"]
    weights = Path(folder, outcome["folder"], "head.safetensors").read_bytes()
    (again,) = json.loads(run_offramp("train", "tiny.yaml", "--json", cwd=folder).stdout)
    assert Path(folder, again["folder"], "head.safetensors").read_bytes() == weights
    report = Path(folder, again["folder"], "report.html").read_text()
    assert "<svg" in report

    verdicts = json.loads(run_offramp("classify", "tiny", "hi", "where is my refund", "--json", cwd=folder).stdout)
    assert [verdict["label"] for verdict in verdicts] == ["greeting", "refund"]
    assert set(verdicts[0]) >= {"confidence", "scores", "abstained", "reason", "novelty"}

    rows = folder / "rows.jsonl"
    rows.write_text('{"text": "good morning", "label": "greeting"}\n{"text": "my refund please", "label": "refund"}\n')
    measured = json.loads(run_offramp("eval", "tiny", "rows.jsonl", "--json", cwd=folder).stdout)
    assert measured["rows"] == 2
    done = run_offramp("eval", "tiny", "rows.jsonl", "--html", "page.html", "--fail-under", "macro_f1=0", cwd=folder)
    assert done.returncode == 0
    assert json.loads((folder / "page.json").read_text("utf-8"))["confusion"] == measured["confusion"]
    assert 'href="#cell-0-0"' in (folder / "page.html").read_text("utf-8")
    unknown = run_offramp("eval", "tiny", "rows.jsonl", "--fail-over", "ecee=0.5", cwd=folder)
    assert unknown.returncode == 2
    assert 'did you mean "ece"?' in unknown.stderr
    (folder / "one.jsonl").write_text('{"text": "my refund please", "label": "refund"}\n')
    done = run_offramp("eval", "tiny", "one.jsonl", "--html", "one.html", "--fail-under", "greeting.f1=0.5", cwd=folder)
    assert done.returncode == 3
    assert "greeting.f1 could not be measured" in done.stderr
    assert (folder / "one.html").exists()
    wrong = folder / "wrong.jsonl"
    wrong.write_text('{"text": "good evening", "label": "refund"}\n{"text": "Hello!", "label": "greeting"}\n')
    done = run_offramp("eval", "tiny", "wrong.jsonl", "--fail-under", "0.5", cwd=folder)
    assert done.returncode == 3
    assert "accuracy is 0, under 0.5" in done.stderr
    assert "trained on: Hello!" in done.stdout
    bad = folder / "bad.jsonl"
    bad.write_text('{"text": "hello", "label": "nothing"}\n{"text": 3}\n')
    done = run_offramp("eval", "tiny", "bad.jsonl", cwd=folder)
    assert done.returncode != 0
    assert "bad.jsonl:1" in done.stderr
    bad.write_text("")
    done = run_offramp("eval", "tiny", "bad.jsonl", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "bad.jsonl: holds no row" in done.stderr


def test_explain_and_report(run_offramp, workspace: Path, tmp_path: Path) -> None:
    told = json.loads(run_offramp("explain", "Hello there!", "--json", cwd=workspace).stdout)
    assert (told["decision"], told["by_rule"], told["label"]) == ("answer", "intents", "greeting")
    assert [rule["rule"] for rule in told["rules"]] == ["safety", "intents"]
    assert told["rules"][0]["reads"] == ["Hello there!"]
    assert "other" not in told["rules"][0]["scores"]
    assert sum(told["rules"][1]["scores"].values()) == pytest.approx(1, abs=0.001)
    people = run_offramp("explain", "Hello there!", cwd=workspace)
    assert "decision: answer by rule intents for greeting" in people.stdout
    missing = run_offramp("report", "--ledger", str(tmp_path / "none.db"), cwd=workspace)
    assert missing.returncode == 5
    assert "there is no ledger" in missing.stderr


def test_doctor_finds_a_healthy_set_up_and_a_broken_one(run_offramp, workspace: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(workspace, copy, symlinks=True, ignore=shutil.ignore_patterns("offramp.db*", "*.log"))
    gateway = copy / "config" / "gateway.yaml"
    gateway.write_text(gateway.read_text().replace("listen: 127.0.0.1:8080", "listen: 127.0.0.1:0"))
    done = run_offramp("doctor", "--json", cwd=copy)
    results = {result["check"]: result for result in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert "int8 agrees" in results["encoder"]["detail"]
    shutil.rmtree(copy / "models" / "shop-intents")
    done = run_offramp("doctor", "--json", cwd=copy)
    assert done.returncode == 5
    results = {result["check"]: result for result in json.loads(done.stdout)}
    assert not results["classifiers"]["ok"]


def test_demo_shows_the_whole_road(run_offramp, workspace: Path) -> None:
    done = run_offramp("demo", "--once", "--port", "0", "--json", cwd=workspace)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    decisions = {message["decision"] for message in told["messages"]}
    assert decisions == {"answer", "block", "forward"}
    assert told["savings"]["total"]["saved_calls"] >= 3
    assert told["savings"]["total"]["notional_calls"] == told["savings"]["total"]["calls"]
    assert told["metrics"].endswith("/metrics")
