"""Checks of a policy that its schema cannot make: parts that contradict each other, and missing files."""

from collections.abc import Iterator
from pathlib import Path

from classifiers.encoder.guard import find_guard, is_elsewhere, label_problems
from classifiers.encoder.source import first_encoder, is_local, poorly_read, resolve
from classifiers.errors import EncoderError
from classifiers.policy import NONE, OTHER, Policy
from classifiers.slots.fill import slot_problems
from classifiers.text.language import ANY, code_of, detectable
from gateway.config.problems import did_you_mean
from gateway.config.settings import base_fault
from gateway.config.source import DataPath
from gateway.spelling import normalized

_ENCODERS = "encoders"
_Findings = Iterator[tuple[DataPath, str]]


def policy_problems(policy: Policy, folder: Path) -> _Findings:
    """Parts of a policy that contradict each other, and files that are missing: (path, what is wrong).

    folder: the policy's own. A path may have the index of a thing that stands alone in the file.
    """
    if policy.name == _ENCODERS:
        yield ("name",), f"{_ENCODERS} is a folder next to the classifiers; name the policy otherwise"
    if policy.multi_label and policy.other is not None:
        yield ("other",), "a policy that may name several labels has no other; text that none fits has no label"
    for reserved in (NONE, OTHER, "*"):
        if reserved in policy.labels:
            yield ("labels", reserved), f"{reserved} is a word of Offramp's own; name the label otherwise"
    if not policy.multi_label and len(policy.labels) < 2 and policy.other is None:
        yield ("labels",), "needs two labels, or one and other:"
    if ANY in policy.languages and len(policy.languages) > 1:
        yield ("languages",), f"{ANY} stands for all languages; name it alone, or take it out"
    yield from _label_problems(policy)
    yield from slot_problems(policy)
    yield from _test_and_teacher_problems(policy)
    yield from _missing_files(policy, folder)


def policy_notes(policy: Policy) -> _Findings:
    """Parts of a policy that may not do what was meant: (path in the policy, why)."""
    for language in policy.languages:
        if ANY not in policy.languages and not detectable([language]):
            what = f"the detector does not know {language}, so text is recognised by its script alone; most codes"
            yield ("languages",), f"{what} have two letters, such as en and de"
    if policy.learned and (poor := poorly_read(policy.encoder, policy.languages)):
        passes = "harm in it passes; leave these out, so that when_language decides, or"
        then = passes if policy.kind == "safety" else "little of such text will be answered;"
        what = f"the encoder knows English, and {', '.join(poor)} poorly, so that {then}"
        yield ("languages",), f"{what} name a multilingual encoder: (docs/policies.md#languages)"
    if policy.reads_parts and not (policy.everyday and "en" in map(code_of, policy.languages)):
        why = (
            "there is no ordinary traffic but English, so nothing bounds its thresholds (nor where everyday: is false)"
        )
        yield ("builds_on" if policy.builds_on else "recipe",), why
    spelled: dict[str, str] = {}
    for name in policy.labels:
        if (other := spelled.setdefault(normalized(name), name)) != name:
            yield ("labels", name), f"callers and judges who write {name} may mean {other}: they differ in signs only"
    for name in () if policy.data or policy.teachers else policy.learned:
        if not policy.labels[name].examples:
            yield ("labels", name), "has no examples, so hardly anything will be taken for it with certainty"


def _label_problems(policy: Policy) -> _Findings:
    """Patterns and messages that stand for two labels, and messages that are also listed under `not`."""
    patterns: dict[str, str] = {}
    examples: dict[str, str] = {}
    for name, label in policy.labels.items():
        if label.patterns and not policy.multi_label:
            yield ("labels", name, "patterns"), "are for policies of kind safety, which may name several labels"
        for kind in label.patterns:
            if patterns.setdefault(kind, name) != name:
                yield ("labels", name, "patterns"), f"{kind} stands for {patterns[kind]} already"
        own = [example.casefold() for example in label.examples]
        for index, example in enumerate(own):
            if (first := examples.setdefault(example, name)) != name and not policy.multi_label:
                yield ("labels", name, "examples", index), f"{label.examples[index]!r} is an example of {first} already"
        for index, miss in enumerate(label.not_):
            if miss.casefold() in own:
                yield ("labels", name, "not", index), f"{miss!r} is an example of {name} as well"


def _test_and_teacher_problems(policy: Policy) -> _Findings:
    expected = [*policy.labels, NONE if policy.multi_label else OTHER]
    for index, test in enumerate(policy.tests):
        for label in test.expect:
            if label not in expected:
                yield ("tests", index, "expect"), f"no label {label}{did_you_mean(label, expected)}"
    for index, teacher in enumerate(policy.teachers):
        # not in the record: what a version was trained by once stays readable
        if teacher.base_url is not None and (wrong := base_fault(teacher.base_url)):
            yield ("teacher", index, "base_url"), wrong


def _missing_files(policy: Policy, folder: Path) -> _Findings:
    if policy.encoder and is_local(policy.encoder):
        try:
            resolve(first_encoder(policy.encoder, policy.recipe), folder)
        except EncoderError as error:
            yield ("encoder",), str(error)
    if policy.guard:
        yield from _guard_problems(policy, policy.guard.model, folder)
    files: list[tuple[DataPath, str]] = [(("data", index), name) for index, name in enumerate(policy.data)]
    for place, teacher in enumerate(policy.teachers):
        files += [(("teacher", place, "file", index), name) for index, name in enumerate(teacher.file)]
    for path, name in files:
        if not (folder / name).is_file():
            yield path, f"there is no file {folder / name}"


def _guard_problems(policy: Policy, model: str, folder: Path) -> _Findings:
    """A guard that is not there, and labels of it that are others; of one on the hub, what is known without it."""
    theirs = None
    if not is_elsewhere(model):
        try:
            theirs = find_guard(model, folder, folder).labels
        except EncoderError as error:
            yield ("guard", "model"), str(error)
    yield from label_problems(policy, theirs)
