"""Texts → windows → vectors: read once for each tokenizer, encoded once for each encoder, and remembered.

The turns of a chat are texts of their own, so when the chat goes on, only its new turn is encoded.

A mapping that forgets what was not used for longest, once it holds too much.
"""

import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np

from classifiers.encoder.session import Encoder
from classifiers.encoder.tokens import LONGEST_CHARS_A_TOKEN
from classifiers.model.model import EncoderId, Floats, Model, Stage
from classifiers.slots.fill import Tagged
from classifiers.slots.tags import judged, word_windows
from classifiers.slots.tags import read as read_words
from classifiers.text.language import LanguageDetector
from classifiers.text.spans import Span, read
from classifiers.text.windows import Window, cut

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """capacity: the most that the weights of all entries may add up to; an entry heavier than that is not kept.

    weigh: an entry's weight, by default 1. Not for several threads at once.
    """

    def __init__(self, capacity: int, weigh: Callable[[K, V], int] = lambda _key, _value: 1) -> None:
        self._capacity = capacity
        self._weigh = weigh
        self._entries: OrderedDict[K, V] = OrderedDict()
        self.weight = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value, which is now the most recent; None where it is not held."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Hold a value, forgetting older ones as needed."""
        if key in self._entries:
            self.weight -= self._weigh(key, self._entries.pop(key))
        weight = self._weigh(key, value)
        if weight > self._capacity:
            return
        self._entries[key] = value
        self.weight += weight
        while self.weight > self._capacity:
            oldest, held = self._entries.popitem(last=False)
            self.weight -= self._weigh(oldest, held)


_REMEMBERED_BYTES = 16_000_000
"""Of the texts whose windows are remembered, about; a text read again is then not tokenised again."""

_REMEMBERED_STATES = 4_000_000
"""Numbers, 16 MB: what encoders made of single tokens, for texts whose slots are looked for again."""

Key = tuple[str, bytes]
"""Of a window's vector: the encoder's sha256 and the window's ids."""


class DeadlinePassed(Exception):
    """Time ran out between two texts or windows."""


def check_time(deadline: float | None) -> None:
    """deadline: by time.monotonic(). Raises DeadlinePassed from then on."""
    if deadline is not None and time.monotonic() >= deadline:
        raise DeadlinePassed


