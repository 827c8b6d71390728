"""Texts → windows → vectors: tokenised once per tokenizer, encoded once per encoder, and kept in LRU caches.

Each turn of a chat is a text of its own, so only a new turn is encoded when the chat goes on.
"""

import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from classifiers.encoder.session import Encoder
from classifiers.encoder.tokens import LONGEST_CHARS_A_TOKEN
from classifiers.model.model import EncoderId, Floats, Model, Stage
from classifiers.slots.fill import Tagged
from classifiers.slots.tags import read as read_words
from classifiers.slots.tags import word_windows
from classifiers.text.language import LanguageDetector, Stretch
from classifiers.text.spans import Span, read
from classifiers.text.windows import Window, cut

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """An LRU cache. For one thread at a time. capacity: the largest sum of all entries' weights; a heavier entry is not
    kept. weigh: an entry's weight, by default 1."""

    def __init__(self, capacity: int, weigh: Callable[[K, V], int] = lambda _key, _value: 1) -> None:
        self._capacity = capacity
        self._weigh = weigh
        self._entries: OrderedDict[K, V] = OrderedDict()
        self.weight = 0

    def get(self, key: K) -> V | None:
        """The value, which becomes the most recent; None where there is none."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def find(self, key: K, make: Callable[[], V]) -> V:
        """The value, made and stored where there is none."""
        value = self.get(key)
        if value is None:
            value = make()
            self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Store a value, and drop the least recent ones as needed."""
        if key in self._entries:
            self.weight -= self._weigh(key, self._entries.pop(key))
        weight = self._weigh(key, value)
        if weight > self._capacity:
            return
        self._entries[key] = value
        self.weight += weight
        while self.weight > self._capacity:
            self.weight -= self._weigh(*self._entries.popitem(last=False))


_REMEMBERED_BYTES = 16_000_000
"""Approximate size of the cache of tokenised texts."""

_REMEMBERED_STATES = 4_000_000
"""Numbers (16 MB) in the cache of token states, which slots are read from."""

_REMEMBERED_NOW = 1_000_000
"""Characters in the cache of pieces, which the classifiers that read one text share."""

Key = tuple[str, bytes, int, int]
"""The key of a window's vector: the encoder's sha256, the window's ids, and 0, 0; of a part's, as it is within the
window: its first token there and its last (exclusive)."""


class DeadlinePassed(Exception):
    """Time ran out between two texts or windows."""


def check_time(deadline: float | None) -> None:
    """deadline: by time.monotonic(). Raises DeadlinePassed from then on."""
    if deadline is not None and time.monotonic() >= deadline:
        raise DeadlinePassed


