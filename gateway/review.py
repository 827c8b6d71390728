"""Texts for a person to decide on, and what is decided: for `offramp review` and the page "Review".

They are texts that rules blocked or were in doubt of, and calls under a contract whose answers differ. A decision is a
row of `NAME.reviewed.jsonl` in the policy's folder, which training reads by itself.
"""

import fcntl
import json
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec

from classifiers import Runtime
from classifiers.policy import NONE, OTHER
from classifiers.training.data import reviewed_file
from classifiers.verdict import Reading
from gateway.answers.parse import Completion, label_in
from gateway.config.load import Loaded, load_policy, policy_file
from gateway.errors import ApiError
from gateway.ledger.call_store import CallStore, DifferingCall, KeptText, TextStore
from gateway.plan import reading_of
from gateway.protocols.chat_answers import CHAT
from gateway.rules.rule import Rule
from gateway.serving.snapshot import Snapshot

MOST_WAITING: Final = 1000
_MOST_DIFFERING: Final = 200
_WORDS: Final = re.compile(r"\d+|[^\W\d]+")
_LONG: Final = 1000
"""Characters; longer texts are alike only where they are equal."""
_EVEN: Final = 0.5
"""Stands in for a threshold that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewItem:
    """Texts of one classifier that count as the same. kept: as the store has them, none of a call that differs.

    why: `blocked`, `unsure` or `differs`. label, score: the likeliest, 0..1; margin: from the label's threshold.
    times: how many requests brought them; latest: Unix seconds. judged: the labels, parted by `|`, that a judge found,
    or that the model answered with; None where unknown. local, model: both answers of a call that differs.
    """

    id: str
    why: Literal["blocked", "unsure", "differs"]
    rule: str
    classifier: str
    label: str
    score: float
    margin: float
    text: str
    times: int
    latest: float
    judged: str | None = None
    local: str = ""
    model: str = ""
    kept: tuple[KeptText, ...] = ()


@dataclass(frozen=True, slots=True)
class ReviewedRows:
    """The rows of a classifier's texts that were decided on. labels: those that its policy learns. none: the label of
    text of none of them; empty where the policy has no word for it. keys: of the texts that the file has, each with its
    labels."""

    path: Path
    labels: Collection[str]
    none: str
    keys: dict[str, frozenset[str]]

    def add(self, text: str, label: str, *, by_judge: bool = False) -> bytes:
        """What was written: nothing where the policy does not learn the label, and nothing of a judge's where the file
        has the text. It stands for what was written of the text before. label: several parted by `|`, or `none`."""
        names = [self.none if name == NONE else name for name in label.split("|")]
        names = [name for name in names if name and name in (*self.labels, self.none)]
        if not names or (by_judge and alike(text) in self.keys):
            return b""
        # what a guard blocked or was in doubt of is harder than traffic, so that nothing must be measured on it
        row = {"text": text, "label": "|".join(names), "picked": True, **({"by": "judge"} if by_judge else {})}
        self.forget(text)
        with self.path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(max(file.seek(0, os.SEEK_END) - 1, 0))
            # somebody may have edited the file
            parted = b"" if file.read() in (b"", b"\n") else b"\n"
            written = parted + json.dumps(row, ensure_ascii=False).encode() + b"\n"
            file.write(written)
            file.flush()
            os.fsync(file.fileno())
        self.keys[alike(text)] = frozenset(names) - {NONE, OTHER}
        return written

    def forget(self, text: str) -> None:
        """Removes the rows of a text. Raises OSError."""
        if (key := alike(text)) not in self.keys:
            return
        with self.path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            lines = file.read().splitlines(keepends=True)
            file.truncate(0)
            file.write(b"".join(line for line in lines if key not in (alike(text) for text, _ in _rows_in([line]))))
            file.flush()
            os.fsync(file.fileno())
        del self.keys[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision. label: several parted by `|`, or `none`; written: to the rows; at: Unix seconds."""

    item: ReviewItem
    label: str
    rows: ReviewedRows
    written: bytes
    at: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reviewing:
    """Decides on texts. texts: opened to write, if anything is to be decided; calls: for those that differ. path: of
    the rows, instead of the file next to each policy. For one thread at a time."""

    loaded: Loaded
    texts: TextStore
    calls: CallStore | None = None
    path: Path | None = None
    _rows: dict[str, tuple[list[object], ReviewedRows]] = field(default_factory=dict)
    _done: list[Decided] = field(default_factory=list)

    def queue(
        self, rule: str | None = None, snapshot: Snapshot | None = None, *, most: int = MOST_WAITING
    ) -> list[ReviewItem]:
        """What nobody has decided on, nearest its threshold first. rule: that one of the texts is of. snapshot: whose
        thresholds they are, and whose rules read the calls that differ; without it there are none of these. most: of
        the texts, the newest."""
        by_text: dict[tuple[str, str], list[KeptText]] = {}
        for text in self.texts.waiting(most):
            by_text.setdefault((text.classifier, alike(text.text)), []).append(text)
        items = [_item(equal, snapshot) for equal in by_text.values() if all(text.harmful is None for text in equal)]
        items = [item for item in items if rule in (None, *(text.rule for text in item.kept))]
        differing = [] if self.calls is None or snapshot is None else self._differing(self.calls, snapshot, rule)
        return sorted([*items, *differing], key=lambda item: (item.margin, -item.latest, item.id))

    def rows(self, classifier: str) -> ReviewedRows:
        """Where rows of a classifier go. Raises ConfigError where its policy cannot be read."""
        file = policy_file(self.loaded, classifier)
        path = self.path or reviewed_file(file.parent, classifier)
        known, rows = self._rows.get(classifier, ([], None))
        if rows is None or known != [_state(file), _state(path)]:
            policy = load_policy(file, os.environ, secrets=False)
            several = policy.kind == "safety" or policy.multi_label
            none = NONE if several else OTHER if policy.other else ""
            keys = {alike(text): labels for text, labels in reviewed_rows(path)}
            rows = ReviewedRows(path, policy.learned, none, keys)
            self._rows[classifier] = ([_state(file), _state(path)], rows)
        return rows

    def decide(self, item: ReviewItem, label: str) -> Decided:
        """Writes the row, then notes the decision. label: several parted by `|`, or `none`. Raises LedgerError,
        ConfigError and OSError."""
        rows, at = self.rows(item.classifier), time.time()
        decided = Decided(item=item, label=label, rows=rows, written=rows.add(item.text, label), at=at)
        self.texts.review(item.kept, harmful=label != NONE, at=at)
        self._done.append(decided)
        self._rows[item.classifier][0][1] = _state(rows.path)
        return decided

    def undo(self) -> Decided | None:
        """Takes the last decision of this one back; None where there is none, or its row was edited."""
        decided = self._done[-1] if self._done else None
        if decided is None or (decided.written and decided.written.strip() not in decided.rows.path.read_bytes()):
            return None
        self._done.pop()
        if decided.written:
            decided.rows.forget(decided.item.text)
        self.texts.open_again(decided.item.kept, at=decided.at)
        if decided.rows is self._rows[decided.item.classifier][1]:
            self._rows[decided.item.classifier][0][1] = _state(decided.rows.path)
        return decided

    def _differing(self, calls: CallStore, snapshot: Snapshot, name: str | None) -> Iterator[ReviewItem]:
        rules, seen = {rule.name: rule for rule in snapshot.rules if name in (None, rule.name)}, set[str]()
        for call in calls.differing(_MOST_DIFFERING):
            rule = rules.get(call.rule)
            item = None if rule is None else _differing_item(rule, call, snapshot)
            if item is not None and alike(item.text) not in seen:
                seen.add(alike(item.text))
                if alike(item.text) not in self.rows(item.classifier).keys:
                    yield item


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedAgain:
    """Reviewed texts by two versions. right: how many the older and the newer one name rightly; of a guard, whether
    they are harmful. wrong: by the newer one, each text with its labels and those that are named."""

    versions: tuple[str, str]
    rows: int
    right: tuple[int, int]
    wrong: Sequence[tuple[str, Collection[str], Collection[str]]]

    @classmethod
    def of(cls, loaded: Loaded, name: str, versions: tuple[str, str]) -> "ReviewedAgain":
        """Of a classifier. Raises ArtifactError, EncoderError and OSError."""
        rows = dict(reviewed_rows(reviewed_file(policy_file(loaded, name).parent, name)))
        runtime = Runtime.load(loaded.models_dir, [f"{name}@{each}" for each in versions], self_test=False)
        guard = any(one.model.policy.kind == "safety" for one in runtime.classifiers.values())
        right, wrong = [], list[tuple[str, Collection[str], Collection[str]]]()
        for version in versions:
            verdicts = runtime.classify([Reading(classifier=f"{name}@{version}", texts=(text,)) for text in rows])
            named = [frozenset(verdict.labels) - {OTHER} for verdict in verdicts]
            each = [(text, labels, found) for (text, labels), found in zip(rows.items(), named, strict=True)]
            wrong = [one for one in each if (bool(one[1]) != bool(one[2]) if guard else one[1] != one[2])]
            right.append(len(rows) - len(wrong))
        return cls(versions=versions, rows=len(rows), right=(right[0], right[1]), wrong=wrong)


