"""`offramp check` on a gateway's file and the policies beside it."""

import json
import random
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.contracts.contract import Terms
from gateway.contracts.owner import Owner
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore

GATEWAY = """\
version: 1
upstreams:
  demo:
    kind: echo
models: {m: demo}
rules:
  - name: hours
    classifier: shop
    then:
      hours: {answer: "9 to 18"}
"""
POLICY = """\
version: 1
name: shop
kind: intent
about: Messages to a shop.
labels:
  hours:
    means: asks when the shop is open
    examples: [are you open on Sunday]
other: anything else
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "gateway.yaml").write_text(GATEWAY)
    (tmp_path / "policies" / "shop.yaml").write_text(POLICY)
    return tmp_path


def checked(folder: Path, *files: str) -> tuple[int, dict]:
    done = CliRunner().invoke(app, ["check", *(str(folder / file) for file in files), "--json"], standalone_mode=False)
    return done.return_value or getattr(done.exception, "exit_code", 0), json.loads(done.stdout)


def test_all_is_well(folder: Path) -> None:
    code, told = checked(folder, "gateway.yaml", "policies/shop.yaml")
    assert (code, told["problems"], told["notes"]) == (0, [], [])


def test_a_rules_labels_are_held_against_the_policy(folder: Path) -> None:
    (folder / "policies/shop.yaml").write_text(POLICY.replace("  hours:", "  house:"))
    code, told = checked(folder, "gateway.yaml")
    assert code == 2
    assert "no such label" in told["problems"][0]["message"]


def test_a_classifier_that_nothing_names_is_a_problem(folder: Path) -> None:
    (folder / "policies/shop.yaml").write_text(POLICY.replace("name: shop", "name: shops"))
    code, told = checked(folder, "gateway.yaml", "policies/shop.yaml")
    assert code == 2
    [problem] = told["problems"]
    assert (problem["line"], problem["path"]) == (8, ["rules", 0, "classifier"])
    assert problem["message"] == (
        f"no policy is named shop, and no trained classifier in {folder}/models; "
        f'write {folder}/policies/shop.yaml, or name another; did you mean "shops"?'
    )


@pytest.mark.parametrize("policy", [POLICY.replace("kind:", "knid:"), "a: [", "- name: shop", "about: a shop"])
def test_a_policy_that_is_wrong_itself_is_no_problem_of_the_gateway(folder: Path, policy: str) -> None:
    (folder / "policies/shop.yaml").write_text(policy)
    code, told = checked(folder, "gateway.yaml")
    assert (code, told["problems"]) == (0, [])
    assert "the rule's labels were not checked" in told["notes"][0]
    _, told = checked(folder, "gateway.yaml", "policies/shop.yaml")
    assert {Path(problem["file"]).name for problem in told["problems"]} == {"shop.yaml"}


NOTED = GATEWAY + "content: {keep: 30d}\n"
WRONG = NOTED.replace("      hours: {answer", "      huors: {answer")


@pytest.mark.parametrize(
    ("gateway", "flags", "code", "summary"),
    [
        (GATEWAY, [], 0, "2 files, nothing wrong"),
        (GATEWAY, ["--strict"], 0, "2 files, nothing wrong"),
        (NOTED, [], 0, "2 files, nothing wrong, 1 note"),
        (NOTED, ["--strict"], 2, "2 files, 0 problems, 1 note"),
        (WRONG, [], 2, "2 files, 1 problem, 1 note"),
        (GATEWAY.replace("m: demo", "m: dmo, n: dmo"), ["--strict"], 2, "2 files, 2 problems"),
    ],
)
def test_a_line_counts_what_was_found(folder: Path, gateway: str, flags: list[str], code: int, summary: str) -> None:
    (folder / "gateway.yaml").write_text(gateway)
    files = [str(folder / name) for name in ("gateway.yaml", "policies/shop.yaml")]
    done = CliRunner().invoke(app, ["check", *files, *flags])
    assert done.exit_code == code
    said, other = (done.stderr, done.stdout) if code else (done.stdout, done.stderr)
    assert said.splitlines()[-1] == summary
    assert summary not in other


def test_what_an_upstream_needs_and_is_not_installed_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "gateway.yaml").write_text(GATEWAY.replace("kind: echo", "kind: litellm\n    provider: anthropic"))
    assert checked(folder, "gateway.yaml")[1]["notes"] == []
    monkeypatch.setitem(sys.modules, "litellm", None)
    code, told = checked(folder, "gateway.yaml")
    assert (code, told["problems"]) == (0, [])
    where = f"{folder}/gateway.yaml:4:5: upstreams.demo.kind: "
    lacking = "litellm is not installed; pip install 'offramp[providers]'; until then its calls fail"
    assert told["notes"] == [where + lacking]


def test_rows_and_prices_are_read_too(folder: Path) -> None:
    rows = ('{"text": "hi", "label": "hours"}', '{"text": "hi", "label": "huors"}', '{"txt": "hi"}')
    (folder / "policies/rows.jsonl").write_text("\n".join(rows))
    (folder / "policies/shop.yaml").write_text(POLICY + "data: rows.jsonl\nteacher: {file: rows.jsonl}\n")
    (folder / "gateway.yaml").write_text(GATEWAY + "prices: prices.yaml\n")
    (folder / "prices.yaml").write_text("models: {m: {input: 1, outptu: 2}}\n")
    code, told = checked(folder, "gateway.yaml", "policies/shop.yaml")
    assert code == 2
    said = [(Path(one["file"]).name, one["path"], one["message"]) for one in told["problems"]]
    assert ("prices.yaml", ["models", "m", "outptu"], 'no such key; did you mean "output"?') in said
    lines = f"{folder}/policies/rows.jsonl:"
    for key in ("data", "teacher"):
        meant = "did you mean 'hours'? where no label holds, write other"
        assert ("shop.yaml", [key], f"{lines}2: no label 'huors' in the policy shop; {meant}") in said
        assert ("shop.yaml", [key], f"{lines}3: text is missing or empty") in said


NOTES: list[tuple[str, str, str]] = [
    (
        "policies/shop.yaml",
        POLICY.replace("    examples: [are you open on Sunday]\n", ""),
        "labels.hours: has no examples",
    ),
    ("policies/shop.yaml", POLICY + "languages: [de, en-GB]\n", "languages: the encoder knows English, and de poorly"),
    ("policies/shop.yaml", POLICY + "languages: [en, deu]\n", "languages: the detector does not know deu"),
    ("policies/shop.yaml", POLICY + "languages: any\n", ""),
    ("policies/shop.yaml", POLICY + "languages: de\nencoder: hub:org/multilingual\n", ""),
    ("gateway.yaml", GATEWAY.replace("models: {m: demo}\n", ""), "models: names none that clients may ask for"),
    ("gateway.yaml", GATEWAY.replace("{m: demo}", "{other: deny}"), "models: names none that clients may ask for"),
    ("gateway.yaml", NOTED, "content.keep: nothing is kept without calls: true or a rule with retrain"),
    ("gateway.yaml", GATEWAY + "content: {keep: 30d, calls: true}\n", ""),
]


def test_what_serves_otherwise_than_was_meant_is_a_note(folder: Path) -> None:
    for name, text, note in NOTES:
        before = (folder / name).read_text()
        (folder / name).write_text(text)
        code, told = checked(folder, name)
        assert (code, told["problems"], bool(told["notes"])) == (0, [], bool(note)), text
        assert note in "".join(told["notes"])
        (folder / name).write_text(before)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            "cascade: {encoder: package:all-mpnet-base-v3}\n",
            "no trainable weights are known in a package 'all-mpnet",
        ),
        ("cascade: {encoder: folder:nowhere}\n", "encoder folder:nowhere: "),
        ("recipe: finetune\nencoder: folder:nowhere\n", "encoder folder:"),
        ("cascade: {encoder: package:all-mpnet-base-v2}\nencoder: ./served\n", "encoder folder:./served: "),
    ],
)
def test_an_encoder_that_training_would_stop_at_is_a_problem(folder: Path, more: str, told: str) -> None:
    policy = POLICY.replace("intent", "safety").replace("other: anything else\n", "") if "served" in more else POLICY
    (folder / "policies/shop.yaml").write_text(policy + more)
    (folder / "policies/served").mkdir()
    for name in ("model.onnx", "tokenizer.json"):
        (folder / "policies/served" / name).write_text("{}")
    code, found = checked(folder, "policies/shop.yaml")
    assert code == 2
    problem = found["problems"][0]
    assert problem["path"] == ["encoder" if "encoder: ./" in more or "finetune" in more else "cascade"]
    assert problem["message"].startswith(told)


def test_two_policies_of_one_name_are_a_problem(folder: Path) -> None:
    (folder / "policies/other.yaml").write_text(POLICY)
    code, told = checked(folder, "policies/other.yaml", "policies/shop.yaml")
    assert code == 2
    assert told["problems"][0]["message"] == f"shop is the name of {folder}/policies/other.yaml, too"


VERSION = "20260101-000000-00000000"
CONTRACT = """\
    contract: {max_disagreement: 5%}
    then:
      "*": {answer: label}
