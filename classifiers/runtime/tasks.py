"""Recognises tasks about a message: a verdict on such a text names no label.

"Translate to German: where is my order?" is read in units, as it is put together: the whole and its sentences, lines,
quoted and bracketed parts. It is a task where a stage's task filter takes one unit for one. A unit by itself is not
diluted by the message that it is about.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from classifiers.encoder.tokens import LONGEST_CHARS_A_TOKEN
from classifiers.model.model import Floats, Stage
from classifiers.policy import OTHER
from classifiers.runtime.windows import Key, Reader, key_of
from classifiers.text.normalise import normalise
from classifiers.text.windows import Window
from classifiers.text.windows import units as parts_of
from classifiers.verdict import ABOUT_A_MESSAGE, Abstention, Verdict

_MOST_UNITS: Final = 64
"""Of a text: half of them from its beginning, half from its end, where tasks are written."""


def units(text: str) -> list[str]:
    """The text, and its parts where it has several."""
    parts = parts_of(text)
    if len(parts) > _MOST_UNITS:
        parts = [*parts[: _MOST_UNITS // 2], *parts[-_MOST_UNITS // 2 :]]
    return [text, *parts] if len(parts) > 1 else [text]


def asked(verdict: Verdict, stages: Sequence[Stage]) -> Stage | None:
    """The stage whose filter is to check a verdict; None where the verdict names nothing to answer with."""
    if not verdict.labels or verdict.labels == (OTHER,):
        return None
    return next((stage for stage in stages if stage.name == verdict.stage and stage.tasks is not None), None)


def windows(reader: Reader, stage: Stage, texts: Iterable[str]) -> list[tuple[Key, Window]]:
    """The first window of each unit of the texts, as the stage's encoder reads it."""
    encoder = reader.encoders[stage.encoder.sha256]
    room = encoder.room(stage.windowing.tokens, stage.system_tokens)
    # a token is rarely longer than a word: what lies far past the window is not even read
    longest = room * LONGEST_CHARS_A_TOKEN
    each = (normalise(unit[:longest]) for text in texts for unit in units(text))
    cut = (array("i", reader.tokens(plain, encoder)[0][:room]) for plain in each)
    return [(key_of(stage.encoder, window), window) for window in cut if len(window)]


def found(stage: Stage, vector: Floats) -> bool:
    """Whether a unit is a task. vector: of its window."""
    return stage.tasks is not None and bool(stage.tasks.chances(vector[None])[0] > stage.tasks.limit)


def about_a_message(verdict: Verdict) -> Verdict:
    """The verdict on a text of which a unit is a task."""
    return replace(verdict, labels=(), abstention=Abstention.UNSURE, reason=ABOUT_A_MESSAGE)