def alike(text: str) -> str:
    """Equal for texts that count as the same: whose words are, but for case and numbers."""
    words = _WORDS.findall(text.casefold()) if len(text) <= _LONG else ()
    return " ".join("0" if word.isdecimal() else word for word in words) or text


def _state(file: Path) -> object:
    """What changes with the file; None where there is none."""
    return (stat.st_mtime_ns, stat.st_size) if file.exists() and (stat := file.stat()) else None


def reviewed_rows(file: Path) -> list[tuple[str, frozenset[str]]]:
    """The texts of a file of reviewed rows with the labels that hold; what is no row is left out. None hold of text
    that is `none` or `other`. Raises OSError."""
    return list(_rows_in(file.read_bytes().splitlines())) if file.exists() else []


def _rows_in(lines: Iterable[bytes]) -> Iterator[tuple[str, frozenset[str]]]:
    for line in lines:
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            row = json.loads(line)
            labels = row["label"].split("|") if isinstance(row["label"], str) else row["label"]
            yield str(row["text"]), frozenset(labels) - {NONE, OTHER}


def _margin(snapshot: Snapshot | None, classifier: str, label: str, score: float) -> float:
    """How far a score is from the label's threshold."""
    runtime = snapshot.runtime if snapshot else None
    known = runtime.classifiers.get(classifier) if runtime else None
    limits = known.model.last.thresholds if known and known.model.stages else {}
    return abs(score - min(limits[label].act, 1.0) if label in limits else score - _EVEN)