class Reader:
    """Encoders and what they have read of late. For one thread at a time.

    cache_windows: how many windows' vectors are remembered (about 2 kB each). detector: of the languages that
    texts are in, where these matter.
    encoded, cached: windows computed so far, and taken from memory instead.
    """

    def __init__(
        self, encoders: Iterable[Encoder], cache_windows: int, detector: LanguageDetector | None = None
    ) -> None:
        self.encoders: Mapping[str, Encoder] = {encoder.id.sha256: encoder for encoder in encoders}
        self.detector = detector
        self._vectors: Recent[Key, Floats] = Recent(cache_windows)
        self._spans: Recent[tuple[str, str, int, int, int], Span] = Recent(
            _REMEMBERED_BYTES if cache_windows else 0, lambda key, span: len(key[0]) + span.weight
        )
        self._systems: Recent[tuple[str, str, int], Window] = Recent(
            _REMEMBERED_BYTES if cache_windows else 0, lambda key, ids: len(key[0]) + 4 * len(ids) + 64
        )
        self._states: Recent[Key, tuple[Floats, Floats]] = Recent(
            _REMEMBERED_STATES if cache_windows else 0, lambda _, states: states[1].size
        )
        self.encoded = 0
        self.cached = 0

    def spans(self, texts: Sequence[str], stage: Stage, max_windows: int, deadline: float | None) -> list[Span]:
        """The windows of each text as a stage reads them, the latest text first to be given its share of the budget.

        Raises DeadlinePassed.
        """
        reads = self.encoders[stage.encoder.sha256]
        room = reads.room(stage.windowing.tokens, stage.system_tokens)
        overlap = min(stage.windowing.overlap, room - 1)
        left = max_windows
        spans: list[Span] = []
        for text in reversed(texts):
            budget = max_windows if left > 0 else 0
            span = self._span(text, reads, room=room, overlap=overlap, max_windows=budget, deadline=deadline)
            span = span.first(left)
            left -= len(span.windows)
            spans.append(span)
        return spans[::-1]

    def alike(self, one: Stage, another: Stage) -> bool:
        """Whether two stages read texts as the same windows."""
        first, second = (self.encoders[stage.encoder.sha256] for stage in (one, another))
        return one.windowing == another.windowing and (
            (first.tokenizer_sha256, first.room(one.windowing.tokens, one.system_tokens))
            == (second.tokenizer_sha256, second.room(another.windowing.tokens, another.system_tokens))
        )

    def translate(
        self, window: Window, span: Span, source: EncoderId, target: Stage, deadline: float | None
    ) -> list[Window]:
        """A window of `source`'s tokens as windows of a stage: one, or more where it takes fewer tokens at a time.

        span: where the window is from; a text of one window is read anew, of a longer one what its tokens tell.
        Raises DeadlinePassed.
        """
        check_time(deadline)
        reads, had = self.encoders[target.encoder.sha256], self.encoders[source.sha256]
        room = reads.room(reads.max_tokens, target.system_tokens)
        if reads.tokenizer_sha256 == had.tokenizer_sha256:
            return [window] if len(window) <= room else cut(window, room, 0)
        return cut(reads.tokenize(span.plain or had.text_of(window)), room, 0)

    def beside(self, system: str, stage: Stage, window: Window) -> Window:
        """A window as a stage's encoder is to read it: beside the system prompt, if it reads that."""
        if not (system and stage.system_tokens):
            return window
        reads = self.encoders[stage.encoder.sha256]
        key = (system, reads.tokenizer_sha256, stage.system_tokens)
        ids = self._systems.get(key)
        if ids is None:
            ids = array("i", reads.system(system, stage.system_tokens))
            self._systems.put(key, ids)
        return array("i", reads.beside(ids, window))

    def encode(self, wanted: Iterable[tuple[Key, Window]], vectors: dict[Key, Floats], deadline: float | None) -> None:
        """Fill in the vector of every window, as far as time goes. Raises DeadlinePassed."""
        missing: dict[str, dict[Key, Window]] = {}
        for key, window in wanted:
            if key in vectors or key in missing.get(key[0], ()):
                continue
            held = self._vectors.get(key)
            if held is None:
                missing.setdefault(key[0], {})[key] = window
            else:
                vectors[key] = held
                self.cached += 1
        for sha256, windows in missing.items():
            self._encode(self.encoders[sha256], windows, vectors, deadline)

    def tag(self, text: str, model: Model, span: Span, vectors: dict[Key, Floats], deadline: float | None) -> Tagged:
        """The words of a text and their tags' logits, by a model that has a tagger: as far as `span` was read of it.

        Words by themselves may take more tokens than the text normalised as a whole, and blanks take none; so where all
        of it was read, they are followed to the end. What is encoded on the way is put into `vectors`, so that it need
        not be encoded again. Raises DeadlinePassed.
        """
        assert model.tagger is not None
        stage, tagger = model.last, model.tagger
        reads = self.encoders[stage.encoder.sha256]
        room = reads.room(stage.windowing.tokens)
        overlap = min(stage.windowing.overlap, room - 1)
        most = len(span.windows) if span.unread else None
        # what lies far past the windows is not looked at, nor is a text without tokens followed for ever
        reach = None if most is None else most * room * LONGEST_CHARS_A_TOKEN
        words = read_words(text[:reach], reads.words, lambda: check_time(deadline))
        found = list(word_windows(words, room=room, overlap=overlap, most=most))
        logits = np.empty((judged(found), len(tagger.bias)), np.float32)
        for piece in found:
            check_time(deadline)
            vector, states = self._state(reads, piece.window)
            vectors[key_of(reads.id, piece.window)] = vector
            logits[piece.words] = states[piece.rows] @ tagger.weights.T + tagger.bias
        return Tagged(text=text, words=words, logits=logits)

    def _state(self, encoder: Encoder, window: Window) -> tuple[Floats, Floats]:
        key = key_of(encoder.id, window)
        held = self._states.get(key)
        if held is None:
            held = encoder.states(window)
            self._states.put(key, held)
            self._vectors.put(key, held[0])
            self.encoded += 1
        else:
            self.cached += 1
        return held

    def _encode(
        self, encoder: Encoder, windows: Mapping[Key, Window], vectors: dict[Key, Floats], deadline: float | None
    ) -> None:
        keys, step = list(windows), encoder.threads
        for start in range(0, len(keys), step):
            check_time(deadline)
            part = keys[start : start + step]
            for key, vector in zip(part, encoder.encode([windows[key] for key in part]), strict=True):
                vectors[key] = vector
                self._vectors.put(key, vector)
            self.encoded += len(part)

    def _span(
        self, text: str, encoder: Encoder, *, room: int, overlap: int, max_windows: int, deadline: float | None
    ) -> Span:
        key = (text, encoder.tokenizer_sha256, room, overlap, max_windows)
        span = self._spans.get(key)
        if span is None:
            check_time(deadline)
            span = read(
                text,
                encoder.tokenize,
                room=room,
                overlap=overlap,
                max_windows=max_windows,
                between=lambda: check_time(deadline),
                detect=self.detector.stretches if self.detector else lambda _: (),
            )
            self._spans.put(key, span)
        return span


def key_of(encoder: EncoderId, window: Window) -> Key:
    """By this windows are told apart: equal encoder and ids, equal key."""
    return encoder.sha256, window.tobytes()
