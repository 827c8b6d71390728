"""A teacher that is a language model: asked prompt by prompt within a budget, its answers cached and parsed.

A teacher's answers on disk, by what was asked: a re-run costs nothing.

What a teacher costs: an estimate before anything is spent, and a purse that closes at the budget.

What a teacher's model was asked for, and what that brought: in all, and of each label.
"""

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from classifiers.errors import PromptRefused, TeacherError
from classifiers.teacher import Teacher
from classifiers.training.rows import Row
from classifiers.training.write.answers import Labels, parse, parse_keyed
from classifiers.training.write.prompts import BATCH, SentenceRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A model's answer and the tokens it was billed for, 0 where that was not reported. cut: whether it ended since it
    may not be longer."""

    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Cache:
    """Answers below one folder, each in a file named for the hash of its question."""

    folder: Path

    def get(self, question: str) -> Completion | None:
        """The stored answer; None where there is none or it cannot be read as one."""
        try:
            values = json.loads(self._path(question).read_text(encoding="utf-8"))
            return Completion(**values["answer"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, question: str, answer: Completion) -> None:
        """Store an answer at once, whole or not at all. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"question": question, "answer": asdict(answer)}, ensure_ascii=False, indent=1)
        handle, made = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(made).replace(self._path(question))

    def _path(self, question: str) -> Path:
        return self.folder / f"{hashlib.sha256(question.encode()).hexdigest()[:32]}.json"


_ASCII_A_TOKEN = 4
_TOKENS_A_CHARACTER = 1.5
"""Of those beyond ASCII: few alphabets need more."""

_TOKENS_AROUND = 8
_TOKENS_A_SENTENCE = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherPrice:
    """Dollars for a token; zero where nothing is charged or the price is unknown (`known` tells which)."""

    input_usd: float = 0.0
    output_usd: float = 0.0
    known: bool = True

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """Dollars."""
        return input_tokens * self.input_usd + output_tokens * self.output_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the prompts that are not cached will come to, roughly."""

    calls: int
    cached_calls: int
    input_tokens: int
    output_tokens: int
    usd: float


class BudgetExceeded(Exception):
    """The next call could cost more than is left."""


class Purse:
    """A budget in dollars and in tokens that is checked before each call and charged after it."""

    def __init__(self, budget_usd: float, price: TeacherPrice, tokens: int | None = None) -> None:
        """Nothing is spent yet. tokens: at most so many, in and out; None: any number."""
        self.spent_usd = 0.0
        self.input_tokens = 0
        self.output_tokens = 0
        self._budget_usd = budget_usd
        self._price = price
        self._tokens = tokens

    def check(self, ask: SentenceRequest, max_tokens: int) -> None:
        """Raises BudgetExceeded where this call could exceed the budget."""
        asked = token_count(ask.prompt)
        if self.spent_usd + self._price.of(asked, max_tokens) > self._budget_usd:
            raise BudgetExceeded
        if self._tokens is not None and self.input_tokens + self.output_tokens + asked + max_tokens > self._tokens:
            raise BudgetExceeded

    def charge(self, ask: SentenceRequest, answer: Completion) -> None:
        """Count a call's tokens, by the length of its text where the server does not report them."""
        asked = answer.input_tokens or token_count(ask.prompt)
        told = answer.output_tokens or token_count(answer.text)
        self.input_tokens += asked
        self.output_tokens += told
        self.spent_usd += self._price.of(asked, told)


def estimate(asks: Sequence[SentenceRequest], cached: int, price: TeacherPrice) -> Estimate:
    """asks: those that must be paid for; cached: how many need not be."""
    asked = sum(token_count(ask.prompt) for ask in asks)
    told = sum(ask.texts * _TOKENS_A_SENTENCE for ask in asks)
    return Estimate(
        calls=len(asks), cached_calls=cached, input_tokens=asked, output_tokens=told, usd=price.of(asked, told)
    )


def token_count(text: str) -> int:
    """A rough count, on the high side."""
    ascii_only = sum(map(str.isascii, text))
    return int(ascii_only / _ASCII_A_TOKEN + (len(text) - ascii_only) * _TOKENS_A_CHARACTER) + _TOKENS_AROUND


_NONE = "none"


