"""python -m benchmarks.answers.value: which calls of a rule's own task are answered here, and how many rightly.

With --before, the result that --save wrote of an earlier version, also how many of the calls that it answered rightly
still are.
"""

import argparse
import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import aiohttp
import yaml

from benchmarks.answers.task_calls import TaskCall, TaskSet, answered_label, read_sets, rules, task_calls
from benchmarks.gateway.processes import gateway
from benchmarks.machine import machine
from classifiers import Reading, Runtime
from classifiers.evaluation.metrics import wilson
from classifiers.runtime.thresholds import NOVEL_REASON
from classifiers.verdict import ABOUT_A_MESSAGE

RESULTS = Path(__file__).parents[1] / "results" / "value.md"
_AT_ONCE = 2
_BELOW = "below the threshold"
_SETTINGS = {"policy, sentences and real rows": True, "policy and sentences": False}
"""What the classifiers are trained from, and whether there are real rows in it."""
_ABOUT = """Calls, fixed by a seed: sentences of the test splits of Banking77, HWU64 and SNIPS. The intent is asked for
as a word, by a JSON schema or by a function. Some have their instructions in the user's turn, from which the rule's
`reads.after` cuts the sentence out (words are asked for in none of these), some a system prompt and one turn, some a
system prompt and earlier turns. The rules name these prompts word for word. Each call has fields that clients usually
send. Right: the label that the client reads is the set's. The recipe is `frozen`, the policies name no goal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a call. decision: the gateway's; right: whether it answered with the true label; reason: why it
    did not answer."""

    decision: str
    right: bool
    reason: str

    @property
    def answered(self) -> bool:
        """Whether it was answered here."""
        return self.decision == "answer"


Results = dict[str, list[Outcome]]
"""By setting."""


def main() -> None:
    """Trains the three sets' classifiers, serves them and asks all calls."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds banking77/, hwu64/, snips/")
    parser.add_argument("--models", type=Path, help="folder of trained models; what is there already is kept")
    parser.add_argument("--before", type=Path, help="what --save wrote of another version, in a file named after it")
    parser.add_argument("--save", type=Path, help="write the result here")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    found: Results = {}
    with tempfile.TemporaryDirectory() as folder:
        for setting, real in _SETTINGS.items():
            sets = read_sets(options.data, Path(folder, setting), real=real)
            calls = list(task_calls(sets))
            models = (options.models or Path(folder, "models")).resolve() / setting
            with gateway(prepare(sets, Path(folder, setting), models)) as (_, _, address):
                found[setting] = with_causes(calls, asyncio.run(ask(address, calls)), sets, models)
    if options.save:
        save(options.save, calls, found)
    before = _saved(options.before, calls) if options.before else {}
    made = f"Made by `python -m benchmarks.answers.value` on {machine()}."
    lines = ["# Calls of a rule's own task", "", made, "", _ABOUT, ""]
    if options.before:
        lines += [f"Before: `{options.before.stem}`, which trained its own classifiers from the same files.", ""]
    for setting, now in found.items():
        lines += [f"## Trained from {setting}", "", *table(calls, now, before.get(setting)), ""]
    text = "\n".join(lines)
    print(text)
    options.output.write_text(text, "utf-8")


def prepare(sets: Sequence[TaskSet], scratch: Path, models: Path) -> Path:
    """Trains what is not trained yet, and writes the gateway's settings."""
    for each in sets:
        file = scratch / each.name / "policy.yaml"
        file.write_text(each.policy.model_dump_json(by_alias=True, exclude_defaults=True), "utf-8")
        if not (models / each.policy.name).exists():
            command = [sys.executable, "-m", "gateway", "train", str(file), "--models", str(models)]
            subprocess.run(command, check=True, env={**os.environ, "OPENAI_API_KEY": ""})
    values = {
        "version": 1,
        "listen": "127.0.0.1:8080",
        "models_dir": str(models),
        "ledger": str(scratch / "ledger.db"),
        "upstreams": {"echo": {"kind": "echo"}},
        "models": {each.name: "echo" for each in sets},
        "rules": rules(sets),
    }
    config = scratch / "gateway.yaml"
    config.write_text(yaml.safe_dump(values, sort_keys=False), "utf-8")
    return config


