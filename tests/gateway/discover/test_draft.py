"""What is written is read back by the project's own readers, and reads what it should."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.policy import Policy
from classifiers.training.data import read_rows
from classifiers.verdict import Reading
from gateway.answers.build import LocalAnswer, build
from gateway.answers.format import Prediction
from gateway.config import source
from gateway.config.load import Loaded, load_gateway, load_policy
from gateway.config.prices import load_prices
from gateway.discover.calls import LoggedCall
from gateway.discover.draft import draft, gateway, scalar, unwritable, write
from gateway.discover.finding import Finding, look
from gateway.plan import read_by
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.wire import RequestedFormat, system_text
from gateway.rules.compile import compile_rules
from gateway.rules.rule import Rule, failing_part
from gateway.serving.snapshot import rule_problems

from .logs import Pair, calls_of, harm_calls, pair, two_templates, user

PRICES = load_prices()
TEXTS = [text for text, _ in harm_calls(60)]


def findings(pairs: list[Pair]) -> list[Finding]:
    return look(calls_of(pairs), PRICES)


def finding_of(requests: list[dict[str, Any]], *answers: str) -> Finding:
    """The one group of requests to which the answers are given in turn."""
    [finding] = findings([pair(request, answers[i % len(answers)], i) for i, request in enumerate(requests)])
    return finding


def written(folder: Path, found: list[Finding]) -> tuple[Loaded, dict[str, Policy]]:
    """The files of the findings, read back."""
    systems = [system_text(call.turns) for one in found for call in one.group.calls]
    done = write(folder, [draft(one) for one in found], gateway(found, systems))
    policies = {policy.name: policy for policy in (load_policy(file, {}) for file in done.policies)}
    loaded = load_gateway(done.gateway, {})
    assert rule_problems(loaded, policies) == []
    return loaded, policies


def met(rules: Sequence[Rule], call: LoggedCall) -> tuple[list[Rule], list[Reading]]:
    """The rules that read of a call, and what they read."""
    model = call.model or "gpt-4o"
    turns = list(call.turns)
    request: Any = SimpleNamespace(wire=CHAT, model=model, turns=turns, system_text=system_text(turns))
    return read_by([rule for rule in rules if not failing_part(rule, request)], request)


def read_back(folder: Path, finding: Finding) -> list[str]:
    """What the drafted rule reads of each call."""
    loaded, policies = written(folder, [finding])
    rules = compile_rules(loaded.settings.rules, policies, {})
    texts = []
    for call in finding.group.calls:
        _, [reading] = met(rules, call)
        texts += reading.texts
    return texts


def stripped(texts: Iterable[str]) -> list[str]:
    return [text.strip() for text in texts]


def test_each_rule_reads_the_inputs_of_its_own_calls_and_no_others(tmp_path: Path) -> None:
    found = findings(two_templates(60))
    loaded, policies = written(tmp_path, found)
    rules = compile_rules(loaded.settings.rules, policies, {})
    assert len(rules) == 2
    for one in found:
        for call, text in zip(one.group.calls, one.group.inputs, strict=True):
            [rule], [reading] = met(rules, call)
            assert (rule.name, reading.texts) == (one.name, (text,))
            assert rule.terms is not None


ASKED = "Is this ticket meant well, yes or no?"


@pytest.mark.parametrize(
    ("systems", "readable"),
    [
        ([("developer", f"{ASKED}\nTicket: {{}}\n---")], True),
        ([("system", ASKED), ("developer", "Ticket: {}\n---")], True),
        ([("system", f"{ASKED}\nTicket: {{}}"), ("system", "---\nOne word, nothing else.")], False),
        ([("system", [f"{ASKED} Ticket: ", "{}\n---\nOne word."])], False),
    ],
    ids=["developer", "two messages", "a template over two messages", "a template over two parts"],
)
def test_a_rule_is_drafted_only_where_it_reads_the_inputs(
    systems: list[tuple[str, Any]], readable: bool, tmp_path: Path
) -> None:
    def filled(content: Any, text: str) -> Any:
        if isinstance(content, str):
            return content.format(text)
        return [{"type": "text", "text": part.format(text)} for part in content]

    requests = []
    for text in TEXTS:
        messages = [{"role": role, "content": filled(content, text)} for role, content in systems]
        requests.append({"model": "gpt-4o", "messages": [*messages, {"role": "user", "content": "Well?"}]})
    finding = finding_of(requests, "yes", "no")
    if readable:
        assert finding.obstacle is None
        assert read_back(tmp_path, finding) == stripped(TEXTS)
    else:
        assert "no rule can read just the input" in str(finding.obstacle)


@pytest.mark.parametrize(
    "prompt",
    [
        "Ticket for ${{SHOP}}: {}\nLabel: ",
        "Ticket: {}\n\tLabel for ${{SHOP}}:\u00a0",
        "Say ${{yes}} or no. [Text]: {}",
        "\tAnswer yes or no?*\nIs it so: «{}»\n\n",
        'Is "{}" meant well, yes or no?',
        "{}\nyes or no: is the text above meant well?\\",
    ],
)
@pytest.mark.parametrize("role", ["system", "user"])
def test_prompts_with_odd_signs(prompt: str, role: str, tmp_path: Path) -> None:
    asked = [prompt.format(text) for text in TEXTS]
    if role == "system":
        finding = finding_of([user("Well?", text) for text in asked], "yes", "no")
    else:
        finding = finding_of([user(text, "[*] Yes or no?\u2028${HOME}") for text in asked], "yes", "no")
    assert read_back(tmp_path, finding) == stripped(finding.group.inputs) == stripped(TEXTS)


def test_words_of_a_policys_own_become_other(tmp_path: Path) -> None:
    system = "Is it fruit, nut, or none of these?"
    finding = finding_of([user(text, system) for text in TEXTS], "fruit", "nut", "None")
    loaded, policies = written(tmp_path, [finding])
    [policy] = policies.values()
    assert set(policy.labels) == {"fruit", "nut"}
    assert all(label.means == f"what gpt-4o calls {name}" for name, label in policy.labels.items())
    assert policy.other
    [rule] = compile_rules(loaded.settings.rules, policies, {})
    prediction = Prediction(labels=("other",), names=rule.names, confidence=0.9, scores={"other": 0.9})
    shape = CHAT.requests.requested(dict(finding.group.calls[0].fields))
    assert isinstance(shape, RequestedFormat)
    made = build(shape, prediction, [system])
    assert isinstance(made, LocalAnswer)
    # as the prompt has it; and the model's own word is the same label
    assert (made.content, rule.names.resolve("None")) == ("none", "other")
    assert rule.then["other"].own_label
    rows = read_rows(policy, [tmp_path / "policies" / path for path in policy.data])
    assert sum(row.labels == ("other",) for row in rows) == 20


def test_where_other_stands_in_the_prompts_prose_as_well_none_is_not_given() -> None:
    system = "Answer with fruit, nut or none. Write no other words."
    finding = finding_of([user(text, system) for text in TEXTS], "fruit", "nut", "none")
    assert finding.givable == pytest.approx(40 / 60)


def test_rows_are_of_calls_that_a_rule_reads_whole() -> None:
    requests = [user(text, "Is it meant well: yes or no?") for text in TEXTS]
    for number in range(0, 60, 4):
        image = {"type": "image_url", "image_url": {"url": f"https://example.org/{number}.png"}}
        requests[number]["messages"][-1]["content"] = [{"type": "text", "text": TEXTS[number]}, image]
    found = findings([pair(request, ("yes", "no")[i % 2], i) for i, request in enumerate(requests)])
    assert sum(draft(one).data.count("\n") for one in found) == len({text for i, text in enumerate(TEXTS) if i % 4})


def test_files_that_are_there_are_never_written_over(tmp_path: Path) -> None:
    found = findings(two_templates(60))[:1]
    (tmp_path / "gateway.yaml").write_text("mine\n")
    done = write(tmp_path, [draft(found[0])], gateway(found, []))
    assert done.gateway.name == "discovered.yaml"
    assert (tmp_path / "gateway.yaml").read_text() == "mine\n"
    with pytest.raises(FileExistsError, match=found[0].name):
        write(tmp_path, [draft(found[0])], gateway(found, []))


@settings(max_examples=30)
@given(st.text().filter(lambda text: not unwritable(text) and not any("\ud800" <= c <= "\udfff" for c in text)))
def test_any_text_is_read_back_as_it_was(text: str) -> None:
    document = source.parse(f"key: {scalar(text)}\n{scalar(text)}: value\n", "made", {})
    assert document.data == {"key": text, text: "value"} or text == "key"


def test_a_number_behind_a_name_makes_it_nobody_elses(tmp_path: Path) -> None:
    asked = [("Sort the mail.", "route"), ("Sort the chats.", "route"), ("Sort the calls.", "route_2")]
    pairs = []
    for system, field in asked:
        schema = {"type": "object", "properties": {field: {"enum": ["harassment", "illicit", "self-harm", "violence"]}}}
        shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        for text, label in harm_calls(60):
            pairs.append(pair(user(text, system, response_format=shape), json.dumps({field: label})))
    found = findings(pairs)
    assert {one.name for one in found} >= {"route", "route-2"}
    assert len({one.name for one in found}) == 3
    _, policies = written(tmp_path, found)
    assert len(policies) == 3