class Tally:
    """Counts of batches and of sentences. A batch of several labels counts for each of them.

    wanted: what was to be asked for; answered: taken from the cache, or asked for, whatever came of it; unusable:
    answered without any sentence; sentences: all that came.
    """

    def __init__(self) -> None:
        self.wanted = self.answered = self.unusable = self.sentences = 0
        self._wanted: Counter[str] = Counter()
        self._unusable: Counter[str] = Counter()
        self._sentences: Counter[str] = Counter()

    def want(self, asks: Sequence[SentenceRequest]) -> None:
        """Count what is to be asked for."""
        self.wanted += len(asks)
        for ask in asks:
            self._wanted.update(_labels(ask))

    def take(self, ask: SentenceRequest, texts: Sequence[tuple[str, Labels]]) -> None:
        """Count what one of these brought."""
        self.answered += 1
        self.sentences += len(texts)
        for _, labels in texts:
            self._sentences.update(labels or (_NONE,))
        if not texts:
            self.unusable += 1
            self._unusable.update(_labels(ask))

    def told(self) -> dict[str, Any]:
        """For the report."""
        return {
            "batches": {"wanted": self.wanted, "answered": self.answered, "unusable": self.unusable},
            "labels": {
                name: {"batches": wanted, "unusable": self._unusable[name], "sentences": self._sentences[name]}
                for name, wanted in self._wanted.items()
            },
        }


def _labels(ask: SentenceRequest) -> set[str]:
    return {name for names in ask.labels.values() for name in names} or {_NONE}


__all__ = ["CACHE", "Approve", "Author", "Complete", "Completion", "Hire", "Hired", "TeacherPrice"]

CACHE = "teacher-cache"
"""Folder of the cached answers, below models_dir."""

_TEMPERATURE = 0.9
_TOKENS_A_TEXT, _TOKENS_BESIDE = 100, 200
_TOKENS_OF_THOUGHT = 8000
_TRIES = 2
_GIVES_UP, _GIVES_UP_CUT = 10, 3
"""After so many batches without one text; the second, where each answer was cut off."""
_SHOWN_CHARS = 200
_LONGER = 1.1
"""Times as long as an answer that was cut off: servers count differently."""


class Complete(Protocol):
    """Asks the teacher's model. It does its own retries, and raises TeacherError when it gives up, PromptRefused where
    it is this prompt alone that the model does not take."""

    def __call__(self, prompt: str, *, max_tokens: int, temperature: float, seed: int) -> Completion:
        """The model's answer to a prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hired:
    """A teacher's model, ready to be asked, and what a token of it costs."""

    complete: Complete
    price: TeacherPrice


Hire = Callable[[Teacher], Hired]
"""Raises TeacherError where the model cannot be had."""

Approve = Callable[[Teacher, Estimate, TeacherPrice, str], bool]
"""Told what asking will come to before anything is spent, and what for; False: do not ask."""


