"""One reading through a classifier's stages: what to encode next, what is settled; and the passages patterns find."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import numpy as np

from classifiers.model.model import Floats, Stage
from classifiers.patterns.find import Kind, PatternMatch, find
from classifiers.runtime import cascade, thresholds
from classifiers.runtime.cascade import StageResult
from classifiers.runtime.classifier import Classifier
from classifiers.runtime.windows import Key, Reader, Recent, check_time, key_of
from classifiers.slots.fill import Tagged, with_slots
from classifiers.text.language import foreign
from classifiers.text.spans import Span
from classifiers.text.windows import Window
from classifiers.verdict import Passage, Reading, Verdict

_Piece = tuple[Window, Span, str]
"""A window, its text, and the system prompt that it is read with."""


@dataclass(slots=True, eq=False, kw_only=True)
class CascadeRun:
    """The state of one reading.

    passages: found by patterns. texts: what is to be read; systems: the system prompt of each, or empty. reached: the
    index of the next stage. pieces, asked, keys: the windows for that stage, as its encoder reads them, and the keys of
    their vectors. glances: parts of the texts as they are within those windows, None before they are known; doubtful:
    those that are read by themselves, since they are not surely clean. parts: the answers that settled something. grey:
    for safety, the windows that the stage before left open, and its answer on them; before: its answer on each of the
    pieces, or on the text. tagged: the texts' words, where the policy has slots.
    """

    reading: Reading
    classifier: Classifier
    passages: tuple[Passage, ...] = ()
    texts: Sequence[str]
    systems: Sequence[str]
    reached: int = 0
    spans: Sequence[Span] = ()
    pieces: Sequence[_Piece] = ()
    asked: Sequence[Window] = ()
    keys: Sequence[Key] | None = None
    glances: Sequence[tuple[_Piece, Key, Window]] | None = None
    doubtful: Sequence[_Piece] = ()
    parts: list[StageResult] = field(default_factory=list)
    grey: tuple[list[_Piece], StageResult] | None = None
    before: StageResult | None = None
    tagged: list[Tagged] | None = None

    @property
    def stage(self) -> Stage:
        """The next stage."""
        return self.classifier.model.stages[self.reached]

    def read(self, reader: Reader, deadline: float | None) -> None:
        """Cut the open text into the windows of the stage. Raises DeadlinePassed."""
        stage, reading = self.stage, self.reading
        if self.grey is None:
            first = self.reached == 0 and not self.doubtful
            if first or (self.reached and not reader.alike(self.classifier.model.stages[self.reached - 1], stage)):
                self.spans = reader.spans(self.texts, stage, reading.max_windows, deadline)
            spans = list(zip(self.spans, self.systems, strict=True))
            whole = [(window, span, system) for span, system in spans for window in span.whole]
            self._ask(reader, [*whole, *self.doubtful])
            if self.glances is None:
                self.glances = list(self._within(spans))
            return
        (asked, result), before = self.grey, self.classifier.model.stages[self.reached - 1]
        if stage.encoder.is_guard:
            self._read_texts(reader, asked, result, deadline)
            return
        again = [reader.translate(window, span, before.encoder, stage, deadline) for window, span, _ in asked]
        lost = np.array([not windows for windows in again])
        if lost.any():
            self.parts.append(result.only(lost))
        self.before = result.only(np.repeat(np.arange(len(again)), [len(windows) for windows in again]))
        each = zip(asked, again, strict=True)
        self._ask(reader, [(window, span, system) for (_, span, system), windows in each for window in windows])

    def _read_texts(self, reader: Reader, asked: Sequence[_Piece], result: StageResult, deadline: float | None) -> None:
        """Cut every text of which a window is open into windows of the stage. What the stage before makes of a text is,
        for each label, the highest of its open windows. Raises DeadlinePassed."""
        owners = np.array([id(span) for _, span, _ in asked])
        texts = {id(span): text for span, text in zip(self.spans, self.texts, strict=True)}
        order = list(dict.fromkeys(owners.tolist()))
        spans = reader.spans([texts[owner] for owner in order], self.stage, self.reading.max_windows, deadline)
        lost = np.isin(owners, [owner for owner, span in zip(order, spans, strict=True) if not span.windows])
        if lost.any():
            self.parts.append(result.only(lost))
        tops = np.stack([result.probabilities[owners == owner].max(axis=0) for owner in order])
        counts = [len(span.windows) for span in spans]
        each = result.only(np.zeros(sum(counts), np.intp))
        self.before = replace(each, probabilities=np.repeat(tops, counts, axis=0))
        self._ask(reader, [(window, span, "") for span in spans for window in span.windows])

    def tag(
        self, reader: Reader, vectors: dict[Key, Floats], deadline: float | None, between: Callable[[], None]
    ) -> None:
        """Tag the words of the texts once they are read. Raises DeadlinePassed."""
        model = self.classifier.model
        if model.tagger is None or self.tagged is not None or self.keys is None:
            return
        self.tagged = [
            reader.tag(text, model, span, vectors, deadline, between=between)
            for text, span in zip(self.reading.texts, self.spans, strict=True)
        ]

    def _within(self, spans: Sequence[tuple[Span, str]]) -> Iterator[tuple[_Piece, Key, Window]]:
        """The parts of texts, with what their vectors within the windows that are asked are called."""
        asked = iter(self.asked)
        for span, system in spans:
            around = [next(asked) for _ in span.whole]
            for part, (number, first, last) in zip(span.parts, span.within, strict=True):
                window = around[number]
                before = len(window) - len(span.whole[number])
                yield (part, span, system), key_of(self.stage.encoder, window, before + first, before + last), window

    def wanted(self) -> Iterator[tuple[Key, Window]]:
        """The windows whose vectors the stage needs."""
        yield from zip(self.keys or (), self.asked, strict=True)
        yield from ((key, window) for _, key, window in self.glances or ())

    def at_hand(self, vectors: Mapping[Key, Floats]) -> bool:
        """Whether the stage's windows are read and encoded."""
        tagged = self.classifier.model.tagger is None or self.tagged is not None
        return tagged and self.keys is not None and all(key in vectors for key, _ in self.wanted())

    def judge(self, vectors: Mapping[Key, Floats]) -> Verdict | None:
        """The verdict, or None where the next stage must be asked. All vectors must be at hand."""
        pieces = self.pieces
        if self.glances:
            glances, self.glances = self.glances, ()
            result = self._applied([piece for piece, *_ in glances], [vectors[key] for _, key, _ in glances])
            sure = cascade.surely_clean(result).tolist()
            self.doubtful = [piece for (piece, *_), clean in zip(glances, sure, strict=True) if not clean]
            if self.doubtful:
                self.keys = None
                return None
        rows = [vectors[key] for key in self.keys or ()]
        unread, foreign = sum(span.unread for span in self.spans), self._foreign()
        if rows:
            result = self._applied(pieces, rows)
            if self.before is not None:
                result = cascade.combine(result, self.before, multi_label=self.classifier.model.policy.multi_label)
            last, alone = self.reached == len(self.classifier.model.stages) - 1, result
            if not last and self.classifier.model.stages[self.reached + 1].encoder.is_guard:
                # a window of a long text is no surer to be clean, so that the guard reads that text as well
                alone = self._applied(pieces, rows, alone=True)
            sure_to_abstain = bool(unread or foreign or self.reading.incomplete or self.reading.cut)
            if not last and not self._settle(result, pieces, alone, sure_to_abstain=sure_to_abstain):
                self.reached, self.pieces, self.asked, self.keys = self.reached + 1, (), (), None
                return None
            if last:
                self.parts.append(result)
        verdict = self.classifier.verdict(
            self.parts,
            read=sum(len(span.windows) for span in self.spans),
            unread=unread,
            reading=self.reading,
            foreign=foreign,
            passages=self.passages,
        )
        if self.tagged is None:
            return verdict
        now = self.reading.now or datetime.now().astimezone()
        return with_slots(verdict, self.classifier.model, self.tagged, now, every=self.reading.every_slot)

    def _applied(self, pieces: Sequence[_Piece], rows: Sequence[Floats], *, alone: bool = False) -> StageResult:
        """The stage's answer on pieces. alone: as if each were a text by itself."""
        lengths = np.array([len(window) for window, *_ in pieces], np.float32)
        # unread windows count: a text is no shorter for being read in part
        among = [1 if alone else max(len(span.windows) + span.unread, 1) for _, span, _ in pieces]
        return self.classifier.apply(self._banded(self.stage), np.stack(rows), lengths, np.array(among, np.intp))

    def _ask(self, reader: Reader, pieces: Sequence[_Piece]) -> None:
        self.pieces = pieces
        self.asked = [reader.with_system(system, self.stage, window) for window, _, system in pieces]
        self.keys = [key_of(self.stage.encoder, window) for window in self.asked]

    def _settle(
        self, result: StageResult, pieces: Sequence[_Piece], alone: StageResult, *, sure_to_abstain: bool
    ) -> bool:
        """Keep what the stage settles. alone: its answer by which windows are settled. Returns whether that is all."""
        if not self.classifier.model.policy.multi_label:
            # no further stage helps where text was not read or is in an unknown language
            if sure_to_abstain or (cascade.settles(result) and not self.reading.last_stage):
                self.parts.append(result)
                return True
            self.before = result
            return False
        done = cascade.settled(alone)
        if done.any():
            self.parts.append(result.only(done))
        if done.all():
            return True
        left = [piece for piece, settled in zip(pieces, done.tolist(), strict=True) if not settled]
        self.grey = (left, result.only(~done))
        return False

    def _banded(self, stage: Stage) -> Stage:
        """The stage with its thresholds for a text like this one."""
        if not stage.bands:
            return stage
        stretches = (stretch for span in self.spans for stretch in span.stretches)
        language = thresholds.language_of(stretches, self.classifier.families)
        return thresholds.within(stage, sum(span.chars for span in self.spans), language)

    def _foreign(self) -> str:
        """The script or language of the text that the policy does not know. For safety a passage is enough."""
        letters: Counter[str] = Counter()
        for span in self.spans:
            letters.update(span.foreign)
        return foreign(
            letters,
            (stretch for span in self.spans for stretch in span.stretches),
            sum(span.chars for span in self.spans),
            scripts=self.classifier.scripts,
            languages=self.classifier.languages,
            passage=self.classifier.model.policy.multi_label,
        )