async def ask(address: str, calls: Sequence[TaskCall]) -> list[Outcome]:
    """What the gateway makes of each call."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def outcome(session: aiohttp.ClientSession, call: TaskCall) -> Outcome:
        async with turns, session.post(f"{address}/v1/chat/completions", json=call.body) as answer:
            body = await answer.json()
            decision = answer.headers.get("x-offramp-decision", f"status {answer.status}")
            abstained = answer.headers.get("x-offramp-abstained", "")
            reason = ", ".join(dict.fromkeys(each.partition(":")[2] for each in abstained.split(",")))
        answered = decision == "answer"
        right = answered and answered_label(call, body) == call.label
        return Outcome(decision=decision, right=right, reason="" if answered else reason or "no rule")

    async with aiohttp.ClientSession() as session:
        return list(await asyncio.gather(*(outcome(session, call) for call in calls)))


def with_causes(
    calls: Sequence[TaskCall], outcomes: Sequence[Outcome], sets: Sequence[TaskSet], models: Path
) -> list[Outcome]:
    """The outcomes; where the classifier was unsure, with what made it so."""
    names = {each.name: each.policy.name for each in sets}
    runtime = Runtime.load(models, list(names.values()), threads=1)

    def with_cause(call: TaskCall, outcome: Outcome) -> Outcome:
        if outcome.reason != "unsure":
            return outcome
        verdict = runtime.classify([Reading(classifier=names[call.set], texts=(call.text,))])[0]
        cause = verdict.reason if verdict.reason in (ABOUT_A_MESSAGE, NOVEL_REASON) else _BELOW
        return replace(outcome, reason=f"unsure: {cause}")

    return [with_cause(call, outcome) for call, outcome in zip(calls, outcomes, strict=True)]


def save(file: Path, calls: Sequence[TaskCall], results: Results) -> None:
    """Writes the outcomes in each setting, with a digest of the calls instead of their text."""
    found = {setting: list(map(asdict, outcomes)) for setting, outcomes in results.items()}
    file.write_text(json.dumps({"calls": _digest(calls), "results": found}), "utf-8")


def _saved(file: Path, calls: Sequence[TaskCall]) -> Results:
    values = json.loads(file.read_text("utf-8"))
    if values["calls"] != _digest(calls):
        raise SystemExit(f"{file}: it is of other calls")
    return {name: [Outcome(**each) for each in outcomes] for name, outcomes in values["results"].items()}


def _digest(calls: Sequence[TaskCall]) -> str:
    return hashlib.sha256(json.dumps([call.body for call in calls]).encode()).hexdigest()


def table(calls: Sequence[TaskCall], now: Sequence[Outcome], before: Sequence[Outcome] | None) -> Iterator[str]:
    """Markdown: all calls, then by set, style and third; then why calls are forwarded."""
    compared = ["answered before", "right", "wrong", "of those right before, right now"] if before else []
    columns = ["", "calls", "answered", "right", "wrong", *compared]
    yield f"| {' | '.join(columns)} |"
    yield "| --- " * len(columns) + "|"
    for name, places in _groups(calls).items():
        cells = [name, str(len(places)), *_counts(now, places)]
        if before:
            cells += [*_counts(before, places), _kept(now, before, places)]
        yield f"| {' | '.join(cells)} |"
    lost = [was.right for was in before] if before else [False] * len(now)
    why = Counter(each.reason for each in now if not each.answered)
    yield ""
    yield f"| forwarded because | calls |{' right before |' if before else ''}"
    yield f"| --- | --- |{' --- |' if before else ''}"
    for reason, count in why.most_common():
        of_these = sum(was for each, was in zip(now, lost, strict=True) if each.reason == reason and not each.answered)
        yield f"| {reason} | {count} |{f' {of_these} |' if before else ''}"


def _groups(calls: Sequence[TaskCall]) -> Mapping[str, list[int]]:
    groups: dict[str, list[int]] = {"all": list(range(len(calls)))}
    for of in ("set", "style", "third"):
        for name in dict.fromkeys(getattr(call, of) for call in calls):
            groups[name] = [place for place, call in enumerate(calls) if getattr(call, of) == name]
    return groups


def _counts(outcomes: Sequence[Outcome], places: Sequence[int]) -> list[str]:
    """Answered, right, wrong."""
    answered = sum(outcomes[place].answered for place in places)
    right = sum(outcomes[place].right for place in places)
    return [f"{answered} ({answered / len(places):.1%})", str(right), str(answered - right)]


def _kept(now: Sequence[Outcome], before: Sequence[Outcome], places: Sequence[int]) -> str:
    once = [place for place in places if before[place].right]
    if not once:
        return ""
    still = sum(now[place].right for place in once)
    low, high = wilson(still, len(once))
    return f"{still} of {len(once)}, {still / len(once):.1%} ({low:.1%} to {high:.1%})"


if __name__ == "__main__":
    main()