class Author:
    """One teacher's model through a whole training: what it wrote, what it spent."""

    def __init__(self, teacher: Teacher, hired: Hired, *, place: int, writer: str, cache_dir: Path, seed: int) -> None:
        """place: the teacher's place in the policy, from 0; writer: what its rows are told by."""
        self.teacher = teacher
        self.writer = writer
        self.price = hired.price
        self._complete = hired.complete
        self._group = f"teacher {place}" if place else "teacher"
        self._cache = Cache(cache_dir)
        self._seeds = range(seed, seed + _TRIES)
        self._purse = Purse(teacher.budget, hired.price, teacher.tokens)
        self._expected = 0.0
        self._tally = Tally()
        self._answers, self._brought, self._cut, self._refused = 0, 0, 0, 0
        self._last = ""
        self._thinks = False
        self._over_budget = False

    @property
    def spent_usd(self) -> float:
        """Until now, in this run."""
        return self._purse.spent_usd

    @property
    def failing(self) -> str:
        """Why nothing came of what was asked, and how the last answer begins."""
        why = []
        if self._answers:
            why.append(f"none of its answers ({self._answers}) held a JSON list of texts")
        if self._cut:
            longest = f"cut off at {self._longest(BATCH)} tokens or so ({self._cut}); answer_tokens allows longer ones"
            why.append(f"they were {longest}")
        if self._refused:
            why.append(f"it refused prompts ({self._refused})")
        if self._over_budget:
            why.append("then the budget was spent" if why else "the budget is too small for one call")
        if self._last:
            why.append(f"the last answer begins {self._last[:_SHOWN_CHARS]!r}")
        return "; ".join(why)

    @property
    def over_budget(self) -> bool:
        """Whether something was left out since the next call could have exceeded the budget."""
        return self._over_budget

    def estimate(self, asks: Sequence[SentenceRequest]) -> Estimate:
        """What asking will come to. Nothing is asked."""
        paid = [ask for ask in asks if not self._cached(ask)]
        return estimate(paid, len(asks) - len(paid), self.price)

    def write(self, asks: Sequence[SentenceRequest], advance: Callable[[int, int], None]) -> list[Row]:
        """Ask for every batch until the budget is spent, and from then on take only those whose answers are cached.

        Each batch is one group. A model that has brought nothing at all is not asked on and on. Raises TeacherError
        where `complete` gives up (the answers that held texts until then are cached, so that a re-run goes on from
        there).
        """
        self._expected += self.estimate(asks).usd
        self._tally.want(asks)
        rows: list[Row] = []
        for done, ask in enumerate(asks, 1):
            try:
                texts = self._texts(ask)
            except BudgetExceeded:
                self._over_budget = True
                texts = self._cached(ask, short=True)
                if not texts:
                    continue
            except PromptRefused as refused:
                self._refused += 1
                self._last = str(refused)
                texts = self._cached(ask, short=True)
            self._tally.take(ask, texts)
            rows += [
                Row(
                    text=text,
                    labels=labels,
                    group=f"{self._group}/{ask.batch}",
                    source="teacher",
                    writer=self.writer,
                )
                for text, labels in texts
            ]
            advance(done, len(asks))
            if self._hopeless():
                break
        return rows

    def summary(self) -> dict[str, Any]:
        """For the report and the manifest."""
        return {
            "model": self.teacher.model,
            "writer": self.writer,
            "sentences": self._tally.sentences,
            **self._tally.told(),
            "refused": self._refused,
            "cut_off": self._cut,
            "estimate_usd": round(self._expected, 6),
            "spent_usd": round(self._purse.spent_usd, 6),
            "price_known": self.price.known,
            "input_tokens": self._purse.input_tokens,
            "output_tokens": self._purse.output_tokens,
            "stopped_by_budget": self._over_budget,
        }

    def _texts(self, ask: SentenceRequest) -> list[tuple[str, Labels]]:
        """A batch's texts, from the cache or paid for; a second try with another seed where the first is unusable."""
        if known := self._cached(ask):
            return known
        if self._over_budget:
            raise BudgetExceeded
        for seed in self._seeds:
            most = self._longest(ask.texts)
            self._purse.check(ask, most)
            answer = self._complete(ask.prompt, max_tokens=most, temperature=_TEMPERATURE, seed=seed)
            self._purse.charge(ask, answer)
            self._answers += 1
            self._cut += answer.cut
            self._last = answer.text
            texts = _read(ask, answer.text)
            if texts:
                self._brought += 1
                self._cache.put(self._question(ask, seed), answer)
                return texts
            # before any text, it is a thought that took all the room; later it may have lost its way
            self._thinks |= answer.cut and not self._brought
        return self._cached(ask, short=True)

    def _longest(self, texts: int) -> int:
        """How many tokens an answer of so many texts may have."""
        thought = _TOKENS_OF_THOUGHT if self._thinks else 0
        return self.teacher.answer_tokens or _TOKENS_A_TEXT * texts + _TOKENS_BESIDE + thought

    def _hopeless(self) -> bool:
        """Whether so much came to nothing, and all else as well, that more of it would."""
        most = _GIVES_UP_CUT if self._answers and self._cut == self._answers else _GIVES_UP
        return not self._tally.sentences and self._tally.unusable >= most

    def _cached(self, ask: SentenceRequest, *, short: bool = False) -> list[tuple[str, Labels]]:
        """A batch's texts in the cache; none where no try was answered with any. short: also where the answer was cut
        off and a longer one is allowed by now."""
        answers = (self._cache.get(self._question(ask, seed)) for seed in self._seeds)
        kept = (answer for answer in answers if answer and (short or not self._may_be_longer(answer)))
        return next((texts for answer in kept if (texts := _read(ask, answer.text))), [])

    def _may_be_longer(self, answer: Completion) -> bool:
        told = answer.output_tokens or token_count(answer.text)
        return answer.cut and (self.teacher.answer_tokens or 0) > _LONGER * told

    def _question(self, ask: SentenceRequest, seed: int) -> str:
        """All that an answer depends on."""
        teacher = self.teacher
        where = f"{teacher.model} at {teacher.base_url}" if teacher.base_url else f"{teacher.model}"
        return json.dumps([where, _TEMPERATURE, seed, ask.prompt], ensure_ascii=False)


def nothing_written(name: str, author: Author) -> TeacherError:
    """Why a teacher that was asked wrote nothing at all."""
    return TeacherError(f"{name}: teacher {author.writer} wrote nothing: {author.failing}")


def _read(ask: SentenceRequest, answer: str) -> list[tuple[str, Labels]]:
    if list(ask.labels) == [""]:
        return [(text, ask.labels[""]) for text in parse(answer)[: ask.wanted]]
    return parse_keyed(answer, ask.labels, most=2 * ask.wanted)
