"""A teacher that is a language model: it is asked within a budget, and its answers are cached on disk and parsed."""

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from classifiers.errors import PromptRefused, TeacherError
from classifiers.policy import NONE, Teacher
from classifiers.training.rows import Row
from classifiers.training.write.answers import Labels, parse, parse_keyed
from classifiers.training.write.prompts import BATCH, SentenceRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherReply:
    """A model's answer and its billed tokens, 0 where not reported. cut: whether the answer hit the length limit."""

    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherPrice:
    """Dollars for a token; zero where nothing is charged or the price is unknown (not `known`)."""

    input_usd: float = 0.0
    output_usd: float = 0.0
    known: bool = True

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """Dollars for so many tokens."""
        return input_tokens * self.input_usd + output_tokens * self.output_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Roughly what the prompts that are not cached will cost."""

    calls: int
    cached_calls: int
    input_tokens: int
    output_tokens: int
    usd: float


def token_count(text: str) -> int:
    """A rough count, on the high side."""
    ascii_only = sum(map(str.isascii, text))
    # few alphabets need more than 1.5 for a character
    return int(ascii_only / 4 + (len(text) - ascii_only) * 1.5) + 8


CACHE = "teacher-cache"
"""Folder of the answers below models_dir, each in a file named by the hash of its question. A re-run costs nothing."""

_TEMPERATURE = 0.9
_TOKENS_A_SENTENCE, _TOKENS_A_TEXT, _TOKENS_AROUND_TEXTS = 25, 100, 200
_TOKENS_OF_THOUGHT = 8000
_TRIES = 2
_GIVES_UP = 5
"""Batches without any text after which the model is not asked again."""
_SHOWN_CHARS = 200


class Complete(Protocol):
    """Asks the teacher's model, with its own retries. Raises TeacherError when it gives up, PromptRefused where the
    model refuses only this prompt."""

    def __call__(self, prompt: str, *, max_tokens: int, temperature: float, seed: int) -> TeacherReply:
        """The model's answer to a prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hired:
    """A teacher's model and its price."""

    complete: Complete
    price: TeacherPrice


TeacherFactory = Callable[[Teacher], Hired]
"""Raises TeacherError where the model is not available."""

Approve = Callable[[Teacher, Estimate, TeacherPrice], bool]
"""Decides whether to ask, from the estimate and the price, before anything is spent."""

_Texts = list[tuple[str, Labels]]


class _BudgetExceeded(Exception):
    """The next call could cost more than is left."""