_REMEMBERED_CHARS = 4_000_000


class Passages:
    """Passages that patterns find, cached by text. For one thread at a time. remember: whether to cache."""

    def __init__(self, *, remember: bool = True) -> None:
        self._matches: Recent[tuple[str, frozenset[Kind]], list[PatternMatch]] = Recent(
            _REMEMBERED_CHARS if remember else 0, lambda key, matches: len(key[0]) + 64 * len(matches) + 64
        )

    def find(
        self, texts: Sequence[str], labels: Mapping[Kind, str], deadline: float | None = None
    ) -> tuple[Passage, ...]:
        """The passages by text and start. Those of one label do not overlap; those of several labels at one place have
        the same characters, the strongest kind first. labels: the label of each kind to find. deadline: by
        time.monotonic(). Raises DeadlinePassed."""
        kinds = frozenset(labels)
        passages: list[Passage] = []
        for place, text in enumerate(texts if labels else ()):
            make = partial(find, text, kinds, partial(check_time, deadline))
            for match in self._matches.find((text, kinds), make):
                strongest: dict[str, Kind] = {}
                for kind in (match.kind, *match.also):
                    strongest.setdefault(labels[kind], kind)
                passages += [
                    Passage(label=label, kind=kind, start=match.start, end=match.end, text=place)
                    for label, kind in strongest.items()
                ]
        return tuple(passages)