"""


@pytest.fixture
def bound(folder: Path) -> Path:
    """A gateway file with a contract, and the version in use of its classifier."""
    before, _, _ = GATEWAY.partition("    then:")
    (folder / "gateway.yaml").write_text(before + CONTRACT)
    version = folder / "models" / "shop" / VERSION
    version.mkdir(parents=True)
    (version / "manifest.json").write_text("{}")
    (version.parent / "current").write_text(VERSION)
    return folder


async def calls(folder: Path, count: int, *, hours: float, version: str = VERSION, sent_to: str = "demo/m") -> None:
    """Calls of the last hours that the model answers alike."""
    times = iter([time.time() - hours * 3600 * (1 - number / count) for number in range(count)])
    now = [next(times)]
    owner = Owner(ContractStore(folder / "offramp.db"), draw=random.Random(0).random, clock=lambda: now[0])
    scope = Scope(
        rule="hours",
        model="m",
        prompt="",
        labels=(),
        classifier="shop",
        version=version,
        terms="0.05 at 0.95",
        sent_to=sent_to,
    )
    for _ in range(count):
        flipped = owner.flip(scope, Terms(target=0.05, confidence=0.95), notice_s=7 * 86400)
        if not flipped.answers(0.9):
            await owner.learn(flipped, request_id="r", label="hours", confidence=0.9, result="agrees")
        now[0] = next(times, now[0])
    owner.close()


def said(folder: Path) -> str:
    done = CliRunner().invoke(app, ["check", str(folder / "gateway.yaml")])
    assert done.exit_code == 0
    return done.stdout


def test_without_a_call_it_says_what_a_certificate_takes(bound: Path) -> None:
    assert "about 85 if 0 % of them disagree" in said(bound)
    assert not (bound / "offramp.db").exists()
    _, told = checked(bound, "gateway.yaml")
    [contract] = told["contracts"]
    assert [one["rate"] for one in contract["certificate"]] == [0, 0.0125, 0.025]
    assert contract["phase"] is None


async def test_calls_of_days_tell_days(bound: Path) -> None:
    await calls(bound, 240, hours=48)
    told = said(bound)
    assert "shadow, about 120 calls a day" in told
    assert "0 of 40 calls" in told or "0 of 39 calls" in told
    assert "days" in told.partition("it never comes")[0]


async def test_before_an_attempt_it_says_when_one_may_begin(bound: Path) -> None:
    await calls(bound, 60, hours=48)
    assert "the next may begin in 140 calls" in said(bound)


async def test_a_live_one_tells_of_its_audits(bound: Path) -> None:
    await calls(bound, 400, hours=96)
    assert "certificate" not in said(bound)
    _, told = checked(bound, "gateway.yaml")
    [contract] = told["contracts"]
    assert contract["calls_a_day"] == pytest.approx(100, rel=0.2)
    assert contract["audits_a_day"] == pytest.approx(0.2 * contract["calls_a_day"])
    assert contract["alarm"]["median"] / contract["audits_a_day"] > 7


@pytest.mark.parametrize("other", [{"version": "20250101-000000-00000000"}, {"sent_to": "paid/m"}, {"sent_to": ""}])
async def test_calls_of_another_version_or_upstream_are_not_of_those_in_use(bound: Path, other: dict[str, str]) -> None:
    await calls(bound, 60, hours=48, **other)
    assert "no call under its contract yet" in said(bound)


def test_a_ledger_that_cannot_be_read_is_a_note(bound: Path) -> None:
    (bound / "offramp.db").write_bytes(b"no database, whatever it may be called" * 100)
    code, told = checked(bound, "gateway.yaml")
    assert (code, told["contracts"]) == (0, [])
    assert "cannot be told" in told["notes"][0]
