"""`offramp check` on a gateway's file and the policies beside it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.given import table_text

GATEWAY = table_text("given/gateway-cli-check-gateway.yaml")
POLICY = table_text("given/gateway-cli-check-policy.yaml")
NOTED = GATEWAY + "content: {keep: 30d}\n"
WRONG = NOTED.replace("      hours: {answer", "      huors: {answer")

Check = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "gateway.yaml").write_text(GATEWAY)
    (tmp_path / "policies" / "shop.yaml").write_text(POLICY)
    return tmp_path


@pytest.fixture
def check(folder: Path, offramp: Callable[..., Any]) -> Check:
    """check(*files): the exit code, and what is printed as JSON."""

    def run(*files: str) -> tuple[int, dict[str, Any]]:
        done = offramp("check", *(folder / file for file in files), "--json")
        return done.exit_code, json.loads(done.stdout)

    return run


@pytest.mark.parametrize(
    ("name", "text", "path", "message"),
    [
        ("policies/shop.yaml", POLICY.replace("  hours:", "  house:"), ["rules", 0, "then", "hours"], "no such label"),
        (
            "policies/shop.yaml",
            POLICY.replace("name: shop", "name: shops"),
            ["rules", 0, "classifier"],
            'or name another; did you mean "shops"?',
        ),
        ("policies/other.yaml", POLICY, ["name"], "shop is the name of "),
        ("policies/shop.yaml", POLICY + "cascade: {encoder: folder:nowhere}\n", ["cascade"], "folder:nowhere: "),
        (
            "policies/shop.yaml",
            POLICY + "cascade: {encoder: package:all-mpnet-base-v3}\n",
            ["cascade"],
            "no trainable weights are known in a package 'all-mpnet-ba",
        ),
        (
            "policies/shop.yaml",
            POLICY + "recipe: finetune\nencoder: folder:nowhere\n",
            ["encoder"],
            "nowhere is not a folder",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_a_problem(
    check: Check, folder: Path, name: str, text: str, path: list[Any], message: str
) -> None:
    (folder / name).write_text(text)
    code, shown = check("gateway.yaml", *{"policies/shop.yaml", name})
    assert code == 2
    assert message in next(problem["message"] for problem in shown["problems"] if problem["path"] == path)


SAFETY = "version: 1\nname: safe\nkind: safety\nabout: Harm.\nlabels: {violence: {means: harm, examples: [hit him]}}\n"


@pytest.mark.parametrize(
    ("source", "path", "message"),
    [
        ("classifier: urgncy", ["urgency", "classifier"], 'or name another; did you mean "urgency"?'),
        ("classifier: safe", ["urgency", "classifier"], "safe may give a text several labels"),
        ("classifier: shop", ["urgency", "classifier"], "shop is the rule's own classifier; write urgency: label"),
        ("classifier: urgency, aliases: {hgih: P1}", ["urgency", "aliases", "hgih"], "no such label in urgency"),
        ("classifier: urgency, slot: when", ["urgency"], "is filled by one source"),
        ("slot: when, aliases: {high: P1}", ["urgency"], "a slot has values: in its policy"),
        ("classifier: urgency, aliases: {high: P1}", [], ""),
    ],
)
def test_the_classifier_of_a_field(check: Check, folder: Path, source: str, path: list[str], message: str) -> None:
    (folder / "gateway.yaml").write_text(GATEWAY + f"    fields: {{urgency: {{{source}}}}}\n")
    (folder / "policies" / "urgency.yaml").write_text(POLICY.replace("shop", "urgency").replace("hours", "high"))
    (folder / "policies" / "safe.yaml").write_text(SAFETY)
    code, shown = check("gateway.yaml")
    if not message:
        assert (code, shown["problems"]) == (0, [])
        return
    [problem] = shown["problems"]
    assert (code, problem["path"][:3]) == (2, ["rules", 0, "fields"])
    assert problem["path"][3:] == path
    assert message in problem["message"]


def test_all_mistakes_are_listed_with_their_places(check: Check, folder: Path, offramp: Callable[..., Any]) -> None:
    (folder / "gateway.yaml").write_text(GATEWAY.replace("answer:", "anser:"))
    (folder / "policies/bad.yaml").write_text(POLICY.replace("intent", "intnt").replace("examples:", "exmples:"))
    code, shown = check("gateway.yaml", "policies/bad.yaml")
    assert code == 2
    assert {Path(problem["file"]).name for problem in shown["problems"]} == {"bad.yaml", "gateway.yaml"}
    [unknown] = [problem for problem in shown["problems"] if problem["path"][-1] == "exmples"]
    assert (unknown["line"], unknown["column"]) == (8, 5)
    assert 'did you mean "examples"' in unknown["message"]
    plain = offramp("check", folder / "policies/bad.yaml")
    assert f"{folder}/policies/bad.yaml:8:5: labels.hours.exmples: no such key" in plain.stderr


@pytest.mark.parametrize("policy", [POLICY.replace("kind:", "knid:"), "a: [", "- name: shop", "about: a shop"])
def test_a_policy_that_is_wrong_itself_is_no_problem_of_the_gateway(check: Check, folder: Path, policy: str) -> None:
    (folder / "policies/shop.yaml").write_text(policy)
    code, shown = check("gateway.yaml")
    assert (code, shown["problems"]) == (0, [])
    assert "the rule's labels were not checked" in shown["notes"][0]
    _, shown = check("gateway.yaml", "policies/shop.yaml")
    assert {Path(problem["file"]).name for problem in shown["problems"]} == {"shop.yaml"}


@pytest.mark.parametrize(
    ("gateway", "flags", "code", "summary"),
    [
        (GATEWAY, ["--strict"], 0, "2 files, nothing wrong"),
        (NOTED, [], 0, "2 files, nothing wrong, 1 note"),
        (NOTED, ["--strict"], 2, "2 files, 0 problems, 1 note"),
        (WRONG, [], 2, "2 files, 1 problem, 1 note"),
    ],
)
def test_a_line_counts_problems_and_notes(
    offramp: Callable[..., Any], folder: Path, gateway: str, flags: list[str], code: int, summary: str
) -> None:
    (folder / "gateway.yaml").write_text(gateway)
    done = offramp("check", folder / "gateway.yaml", folder / "policies/shop.yaml", *flags)
    assert done.exit_code == code
    shown, other = (done.stderr, done.stdout) if code else (done.stdout, done.stderr)
    assert shown.splitlines()[-1] == summary
    assert summary not in other


def test_a_policy_that_no_rule_uses_has_no_notes_beside_a_gateway(check: Check, folder: Path) -> None:
    for name in ("shop", "unused"):
        german = POLICY.replace("name: shop", f"name: {name}").replace("labels:", "languages: [de]\nlabels:", 1)
        (folder / "policies" / f"{name}.yaml").write_text(german)
    _, alone = check("policies/unused.yaml")
    _, all_files = check("policies/unused.yaml", "gateway.yaml", "policies/shop.yaml")
    assert ["unused.yaml" in note for note in alone["notes"]] == [True]
    assert ["shop.yaml" in note for note in all_files["notes"]] == [True]


def test_a_package_that_an_upstream_lacks_is_a_note(
    check: Check, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "gateway.yaml").write_text(GATEWAY.replace("kind: echo", "kind: litellm\n    provider: anthropic"))
    assert check("gateway.yaml")[1]["notes"] == []
    monkeypatch.setitem(sys.modules, "litellm", None)
    code, shown = check("gateway.yaml")
    assert (code, shown["problems"]) == (0, [])
    where = f"{folder}/gateway.yaml:4:5: upstreams.demo.kind: "
    lacking = "litellm is not installed; pip install 'offramp[providers]'; until then its calls fail"
    assert shown["notes"] == [where + lacking]


def test_rows_and_prices_are_read_too(check: Check, folder: Path) -> None:
    rows = ('{"text": "hi", "label": "hours"}', '{"text": "hi", "label": "huors"}', '{"txt": "hi"}')
    (folder / "policies/rows.jsonl").write_text("\n".join(rows))
    (folder / "policies/shop.yaml").write_text(POLICY + "data: rows.jsonl\nteacher: {file: rows.jsonl}\n")
    (folder / "gateway.yaml").write_text(GATEWAY + "prices: prices.yaml\n")
    (folder / "prices.yaml").write_text("models: {m: {input: 1, outptu: 2}}\n")
    code, shown = check("gateway.yaml", "policies/shop.yaml")
    assert code == 2
    problems = [(Path(one["file"]).name, one["path"], one["message"]) for one in shown["problems"]]
    assert ("prices.yaml", ["models", "m", "outptu"], 'no such key; did you mean "output"?') in problems
    lines = f"{folder}/policies/rows.jsonl:"
    for key in ("data", "teacher"):
        meant = "did you mean 'hours'? where no label holds, write other"
        assert ("shop.yaml", [key], f"{lines}2: no label 'huors' in the policy shop; {meant}") in problems
        assert ("shop.yaml", [key], f"{lines}3: text is missing or empty") in problems


PASSING = GATEWAY.replace(
    "upstreams:", "upstreams:\n  paid: {kind: openai, base_url: 'http://h/v1', passthrough: [files]}"
)
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
    ("gateway.yaml", NOTED, "content.keep: nothing is kept without calls: true or a rule with retrain"),
    ("gateway.yaml", GATEWAY + "content: {keep: 30d, calls: true}\n", ""),
    ("gateway.yaml", GATEWAY + "cors: '*'\n", "cors: without an access key, every web page"),
    ("gateway.yaml", PASSING, "upstreams.paid.passthrough: no rule reads what goes on by these paths"),
]


def test_settings_that_may_surprise_are_notes(check: Check, folder: Path) -> None:
    for name, text, note in NOTES:
        before = (folder / name).read_text()
        (folder / name).write_text(text)
        code, shown = check(name)
        assert (code, shown["problems"], bool(shown["notes"])) == (0, [], bool(note)), text
        assert note in "".join(shown["notes"])
        (folder / name).write_text(before)


GUARDED = table_text("given/gateway-cli-check-guarded.yaml")


def test_a_guard_is_checked_where_it_is_written(check: Check, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def problems() -> list[tuple[int, str, str]]:
        found = check("policies/chat.yaml")[1]["problems"]
        return [(each["line"], ".".join(each["path"]), each["message"]) for each in found]

    file, guard = folder / "policies" / "chat.yaml", folder / "policies" / "guard"
    file.write_text(GUARDED)
    missing = f"{guard} is not a folder; it must hold config.json, tokenizer.json and model.safetensors"
    assert (8, "guard.model", missing) in problems()
    guard.mkdir()
    config = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "GOOD", "1": "BAD", "2": "EVIL"}}
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (guard / name).write_text(json.dumps(config))
    known = "the model's labels are GOOD, BAD, EVIL"
    assert problems() == [
        (9, "guard.labels", f"does not say what EVIL stands for; name labels of the policy or null ({known})"),
        (11, "guard.labels.BAD", "treat is no label of this policy (labels: threat); null leaves BAD out"),
        (12, "guard.labels.UGLY", f"folder:guard has no label UGLY; {known}"),
    ]
    monkeypatch.setattr("classifiers.errors.find_spec", lambda name: None)
    file.write_text(GUARDED.replace("treat", "threat").replace("UGLY", "EVIL"))
    code, shown = check("policies/chat.yaml")
    assert code == 0
    lacking = f"{file}:7:1: guard: {guard} holds no ONNX graph but model.safetensors, and torch is not installed; run: "
    assert any(note.startswith(lacking) and note.endswith("; training would stop") for note in shown["notes"])