class Author:
    """One teacher's model during a training, with what it wrote and spent. over_budget: whether batches were left out
    because the next call could have exceeded the budget."""

    def __init__(self, teacher: Teacher, hired: Hired, *, place: int, writer: str, cache_dir: Path, seed: int) -> None:
        """place: the teacher's place in the policy, from 0; writer: the name its rows carry."""
        self.teacher = teacher
        self.writer = writer
        self.price = hired.price
        self.spent_usd = 0.0
        self.over_budget = False
        self._complete = hired.complete
        self._place = place
        self._cache_dir = cache_dir
        self._seeds = range(seed, seed + _TRIES)
        # of batches: wanted, answered (or cached), unusable (without any sentence), refused; answers, cut, sentences
        self._counts: Counter[str] = Counter()
        # of each label: batches, unusable, sentences; a batch of several labels counts for each
        self._labels: dict[str, Counter[str]] = defaultdict(Counter)
        self._tokens = {"input_tokens": 0, "output_tokens": 0}
        self._expected = 0.0
        self._last = ""
        self._thinks = False

    def failure(self, policy: str) -> TeacherError:
        """The error where nothing was written: why, and how the last answer begins."""
        answers, cut, refused = (self._counts[name] for name in ("answers", "cut", "refused"))
        why = [
            f"none of its answers ({answers}) held a JSON list of texts" if answers else "",
            f"they were cut off at {self._longest(BATCH)} tokens or so ({cut})" if cut else "",
            f"it refused prompts ({refused})" if refused else "",
        ]
        if self.over_budget:
            why.append("then the budget was spent" if any(why) else "the budget is too small for one call")
        if self._last:
            why.append(f"the last answer begins {self._last[:_SHOWN_CHARS]!r}")
        return TeacherError(f"{policy}: teacher {self.writer} wrote nothing: {'; '.join(filter(None, why))}")

    def estimate(self, asks: Sequence[SentenceRequest]) -> Estimate:
        """What asking will cost. Nothing is asked."""
        paid = [ask for ask in asks if not self._cached(ask)]
        asked = sum(token_count(ask.prompt) for ask in paid)
        output = sum(ask.texts * _TOKENS_A_SENTENCE for ask in paid)
        return Estimate(
            calls=len(paid),
            cached_calls=len(asks) - len(paid),
            input_tokens=asked,
            output_tokens=output,
            usd=self.price.cost(asked, output),
        )

    def write(self, asks: Sequence[SentenceRequest], advance: Callable[[int, int], None]) -> list[Row]:
        """Ask for every batch until the budget is spent; from then on take only cached answers. Each batch is one
        group. A model that writes nothing is given up after some batches. Raises TeacherError where `complete` gives
        up; answers until then are cached, so a re-run continues from there."""
        self._expected += self.estimate(asks).usd
        group = f"teacher {self._place}" if self._place else "teacher"
        rows: list[Row] = []
        for ask in asks:
            self._count("wanted", "batches", ask.labels.values())
        for done, ask in enumerate(asks, 1):
            try:
                texts = self._texts(ask)
            except _BudgetExceeded:
                self.over_budget = True
                continue
            self._counts["answered"] += 1
            for text, labels in texts:
                self._count("sentences", "sentences", [labels])
                name = f"{group}/{ask.batch}"
                rows.append(Row(text=text, labels=labels, group=name, source="teacher", writer=self.writer))
            if not texts:
                self._count("unusable", "unusable", ask.labels.values())
            advance(done, len(asks))
            if not rows and self._counts["unusable"] >= _GIVES_UP:
                break
        return rows

    def _count(self, what: str, of_label: str, labels: Iterable[Labels]) -> None:
        self._counts[what] += 1
        for name in set(chain.from_iterable(labels)) or {NONE}:
            self._labels[name][of_label] += 1

    def summary(self) -> dict[str, Any]:
        """The figures for the report and the manifest."""
        return {
            "model": self.teacher.model,
            "writer": self.writer,
            "sentences": self._counts["sentences"],
            "batches": {what: self._counts[what] for what in ("wanted", "answered", "unusable")},
            "labels": {
                name: {what: own[what] for what in ("batches", "unusable", "sentences")}
                for name, own in self._labels.items()
                if own["batches"]
            },
            "refused": self._counts["refused"],
            "cut_off": self._counts["cut"],
            "estimate_usd": round(self._expected, 6),
            "spent_usd": round(self.spent_usd, 6),
            "price_known": self.price.known,
            **self._tokens,
            "stopped_by_budget": self.over_budget,
        }

    def _texts(self, ask: SentenceRequest) -> _Texts:
        """A batch's texts, cached or paid for, with a second try by another seed where the first is unusable."""
        if known := self._cached(ask):
            return known
        if self.over_budget:
            raise _BudgetExceeded
        for seed in self._seeds:
            try:
                answer = self._answer(ask, seed)
            except PromptRefused as refused:
                self._counts["refused"] += 1
                self._last = str(refused)
                return []
            if texts := _read(ask, answer.text):
                self._keep(ask, seed, answer)
                return texts
            # an answer cut off before any text was all thought; a later one may just be too long
            self._thinks |= answer.cut and not self._counts["sentences"]
        return []

    def _answer(self, ask: SentenceRequest, seed: int) -> TeacherReply:
        """A paid answer. Raises _BudgetExceeded where the call could exceed the budget. Tokens are estimated from the
        texts where the server does not report them."""
        longest, asked, spent = self._longest(ask.texts), token_count(ask.prompt), sum(self._tokens.values())
        over = self.teacher.tokens is not None and spent + asked + longest > self.teacher.tokens
        if over or self.spent_usd + self.price.cost(asked, longest) > self.teacher.budget:
            raise _BudgetExceeded
        answer = self._complete(ask.prompt, max_tokens=longest, temperature=_TEMPERATURE, seed=seed)
        asked, output = answer.input_tokens or asked, answer.output_tokens or token_count(answer.text)
        self._tokens["input_tokens"] += asked
        self._tokens["output_tokens"] += output
        self.spent_usd += self.price.cost(asked, output)
        self._counts += Counter(answers=1, cut=int(answer.cut))
        self._last = answer.text
        return answer

    def _longest(self, texts: int) -> int:
        """The most tokens that an answer of so many texts may have."""
        return _TOKENS_A_TEXT * texts + _TOKENS_AROUND_TEXTS + (_TOKENS_OF_THOUGHT if self._thinks else 0)

    def _cached(self, ask: SentenceRequest) -> _Texts:
        """A batch's cached texts, if any."""
        for seed in self._seeds:
            try:
                answer = json.loads(self._path(ask, seed).read_text(encoding="utf-8"))["answer"]["text"]
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if texts := _read(ask, answer):
                return texts
        return []

    def _keep(self, ask: SentenceRequest, seed: int, answer: TeacherReply) -> None:
        """Store an answer at once, whole or not at all. Raises OSError."""
        self._cache_dir.mkdir(parents=True, exist_ok=True)
        path = self._path(ask, seed)
        made = path.with_suffix(f".{os.getpid()}.tmp")
        made.write_text(json.dumps({"answer": asdict(answer)}, ensure_ascii=False, indent=1), encoding="utf-8")
        made.replace(path)

    def _path(self, ask: SentenceRequest, seed: int) -> Path:
        """Where an answer is kept, by everything that it depends on."""
        teacher = self.teacher
        where = f"{teacher.model} at {teacher.base_url}" if teacher.base_url else f"{teacher.model}"
        question = json.dumps([where, _TEMPERATURE, seed, ask.prompt], ensure_ascii=False)
        return self._cache_dir / f"{hashlib.sha256(question.encode()).hexdigest()[:32]}.json"


def _read(ask: SentenceRequest, answer: str) -> _Texts:
    if list(ask.labels) == [""]:
        return [(text, ask.labels[""]) for text in parse(answer)[: ask.wanted]]
    return parse_keyed(answer, ask.labels, most=2 * ask.wanted)
