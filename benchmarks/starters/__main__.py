"""python -m benchmarks.starters [--data ../shared/data]: prints what the starter policies reach and writes it."""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import yaml

from benchmarks.machine import machine, versions
from benchmarks.progress import Lines
from benchmarks.starters.guards import guard_lines
from benchmarks.starters.sets import beside, jsonl, own, public
from classifiers import Reading, Runtime, Verdict
from classifiers.errors import ArtifactError
from classifiers.evaluation.evaluate import evaluate
from classifiers.model import artifact
from classifiers.model.registry import Registry
from classifiers.policy import OTHER, Policy
from classifiers.training.run import train

HERE = Path(__file__).parent
POLICIES = HERE.parents[1] / "config" / "policies"
RESULTS = HERE.parent / "results" / "starters.md"
SHOP, SAFETY, OFF_TOPIC = "shop-intents", "support-safety", "off-topic"
GUARDS = ("moderation",)
EACH = (SHOP, SAFETY, OFF_TOPIC, *GUARDS)
CAUTION = (
    "None of these messages was trained on. But after a first measurement (12.4 % of Banking77 flagged, 68 % of the "
    "false refusals, 5 of the 30 harmless messages of our own) thresholds were raised to one half, and harmless lines "
    "about cards, accounts and security work were added to the safety policy with Banking77's train.csv in view, so "
    "those three lines flatter it."
)


def main() -> None:
    """Trains the policies and reads every set of messages that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds banking77/, snips/, safety/")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--models", type=Path, help="where they are trained; what is trained there already is kept")
    parser.add_argument("--only", choices=EACH, help="print one policy's section, write nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        lines = [
            line
            for name in EACH
            if options.only in (None, name)
            for line in _section(name, options.models or Path(scratch), options.data)
        ]
    if options.only:
        print("\n".join(lines))
        return
    packages = versions(("onnxruntime", "scikit-learn", "numpy"))
    made = f"Made by `python -m benchmarks.starters` on {machine()}; {packages}."
    head = ["# Starter policies", "", made, "", CAUTION, ""]
    text = "\n".join([*head, *lines])
    print(text)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")


def _section(name: str, models: Path, data: Path) -> Iterator[str]:
    """Trains a policy and measures it."""
    policy = _train(name, models)
    if name in GUARDS:
        yield from guard_lines(policy, models, data)
        return
    lines = {SHOP: shop_lines, SAFETY: safety_lines, OFF_TOPIC: off_topic_lines}
    yield from lines[name](Runtime.load(models, [name], threads=2), policy, data)
    yield ""


def shop_lines(runtime: Runtime, policy: Policy, data: Path) -> Iterator[str]:
    """Messages by hand with their labels, then messages that are about something else altogether."""
    rows = jsonl(HERE / f"{policy.name}.jsonl")
    texts = [row["text"] for row in rows]
    found = evaluate(policy, texts, [(row["label"],) for row in rows], read(runtime, policy, texts))
    scope = found["out_of_scope"]
    low, high = found["interval"]
    yield f"## {policy.name}"
    yield ""
    yield "| messages | rows | |"
    yield "|---|---|---|"
    yield (
        f"| written before the policy | {found['rows']} | accuracy {found['accuracy']:.1%} ({low:.1%} – {high:.1%}), "
        f"answered {found['answered']:.1%}, wrong among answered {found['error']:.1%}, "
        f"out of scope but answered {scope['answered']:.1%} of {scope['rows']} |"
    )
    for what, messages in beside(data):
        verdicts = read(runtime, policy, messages)
        named = sum(bool(verdict.labels) and verdict.labels != (OTHER,) for verdict in verdicts)
        yield f"| {what} | {len(messages)} | given one of the shop's labels: {named / len(messages):.1%} |"


def safety_lines(runtime: Runtime, policy: Policy, data: Path) -> Iterator[str]:
    """Messages by hand, then public sets of harmful and harmless text, which nothing was trained on."""
    yield f"## {policy.name}"
    yield ""
    yield "| messages | rows | harmful flagged (in doubt) | harmless flagged (in doubt) | AUPRC |"
    yield "|---|---|---|---|---|"
    for what, rows in [("written before the policy", own(policy.name)), *public(data)]:
        texts = [text for text, _ in rows]
        verdicts = read(runtime, policy, texts)
        # a public set says harmful or not; any label of the policy stands for harmful
        truths = [(next(iter(policy.labels)),) if harmful else () for _, harmful in rows]
        found = evaluate(policy, texts, truths, verdicts)
        cells = [
            f"{found['flagged'][side]:.1%} ({found['doubted'][side]:.1%})" if found["flagged"][side] is not None else ""
            for side in ("harmful", "harmless")
        ]
        area = found["any"]["auprc"]
        both = all(found["flagged"][side] is not None for side in ("harmful", "harmless"))
        yield f"| {what} | {len(rows)} | {cells[0]} | {cells[1]} | {f'{area:.3f}' if both else ''} |"


def off_topic_lines(runtime: Runtime, policy: Policy, data: Path) -> Iterator[str]:
    """Messages to a shop and others by hand, then messages of others that are about something else altogether."""
    rows = jsonl(HERE / f"{SHOP}.jsonl")
    sets = [
        ("of a shop's customers, written before the policies", [row["text"] for row in rows if row["label"] != OTHER]),
        ("out of a shop's scope, written before the policies", [row["text"] for row in rows if row["label"] == OTHER]),
        *beside(data),
    ]
    yield f"## {policy.name}"
    yield ""
    yield "| messages | rows | called off topic | in doubt |"
    yield "|---|---|---|---|"
    for what, messages in sets:
        verdicts = read(runtime, policy, messages)
        off = sum(bool(verdict.labels) for verdict in verdicts) / len(messages)
        doubted = sum(not verdict.labels and verdict.abstention is not None for verdict in verdicts) / len(messages)
        yield f"| {what} | {len(messages)} | {off:.1%} | {doubted:.1%} |"


def read(runtime: Runtime, policy: Policy, texts: Sequence[str]) -> list[Verdict]:
    """A verdict for each text."""
    return runtime.classify([Reading(classifier=policy.name, texts=(text,)) for text in texts])


def _train(name: str, models: Path) -> Policy:
    path = POLICIES / f"{name}.yaml"
    policy = Policy.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    with suppress(ArtifactError):
        if artifact.load(Registry(models).resolve(name)).manifest.policy_sha256 == artifact.policy_sha256(policy):
            return policy
    outcome = train(policy, base_dir=path.parent, models_dir=models, progress=Lines(name))
    if not outcome.accepted:
        raise SystemExit("\n".join(outcome.missed))
    return policy


if __name__ == "__main__":
    main()