def _item(equal: Sequence[KeptText], snapshot: Snapshot | None) -> ReviewItem:
    first = equal[0]
    return ReviewItem(
        id=first.id,
        why="blocked" if any(text.kept_as == "blocked" for text in equal) else "unsure",
        rule=first.rule,
        classifier=first.classifier,
        label=first.label,
        score=first.confidence,
        margin=_margin(snapshot, first.classifier, first.label, first.confidence),
        text=first.text,
        times=sum(text.times for text in equal),
        latest=max(text.latest for text in equal),
        judged=_verdict(text.judged for text in equal),
        kept=tuple(equal),
    )


def _verdict(judged: Iterable[str | None]) -> str | None:
    """What judges found; None where they found different things."""
    verdicts = {each for each in judged if each}
    return verdicts.pop() if len(verdicts) == 1 else None


def _differing_item(rule: Rule, call: DifferingCall, snapshot: Snapshot) -> ReviewItem | None:
    """A call that differs, as its rule reads it; None where it reads nothing of it, or the answer is none."""
    completion = Completion(call.answer, CHAT, stream=call.answer.startswith(b"data:"))
    try:
        reading = reading_of(rule, CHAT.parse(call.request))
        texts = [
            part for one in completion.choices for part in (one.content, *(args for _, args in one.calls.values()))
        ]
    except (ApiError, msgspec.DecodeError, RecursionError):
        return None
    text = "\n".join(reading.texts) if reading else ""
    if not text.strip():
        return None
    score = call.score or 0.0
    return ReviewItem(
        id=call.request_id,
        why="differs",
        rule=rule.name,
        classifier=rule.classifier,
        label=call.label,
        score=score,
        margin=_margin(snapshot, rule.classifier, call.label, score),
        text=text,
        times=1,
        latest=call.at,
        judged=label_in(completion, rule.names),
        local=call.label,
        model=" ".join(filter(None, texts)),
    )
