"""A teacher that is a language model: it is asked within a budget, and its answers are cached on disk and parsed."""

import hashlib
import json
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from classifiers.errors import PromptRefused, TeacherError
from classifiers.policy import NONE
from classifiers.teacher import Teacher
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


@dataclass(frozen=True, slots=True)
class Cache:
    """Answers in one folder, each in a file named by the hash of its question. A re-run costs nothing."""

    folder: Path

    def get(self, question: str) -> TeacherReply | None:
        """The stored answer; None where there is none or it cannot be read."""
        try:
            values = json.loads(self._path(question).read_text(encoding="utf-8"))
            return TeacherReply(**values["answer"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, question: str, answer: TeacherReply) -> None:
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
"""Beyond ASCII; few alphabets need more."""

_TOKENS_AROUND = 8
_TOKENS_A_SENTENCE = 25


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


class BudgetExceeded(Exception):
    """The next call could cost more than is left."""


class Account:
    """A teacher's budget in dollars and tokens, and counts of what it was asked and wrote.

    wanted: batches to ask for; answered: batches asked for or cached; unusable: answered without any sentence. A batch
    of several labels counts for each of them.
    """

    def __init__(self, teacher: Teacher, price: TeacherPrice) -> None:
        """Nothing is spent yet."""
        self.spent_usd = 0.0
        self.input_tokens = self.output_tokens = 0
        self.wanted = self.answered = self.unusable = self.sentences = 0
        self._teacher = teacher
        self._price = price
        self._labels: dict[str, Counter[str]] = defaultdict(Counter)

    def check(self, ask: SentenceRequest, max_tokens: int) -> None:
        """Raises BudgetExceeded where this call could exceed the budget."""
        asked, most = token_count(ask.prompt), self._teacher.tokens
        over = most is not None and self.input_tokens + self.output_tokens + asked + max_tokens > most
        if over or self.spent_usd + self._price.cost(asked, max_tokens) > self._teacher.budget:
            raise BudgetExceeded

    def charge(self, ask: SentenceRequest, answer: TeacherReply) -> None:
        """Count a call's tokens, estimated from its text where the server does not report them."""
        asked = answer.input_tokens or token_count(ask.prompt)
        output = answer.output_tokens or token_count(answer.text)
        self.input_tokens += asked
        self.output_tokens += output
        self.spent_usd += self._price.cost(asked, output)

    def want(self, asks: Sequence[SentenceRequest]) -> None:
        """Count batches to ask for."""
        self.wanted += len(asks)
        for ask in asks:
            self._count("batches", ask.labels.values())

    def take(self, ask: SentenceRequest, texts: Sequence[tuple[str, Labels]]) -> None:
        """Count the sentences of a batch."""
        self.answered += 1
        self.sentences += len(texts)
        for _, labels in texts:
            self._count("sentences", [labels])
        if not texts:
            self.unusable += 1
            self._count("unusable", ask.labels.values())

    def _count(self, what: str, labels: Iterable[Labels]) -> None:
        for name in set(chain.from_iterable(labels)) or {NONE}:
            self._labels[name][what] += 1

    def summary(self) -> dict[str, Any]:
        """The counts for the report."""
        return {
            "sentences": self.sentences,
            "batches": {"wanted": self.wanted, "answered": self.answered, "unusable": self.unusable},
            "labels": {
                name: {what: own[what] for what in ("batches", "unusable", "sentences")}
                for name, own in self._labels.items()
                if own["batches"]
            },
        }


def token_count(text: str) -> int:
    """A rough count, on the high side."""
    ascii_only = sum(map(str.isascii, text))
    return int(ascii_only / _ASCII_A_TOKEN + (len(text) - ascii_only) * _TOKENS_A_CHARACTER) + _TOKENS_AROUND


CACHE = "teacher-cache"
"""Folder of the cached answers, below models_dir."""

_TEMPERATURE = 0.9
_TOKENS_A_TEXT, _TOKENS_AROUND_TEXTS = 100, 200
_TOKENS_OF_THOUGHT = 8000
_TRIES = 2
_GIVES_UP, _GIVES_UP_CUT = 10, 3
"""Batches without any text after which the model is not asked again; the second where each answer was cut off."""
_SHOWN_CHARS = 200


class Complete(Protocol):
    """Asks the teacher's model, with its own retries.

    Raises TeacherError when it gives up, PromptRefused where the model refuses only this prompt.
    """

    def __call__(self, prompt: str, *, max_tokens: int, temperature: float, seed: int) -> TeacherReply:
        """The model's answer to a prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hired:
    """A teacher's model and its price."""

    complete: Complete
    price: TeacherPrice


Hire = Callable[[Teacher], Hired]
"""Raises TeacherError where the model is not available."""

Approve = Callable[[Teacher, Estimate, TeacherPrice, str], bool]
"""Decides whether to ask, from the estimate, the price and the purpose, before anything is spent."""


class Author:
    """One teacher's model during a training, with what it wrote and spent."""

    def __init__(self, teacher: Teacher, hired: Hired, *, place: int, writer: str, cache_dir: Path, seed: int) -> None:
        """place: the teacher's place in the policy, from 0; writer: the name its rows carry."""
        self.teacher = teacher
        self.writer = writer
        self.price = hired.price
        self._complete = hired.complete
        self._place = place
        self._cache = Cache(cache_dir)
        self._seeds = range(seed, seed + _TRIES)
        self.account = Account(teacher, hired.price)
        self._expected = 0.0
        self._answers, self._brought, self._cut, self._refused = 0, 0, 0, 0
        self._last = ""
        self._thinks = False
        self.over_budget = False
        """Whether batches were left out because the next call could have exceeded the budget."""

    @property
    def failing(self) -> str:
        """Why nothing was written, and how the last answer begins."""
        why = []
        if self._answers:
            why.append(f"none of its answers ({self._answers}) held a JSON list of texts")
        if self._cut:
            why.append(f"they were cut off at {self._longest(BATCH)} tokens or so ({self._cut})")
        if self._refused:
            why.append(f"it refused prompts ({self._refused})")
        if self.over_budget:
            why.append("then the budget was spent" if why else "the budget is too small for one call")
        if self._last:
            why.append(f"the last answer begins {self._last[:_SHOWN_CHARS]!r}")
        return "; ".join(why)

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
        """Ask for every batch until the budget is spent; from then on take only cached answers.

        Each batch is one group. A model that writes nothing is given up after some batches. Raises TeacherError where
        `complete` gives up; answers until then are cached, so a re-run continues from there.
        """
        self._expected += self.estimate(asks).usd
        self.account.want(asks)
        group = f"teacher {self._place}" if self._place else "teacher"
        rows: list[Row] = []
        for done, ask in enumerate(asks, 1):
            try:
                texts = self._texts(ask)
            except BudgetExceeded:
                self.over_budget = True
                continue
            except PromptRefused as refused:
                self._refused += 1
                self._last = str(refused)
                texts = []
            self.account.take(ask, texts)
            rows += [
                Row(text=text, labels=labels, group=f"{group}/{ask.batch}", source="teacher", writer=self.writer)
                for text, labels in texts
            ]
            advance(done, len(asks))
            if self._hopeless():
                break
        return rows

    def summary(self) -> dict[str, Any]:
        """The figures for the report and the manifest."""
        return {
            "model": self.teacher.model,
            "writer": self.writer,
            **self.account.summary(),
            "refused": self._refused,
            "cut_off": self._cut,
            "estimate_usd": round(self._expected, 6),
            "spent_usd": round(self.account.spent_usd, 6),
            "price_known": self.price.known,
            "input_tokens": self.account.input_tokens,
            "output_tokens": self.account.output_tokens,
            "stopped_by_budget": self.over_budget,
        }

    def _texts(self, ask: SentenceRequest) -> list[tuple[str, Labels]]:
        """A batch's texts, cached or paid for, with a second try by another seed where the first is unusable."""
        if known := self._cached(ask):
            return known
        if self.over_budget:
            raise BudgetExceeded
        for seed in self._seeds:
            most = self._longest(ask.texts)
            self.account.check(ask, most)
            answer = self._complete(ask.prompt, max_tokens=most, temperature=_TEMPERATURE, seed=seed)
            self.account.charge(ask, answer)
            self._answers += 1
            self._cut += answer.cut
            self._last = answer.text
            texts = _read(ask, answer.text)
            if texts:
                self._brought += 1
                self._cache.put(self._question(ask, seed), answer)
                return texts
            # an answer cut off before any text was all thought; a later one may just be too long
            self._thinks |= answer.cut and not self._brought
        return []

    def _longest(self, texts: int) -> int:
        """The most tokens that an answer of so many texts may have."""
        thought = _TOKENS_OF_THOUGHT if self._thinks else 0
        return _TOKENS_A_TEXT * texts + _TOKENS_AROUND_TEXTS + thought

    def _hopeless(self) -> bool:
        """Whether so many batches brought nothing that more would not either."""
        most = _GIVES_UP_CUT if self._answers and self._cut == self._answers else _GIVES_UP
        return not self.account.sentences and self.account.unusable >= most

    def _cached(self, ask: SentenceRequest) -> list[tuple[str, Labels]]:
        """A batch's cached texts, if any."""
        answers = (self._cache.get(self._question(ask, seed)) for seed in self._seeds)
        return next((texts for answer in answers if answer and (texts := _read(ask, answer.text))), [])

    def _question(self, ask: SentenceRequest, seed: int) -> str:
        """Everything that an answer depends on, as text."""
        teacher = self.teacher
        where = f"{teacher.model} at {teacher.base_url}" if teacher.base_url else f"{teacher.model}"
        return json.dumps([where, _TEMPERATURE, seed, ask.prompt], ensure_ascii=False)


def nothing_written(name: str, author: Author) -> TeacherError:
    """The error of a teacher that wrote nothing at all."""
    return TeacherError(f"{name}: teacher {author.writer} wrote nothing: {author.failing}")


def _read(ask: SentenceRequest, answer: str) -> list[tuple[str, Labels]]:
    if list(ask.labels) == [""]:
        return [(text, ask.labels[""]) for text in parse(answer)[: ask.wanted]]
    return parse_keyed(answer, ask.labels, most=2 * ask.wanted)
