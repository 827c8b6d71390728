"""A teacher that is a language model: asked prompt by prompt within a budget, its answers cached and parsed."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from classifiers.errors import PromptRefused, TeacherError
from classifiers.teacher import Teacher
from classifiers.training.rows import Row
from classifiers.training.write.answers import Labels, parse, parse_keyed
from classifiers.training.write.budget import BudgetExceeded, Estimate, Price, Purse, estimate, token_count
from classifiers.training.write.cache import Cache, Completion
from classifiers.training.write.prompts import BATCH, Ask
from classifiers.training.write.tally import Tally

__all__ = ["CACHE", "Approve", "Author", "Complete", "Completion", "Hire", "Hired", "Price"]

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
    price: Price


Hire = Callable[[Teacher], Hired]
"""Raises TeacherError where the model cannot be had."""

Approve = Callable[[Teacher, Estimate, Price, str], bool]
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

    def estimate(self, asks: Sequence[Ask]) -> Estimate:
        """What asking will come to. Nothing is asked."""
        paid = [ask for ask in asks if not self._cached(ask)]
        return estimate(paid, len(asks) - len(paid), self.price)

    def write(self, asks: Sequence[Ask], advance: Callable[[int, int], None]) -> list[Row]:
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

    def _texts(self, ask: Ask) -> list[tuple[str, Labels]]:
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

    def _cached(self, ask: Ask, *, short: bool = False) -> list[tuple[str, Labels]]:
        """A batch's texts in the cache; none where no try was answered with any. short: also where the answer was cut
        off and a longer one is allowed by now."""
        answers = (self._cache.get(self._question(ask, seed)) for seed in self._seeds)
        kept = (answer for answer in answers if answer and (short or not self._may_be_longer(answer)))
        return next((texts for answer in kept if (texts := _read(ask, answer.text))), [])

    def _may_be_longer(self, answer: Completion) -> bool:
        told = answer.output_tokens or token_count(answer.text)
        return answer.cut and (self.teacher.answer_tokens or 0) > _LONGER * told

    def _question(self, ask: Ask, seed: int) -> str:
        """All that an answer depends on."""
        teacher = self.teacher
        where = f"{teacher.model} at {teacher.base_url}" if teacher.base_url else f"{teacher.model}"
        return json.dumps([where, _TEMPERATURE, seed, ask.prompt], ensure_ascii=False)


def nothing_written(name: str, author: Author) -> TeacherError:
    """Why a teacher that was asked wrote nothing at all."""
    return TeacherError(f"{name}: teacher {author.writer} wrote nothing: {author.failing}")


def _read(ask: Ask, answer: str) -> list[tuple[str, Labels]]:
    if list(ask.labels) == [""]:
        return [(text, ask.labels[""]) for text in parse(answer)[: ask.wanted]]
    return parse_keyed(answer, ask.labels, most=2 * ask.wanted)
