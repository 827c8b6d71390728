"""The command line, as people and scripts use it: JSON on stdout, exit codes, places of mistakes."""

import json
import re
import shutil
from pathlib import Path

import pytest

POLICY = """\
version: 1
name: tiny
kind: intent
about: messages to a shop
labels:
  greeting:
    means: says hello
    examples: [hello, hi there]
  refund:
    means: asks about a refund
    examples: [where is my refund, I want my money back]
{more}"""


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


@pytest.mark.parametrize(("template", "policies"), [("support", 2), ("guard", 2), ("proxy", 0)])
def test_init_writes_what_check_accepts(run_offramp, folder: Path, template: str, policies: int) -> None:
    done = run_offramp("init", "--template", template, "--json", cwd=folder)
    told = json.loads(done.stdout)
    written = told["written"]
    advised = [step for step in told["next"] if step.startswith("offramp train")]
    named = advised[0].split()[2:] if advised else []
    assert len(named) == policies
    assert set(named) <= set(written)
    assert run_offramp("check", cwd=folder).returncode == 0
    again = run_offramp("init", cwd=folder)
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_check_lists_all_mistakes_with_their_places(run_offramp, folder: Path) -> None:
    run_offramp("init", cwd=folder)
    gateway = folder / "config" / "gateway.yaml"
    text = gateway.read_text().replace("when_broken: block", "when_broken: blok").replace("greeting:", "greting:")
    gateway.write_text(text)
    policy = folder / "config" / "policies" / "bad.yaml"
    policy.write_text("version: 1\nname: bad\nkind: intnt\nabout: x\nlabels:\n  a:\n    means: b\n    exmples: [c]\n")
    done = run_offramp("check", "config/gateway.yaml", str(policy), "--json", cwd=folder)
    assert done.returncode == 2
    problems = json.loads(done.stdout)["problems"]
    assert {problem["file"] for problem in problems} == {"config/gateway.yaml", str(policy)}
    found = [problem for problem in problems if problem["message"].startswith("no such key")]
    assert found[0]["line"] == 8
    assert found[0]["column"] == 5
    assert 'did you mean "examples"' in found[0]["message"]
    plain = run_offramp("check", str(policy), cwd=folder)
    assert f"{policy}:8:5: labels.a.exmples: no such key" in plain.stderr


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


def test_a_policy_that_misses_its_own_test_is_not_published(run_offramp, folder: Path) -> None:
    policy = folder / "tiny.yaml"
    policy.write_text(POLICY.format(more="tests:\n  - {text: hello, expect: refund}\n"))
    (folder / "both.jsonl").write_text(
        "".join(f'{{"text": "good day", "label": "{label}"}}\n' for label in ("greeting", "refund"))
    )
    done = run_offramp("train", "tiny.yaml", "--data", "both.jsonl", cwd=folder)
    assert done.returncode == 3
    assert "NOT published" in done.stdout
    assert "dropped 2 rows for several labels of one text; the report lists them" in done.stdout
    assert re.search(r"held out: written text, \d+ rows\n  accuracy: \S+ % \(95 %: \S+ – \S+ %\)\n", done.stdout)
    assert json.loads(run_offramp("models", "list", "--json", cwd=folder).stdout) == []


def test_labels_told_by_patterns_show_what_was_found_and_where(run_offramp, tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text(
        "version: 1\nname: data\nkind: safety\nabout: messages\nlabels: {contact: {means: x, patterns: email}}\n"
    )
    done = run_offramp("train", "data.yaml", cwd=tmp_path)
    assert "told by patterns: contact" in done.stdout
    (told,) = json.loads(run_offramp("classify", "data", "é joe@example.com", "--json", cwd=tmp_path).stdout)
    assert (told["labels"], told["confidence"]) == (["contact"], 1.0)
    assert told["spans"] == [{"label": "contact", "kind": "email", "start": 2, "end": 17}]
    (tmp_path / "gateway.yaml").write_text(
        "version: 1\nupstreams: {demo: {kind: echo}}\nmodels: {other: demo}\n"
        "rules: [{name: r, classifier: data, then: {contact: block}}]\n"
    )
    people = run_offramp("explain", "write to joe@example.com", "--gateway", "gateway.yaml", cwd=tmp_path)
    assert "found: email at characters 9 to 24 of text 1, which is contact" in people.stdout
    assert "decision: block by rule r for contact" in people.stdout


def test_explain_and_report(run_offramp, workspace: Path, tmp_path: Path) -> None:
    told = json.loads(run_offramp("explain", "Hello there!", "--json", cwd=workspace).stdout)
    assert (told["decision"], told["by_rule"], told["label"]) == ("answer", "intents", "greeting")
    assert [rule["rule"] for rule in told["rules"]] == ["safety", "intents"]
    assert told["rules"][0]["reads"] == ["Hello there!"]
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
    assert told["savings"]["saved_calls"] >= 3
    assert told["savings"]["notional_calls"] == told["savings"]["calls"]
    assert told["metrics"].endswith("/metrics")
