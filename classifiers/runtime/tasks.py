"""Checks a verdict that names a label: all of the text must be a message of that label.

"Translate to German: where is my order?" is a task about a message, and of "are you open on Sunday? Also cancel my
order" the label tells half. So a text is read as it is put together: the whole, its sentences, lines, quoted and
bracketed parts, and their clauses. A task in one part makes all of it a task. Each part must be of the label, or
something that people add to a message. A part by itself is not diluted by the rest.
"""

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

import numpy as np

from classifiers.encoder.tokens import LONGEST_CHARS_A_TOKEN
from classifiers.model.model import ASIDE, TASK, Bools, Floats, Stage
from classifiers.policy import OTHER
from classifiers.runtime import cascade
from classifiers.runtime.windows import Key, Reader, key_of
from classifiers.text.normalise import normalise
from classifiers.text.windows import Window
from classifiers.text.windows import units as parts_of
from classifiers.verdict import ABOUT_A_MESSAGE, ANOTHER_MATTER, Abstention, Verdict

_Read = tuple[Key, Window]

_MOST_UNITS: Final = 64
"""Of a text: half of them from its beginning, half from its end, where tasks are written."""
_JOINTS: Final = re.compile(
    r"[,;.]?\s+(?:and|but|also|plus|then|or|oh|btw|by the way|und|oder|aber|außerdem|et|ou|mais|aussi|y|o|pero|también"
    r"|[+&/])(?:\s+(?:also|then|and|by the way))?,?\s+|;\s+",
    re.IGNORECASE,
)
"""Where clauses are joined, in the languages that tasks are learned in."""
_WORDS: Final = re.compile(r"\w+")
_FEWEST_WORDS: Final = 3
"""Of a clause: "Spain and Portugal" are not two."""
_SUPPORTED: Final = 0.5
_RIVAL: Final = 0.95
"""The chance at which a part is of the verdict's label, or of another one, whatever it looks like besides."""


def units(text: str) -> list[str]:
    """The text, and its parts where it has several."""
    parts = _few(parts_of(text))
    return [text, *parts] if len(parts) > 1 else [text]


def _few(parts: Sequence[str]) -> Sequence[str]:
    half = _MOST_UNITS // 2
    return [*parts[:half], *parts[-half:]] if len(parts) > _MOST_UNITS else parts


def clauses(text: str) -> list[str]:
    """The clauses of a part, where it has several; one of fewer than three words belongs to its neighbour."""
    found: list[tuple[int, int]] = []
    start = 0
    for end, after in [*(joint.span() for joint in _JOINTS.finditer(text)), (len(text), len(text))]:
        if len(_WORDS.findall(text, start, end)) >= _FEWEST_WORDS:
            found.append((start, end))
            start = after
    if found and start < len(text):
        found[-1] = (found[-1][0], len(text))
    return [text[start:end] for start, end in found] if len(found) > 1 else []


def asked(verdict: Verdict, stages: Sequence[Stage]) -> Stage | None:
    """The stage whose filter is to check a verdict; None where the verdict names nothing to answer with."""
    if not verdict.labels or verdict.labels == (OTHER,):
        return None
    return next((stage for stage in stages if stage.name == verdict.stage and stage.tasks is not None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitWindows:
    """The first window of each text, and of each part where there are several."""

    wholes: Sequence[_Read]
    parts: Sequence[_Read]

    def __iter__(self) -> Iterator[_Read]:
        return chain(self.wholes, self.parts)


def windows(reader: Reader, stage: Stage, texts: Sequence[str]) -> UnitWindows:
    """What a stage's encoder reads of texts, to check a verdict on them."""
    read = [units(text) for text in texts]
    sentences = [part for each in read for part in each[1:] or each]
    joined = _few([clause for sentence in sentences for clause in clauses(sentence)])
    parts = dict.fromkeys([*(sentences if len(sentences) > 1 else ()), *joined])
    return UnitWindows(wholes=_first_windows(reader, stage, texts), parts=_first_windows(reader, stage, parts))


def _first_windows(reader: Reader, stage: Stage, texts: Iterable[str]) -> list[_Read]:
    encoder = reader.encoders[stage.encoder.sha256]
    room = encoder.room(stage.windowing.tokens, stage.system_tokens)
    # a token is rarely longer than a word: what lies far past the window is not even read
    longest = room * LONGEST_CHARS_A_TOKEN
    each = (normalise(text[:longest]) for text in texts)
    cut = (array("i", reader.tokens(plain, encoder)[0][:room]) for plain in each)
    return [(key_of(stage.encoder, window), window) for window in cut if len(window)]


def is_task(stage: Stage, vector: Floats) -> bool:
    """Whether a part is a task about a message. vector: of its window."""
    return stage.tasks is not None and bool(stage.tasks.chances(vector[None])[0, TASK] > stage.tasks.limits[TASK])


def checked(
    verdict: Verdict, stage: Stage, read: UnitWindows, vectors: Mapping[Key, Floats], *, one_matter: bool = True
) -> Verdict:
    """The verdict; unsure where the text is no message of its label, or not in all parts. vectors: of all windows.
    one_matter: whether parts may not be of other labels."""
    assert stage.tasks is not None
    if not read.wholes:
        return verdict
    each = np.stack([vectors[key] for key, _ in read])
    above = stage.tasks.chances(each) > stage.tasks.limits
    wholes = len(read.wholes)
    if above[:, TASK].any():
        reason = ABOUT_A_MESSAGE
    elif one_matter and not _of_label(verdict.labels[0], stage, each[wholes:], above[wholes:, ASIDE]).all():
        reason = ANOTHER_MATTER
    else:
        return verdict
    return unnamed(verdict, reason)


def unnamed(verdict: Verdict, reason: str) -> Verdict:
    """The verdict without its label, for a reason."""
    return replace(verdict, labels=(), abstention=Abstention.UNSURE, reason=reason)


def _of_label(label: str, stage: Stage, read: Floats, aside: Bools) -> Bools:
    """(n,) which parts are of the label, or are added to one. read: (n, dimensions); aside: (n,) what looks added."""
    assert stage.tasks is not None
    if len(read) == 0:
        return aside
    classes, fitting = stage.head.classes, {label, *stage.tasks.small}
    probabilities = cascade.part(stage, read, multi_label=False).probabilities
    own = probabilities[:, [name in fitting for name in classes]].sum(axis=1)
    rivals = probabilities[:, [name not in {OTHER, *fitting} for name in classes]].max(axis=1, initial=0)
    supported: Bools = (own >= _SUPPORTED) | (aside & (rivals < _RIVAL))
    return supported