class Reader:
    """Encoders with caches of what they read. For one thread at a time. cache_windows: how many windows' vectors are
    cached (about 2 kB each). detector: of languages, where they matter. encoded, cached: windows computed so far, and
    taken from the cache."""

    def __init__(
        self, encoders: Iterable[Encoder], cache_windows: int, detector: LanguageDetector | None = None
    ) -> None:
        self.encoders: Mapping[str, Encoder] = {encoder.id.sha256: encoder for encoder in encoders}
        self.detector = detector
        remembered, states = (_REMEMBERED_BYTES, _REMEMBERED_STATES) if cache_windows else (0, 0)
        self._vectors: Recent[Key, Floats] = Recent(cache_windows)
        self._tokens: Recent[tuple[str, str], tuple[list[int], list[int]]] = Recent(
            _REMEMBERED_NOW, lambda key, tokens: len(key[0]) + 16 * len(tokens[0])
        )
        self._stretches: Recent[str, list[Stretch]] = Recent(_REMEMBERED_NOW, lambda piece, _: len(piece) + 200)
        self._spans: Recent[tuple[str, str, int, int, int, bool], Span] = Recent(
            remembered, lambda key, span: len(key[0]) + span.weight
        )
        self._systems: Recent[tuple[str, str, int], list[int]] = Recent(
            remembered, lambda key, ids: len(key[0]) + 8 * len(ids) + 64
        )
        self._states: Recent[Key, tuple[Floats, Floats]] = Recent(states, lambda _, states: states[1].size)
        self.encoded = 0
        self.cached = 0

    def spans(self, texts: Sequence[str], stage: Stage, max_windows: int, deadline: float | None) -> list[Span]:
        """The windows of each text as a stage reads them; the budget goes to the latest text first. Raises
        DeadlinePassed."""
        tokenizer, room, overlap = self._cut(stage)
        between, units = partial(check_time, deadline), stage.windowing.units
        of = partial(self.tokens, encoder=self.encoders[stage.encoder.sha256])
        starts = (lambda plain: of(plain)[1]) if units else None
        left = max_windows
        spans: list[Span] = []
        for text in reversed(texts):
            budget = max_windows if left > 0 else 0
            sizes = {"room": room, "overlap": overlap, "max_windows": budget}
            make = partial(
                read, text, lambda plain: of(plain)[0], **sizes, starts=starts, between=between, detect=self._languages
            )
            span = self._spans.find((text, tokenizer, room, overlap, budget, units), make).first(left)
            left -= len(span.windows)
            spans.append(span)
        return spans[::-1]

    def tokens(self, plain: str, encoder: Encoder) -> tuple[list[int], list[int]]:
        """A normalised text's token ids and the characters at which they begin."""
        return self._tokens.find((plain, encoder.tokenizer_sha256), lambda: encoder.with_starts(plain))

    def _languages(self, plain: str) -> list[Stretch]:
        detector = self.detector
        return self._stretches.find(plain, lambda: list(detector.stretches(plain))) if detector else []

    def _cut(self, stage: Stage) -> tuple[str, int, int]:
        """How a stage cuts texts into windows: the tokenizer, the room for text in a window, and the overlap."""
        reads = self.encoders[stage.encoder.sha256]
        room = reads.room(stage.windowing.tokens, stage.system_tokens)
        return reads.tokenizer_sha256, room, min(stage.windowing.overlap, room - 1)

    def alike(self, stage: Stage, another: Stage) -> bool:
        """Whether two stages cut texts into the same windows."""
        return self._cut(stage) == self._cut(another) and stage.windowing.units == another.windowing.units

    def translate(
        self, window: Window, span: Span, source: EncoderId, target: Stage, deadline: float | None
    ) -> list[Window]:
        """A window of `source`'s tokens as windows of a stage: several where the stage takes fewer tokens at a time.
        span: the window's text; a text of one window is tokenised anew, a longer one is decoded from its tokens. Raises
        DeadlinePassed."""
        check_time(deadline)
        reads, had = self.encoders[target.encoder.sha256], self.encoders[source.sha256]
        room = reads.room(reads.max_tokens, target.system_tokens)
        if reads.tokenizer_sha256 == had.tokenizer_sha256:
            return [window] if len(window) <= room else cut(window, room, 0)
        return cut(self.tokens(span.plain or had.text_of(window), reads)[0], room, 0)

    def with_system(self, system: str, stage: Stage, window: Window) -> Window:
        """A window as a stage's encoder reads it: after the system prompt, if the stage reads one."""
        if not (system and stage.system_tokens):
            return window
        reads = self.encoders[stage.encoder.sha256]
        key = (system, reads.tokenizer_sha256, stage.system_tokens)
        ids = self._systems.find(key, lambda: reads.system(system, stage.system_tokens))
        return array("i", reads.after_system(ids, window))

    def encode(
        self,
        wanted: Iterable[tuple[Key, Window]],
        vectors: dict[Key, Floats],
        deadline: float | None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Fill in the vector of every key until the deadline. between: called before each window but the first. Raises
        DeadlinePassed."""
        missing: dict[str, dict[bytes, tuple[Window, set[Key]]]] = {}
        for key, window in wanted:
            if key in vectors:
                continue
            held = self._vectors.get(key)
            if held is None:
                missing.setdefault(key[0], {}).setdefault(key[1], (window, set()))[1].add(key)
            else:
                vectors[key] = held
                self.cached += not key[3]
        for sha256, windows in missing.items():
            encoder, waiting = self.encoders[sha256], list(windows.values())
            for start in range(0, len(waiting), encoder.threads):
                if start:
                    between()
                check_time(deadline)
                now = waiting[start : start + encoder.threads]
                for (_, keys), read_now in zip(now, encoder.states([window for window, _ in now]), strict=True):
                    for key in keys:
                        vectors[key] = _vector(key, *read_now)
                        self._vectors.put(key, vectors[key])
                self.encoded += len(now)

    def tag(
        self,
        text: str,
        model: Model,
        span: Span,
        vectors: dict[Key, Floats],
        deadline: float | None,
        *,
        between: Callable[[], None] = lambda: None,
    ) -> Tagged:
        """The words of a text and their tags' logits, by a model with a tagger, as far as `span` was read. Single words
        may take more tokens than the normalised text, and blanks take none; so a text that was read whole is tagged to
        its end. Encoded windows are added to `vectors`. Raises DeadlinePassed."""
        assert model.tagger is not None
        stage, tagger = model.last, model.tagger
        reads = self.encoders[stage.encoder.sha256]
        room = reads.room(stage.windowing.tokens)
        overlap = min(stage.windowing.overlap, room - 1)
        most = len(span.windows) if span.unread else None
        # text far past the windows is not read, and a text without tokens is not followed for ever
        reach = None if most is None else most * room * LONGEST_CHARS_A_TOKEN
        words = read_words(text[:reach], reads.words, lambda: check_time(deadline))
        pieces = list(word_windows(words, room=room, overlap=overlap, most=most))
        # all words, but for a text that was not read to its end
        logits = np.empty((sum(len(piece.words) for piece in pieces), len(tagger.bias)), np.float32)
        for piece in pieces:
            between()
            check_time(deadline)
            vector, states = self._state(reads, piece.window)
            vectors[key_of(reads.id, piece.window)] = vector
            logits[piece.words] = states[piece.rows] @ tagger.weights.T + tagger.bias
        return Tagged(text=text, words=words, logits=logits)

    def _state(self, encoder: Encoder, window: Window) -> tuple[Floats, Floats]:
        key = key_of(encoder.id, window)
        held = self._states.get(key)
        if held is None:
            [held] = encoder.states([window])
            self._states.put(key, held)
            self._vectors.put(key, held[0])
            self.encoded += 1
        else:
            self.cached += 1
        return held


def key_of(encoder: EncoderId, window: Window, first: int = 0, last: int = 0) -> Key:
    """The key of a window, or of a part as it is within the window: equal for equal encoder, ids and place."""
    return encoder.sha256, window.tobytes(), first, last


_AROUND = 0.4
"""How much of the whole window is taken out of a part's tokens, which have read the rest of it."""


def _vector(key: Key, vector: Floats, states: Floats) -> Floats:
    _, _, first, last = key
    if not last:
        return vector
    own = states[first:last].mean(axis=0) - _AROUND * states.mean(axis=0)
    unit: Floats = own / max(float(np.linalg.norm(own)), 1e-12)
    return unit
