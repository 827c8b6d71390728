"""Checks of a policy that its schema cannot make: parts that contradict each other, and missing files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from classifiers.encoder.source import is_local, poorly_read, resolve
from classifiers.errors import EncoderError
from classifiers.policy import NONE, OTHER, Policy
from classifiers.slots.fill import slot_problems
from classifiers.text.language import ANY, detectable
from gateway.config.problems import Problem, did_you_mean
from gateway.config.settings import base_fault
from gateway.config.source import DataPath, Document
from gateway.config.validate import path_in
from gateway.spelling import folded

_ENCODERS: Final = "encoders"


def policy_problems(document: Document, policy: Policy, folder: Path) -> Iterator[Problem]:
    """Parts of a policy that contradict each other, and files that are missing. folder: the policy's own."""
    labels = list(policy.labels)
    if policy.name == _ENCODERS:
        yield document.problem(("name",), f"{_ENCODERS} is a folder beside the classifiers; name the policy otherwise")
    if policy.multi_label and policy.other is not None:
        what = "a policy that may name several labels has no other; text that none fits has no label"
        yield document.problem(("other",), what)
    for reserved in (NONE, OTHER, "*"):
        if reserved in policy.labels:
            what = f"{reserved} is a word of Offramp's own; name the label otherwise"
            yield document.problem(("labels", reserved), what)
    if not policy.multi_label and len(labels) < 2 and policy.other is None:
        yield document.problem(("labels",), "needs two labels, or one and other:")
    for name, label in policy.labels.items():
        if label.goal and policy.kind != "safety":
            yield document.problem(("labels", name, "goal"), "is for kind safety; other kinds take one goal: for all")
    yield from _pattern_problems(document, policy)
    yield from _example_problems(document, policy)
    for path, message in slot_problems(policy):
        yield document.problem(path_in(document.data, path), message)
    yield from _test_problems(document, policy)
    yield from _teacher_problems(document, policy)
    if ANY in policy.languages and len(policy.languages) > 1:
        yield document.problem(("languages",), f"{ANY} stands for all languages; name it alone, or take it out")
    yield from _missing_files(document, policy, folder)


def policy_notes(policy: Policy) -> Iterator[tuple[DataPath, str]]:
    """Parts of a policy that may not do what was meant: (path in the policy, why)."""
    if ANY not in policy.languages:
        for language in policy.languages:
            if not detectable([language]):
                what = f"the detector does not know {language}, so text is told by its script alone; most codes"
                yield ("languages",), f"{what} have two letters, such as en and de"
    if policy.learned and (poor := poorly_read(policy.encoder, policy.languages)):
        what = f"the encoder knows English, and {', '.join(poor)} poorly, so that little of such text will be answered"
        yield ("languages",), f"{what}; name a multilingual encoder: (docs/policies.md#languages)"
    spelled: dict[str, str] = {}
    for name in policy.labels:
        if (other := spelled.setdefault(folded(name), name)) != name:
            yield ("labels", name), f"callers and judges who write {name} may mean {other}: they differ in signs only"
    if not (policy.data or policy.teachers):
        for name in policy.learned:
            if not policy.labels[name].examples:
                yield ("labels", name), "has no examples, so hardly anything will be taken for it with certainty"


def _teacher_problems(document: Document, policy: Policy) -> Iterator[Problem]:
    # not in the record: what a version was trained by once stays readable
    for index, teacher in enumerate(policy.teachers):
        if teacher.base_url is not None and (wrong := base_fault(teacher.base_url)):
            yield document.problem(path_in(document.data, ("teacher", index, "base_url")), wrong)


def _pattern_problems(document: Document, policy: Policy) -> Iterator[Problem]:
    stands_for: dict[str, str] = {}
    for name, label in policy.labels.items():
        at: DataPath = ("labels", name, "patterns")
        if label.patterns and not policy.multi_label:
            yield document.problem(at, "are for policies of kind safety, which may name several labels")
        for kind in label.patterns:
            if stands_for.setdefault(kind, name) != name:
                yield document.problem(at, f"{kind} stands for {stands_for[kind]} already")


def _example_problems(document: Document, policy: Policy) -> Iterator[Problem]:
    """Messages that are an example of two labels, or are also listed under `not`."""
    stands_for: dict[str, str] = {}
    for name, label in policy.labels.items():
        own = {example.casefold() for example in label.examples}
        for index, example in enumerate(label.examples):
            first = stands_for.setdefault(example.casefold(), name)
            if first != name and not policy.multi_label:
                at = path_in(document.data, ("labels", name, "examples", index))
                yield document.problem(at, f"{example!r} is an example of {first} already")
        for index, miss in enumerate(label.not_):
            if miss.casefold() in own:
                at = path_in(document.data, ("labels", name, "not", index))
                yield document.problem(at, f"{miss!r} is an example of {name} as well")


def _test_problems(document: Document, policy: Policy) -> Iterator[Problem]:
    expected = [*policy.labels, NONE if policy.multi_label else OTHER]
    for index, test in enumerate(policy.tests):
        for label in test.expect:
            if label not in expected:
                message = f"no label {label}{did_you_mean(label, expected)}"
                yield document.problem(("tests", index, "expect"), message)


def _missing_files(document: Document, policy: Policy, folder: Path) -> Iterator[Problem]:
    if policy.encoder and is_local(policy.encoder):
        try:
            resolve(policy.encoder, folder)
        except EncoderError as error:
            yield document.problem(("encoder",), str(error))
    for index, name in enumerate(policy.data):
        if not (folder / name).is_file():
            yield document.problem(("data", index), f"there is no file {folder / name}")
    for place, teacher in enumerate(policy.teachers):
        for index, name in enumerate(teacher.file):
            if not (folder / name).is_file():
                path = path_in(document.data, ("teacher", place, "file", index))
                yield document.problem(path, f"there is no file {folder / name}")
