"""A teacher that is a language model: asked prompt by prompt within a budget, its answers cached and parsed."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from classifiers.errors import TeacherError
from classifiers.teacher import Teacher
from classifiers.training.rows import Row
from classifiers.training.write.answers import Labels, parse, parse_keyed
from classifiers.training.write.budget import BudgetExceeded, Estimate, Price, Purse, estimate
from classifiers.training.write.cache import Cache, Completion
from classifiers.training.write.prompts import Ask

__all__ = ["CACHE", "Approve", "Author", "Complete", "Completion", "Hire", "Hired", "Price"]

CACHE = "teacher-cache"
"""Folder of the cached answers, below models_dir."""

_TEMPERATURE = 0.9
_TOKENS_A_TEXT, _TOKENS_BESIDE = 100, 200
_TRIES = 2


class Complete(Protocol):
    """Asks the teacher's model. It does its own retries, and raises TeacherError when it gives up."""

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

    def __init__(self, teacher: Teacher, hired: Hired, *, place: int, cache_dir: Path, seed: int) -> None:
        """place: the teacher's place in the policy, from 0."""
        self.teacher = teacher
        self.price = hired.price
        self._complete = hired.complete
        self._group = f"teacher {place}" if place else "teacher"
        self._cache = Cache(cache_dir)
        self._seeds = range(seed, seed + _TRIES)
        self._purse = Purse(teacher.budget, hired.price, teacher.tokens)
        self._expected = 0.0
        self._answers = 0
        self._wanted, self._answered, self._unusable, self._sentences = 0, 0, 0, 0
        self._over_budget = False

    @property
    def spent_usd(self) -> float:
        """Until now, in this run."""
        return self._purse.spent_usd

    @property
    def answers(self) -> int:
        """How many the model gave, in this run."""
        return self._answers

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

        Each batch is one group. Raises TeacherError where `complete` gives up (the answers that held texts until then
        are cached, so that a re-run goes on from there).
        """
        self._expected += self.estimate(asks).usd
        self._wanted += len(asks)
        rows: list[Row] = []
        for done, ask in enumerate(asks, 1):
            try:
                texts = self._texts(ask)
            except BudgetExceeded:
                self._over_budget = True
                continue
            self._answered += 1
            self._unusable += not texts
            rows += [
                Row(
                    text=text,
                    labels=labels,
                    group=f"{self._group}/{ask.batch}",
                    source="teacher",
                    writer=self.teacher.name,
                )
                for text, labels in texts
            ]
            advance(done, len(asks))
        self._sentences += len(rows)
        return rows

    def summary(self) -> dict[str, Any]:
        """For the report and the manifest."""
        return {
            "model": self.teacher.model,
            "sentences": self._sentences,
            "batches": {"wanted": self._wanted, "answered": self._answered, "unusable": self._unusable},
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
        most = _TOKENS_A_TEXT * ask.texts + _TOKENS_BESIDE
        for seed in self._seeds:
            self._purse.check(ask, most)
            answer = self._complete(ask.prompt, max_tokens=most, temperature=_TEMPERATURE, seed=seed)
            self._purse.charge(ask, answer)
            self._answers += 1
            texts = _read(ask, answer.text)
            if texts:
                self._cache.put(self._question(ask, seed), answer)
                return texts
        return []

    def _cached(self, ask: Ask) -> list[tuple[str, Labels]]:
        """A batch's texts in the cache; none where no try was answered with any."""
        answers = (self._cache.get(self._question(ask, seed)) for seed in self._seeds)
        return next((texts for answer in answers if answer and (texts := _read(ask, answer.text))), [])

    def _question(self, ask: Ask, seed: int) -> str:
        """All that an answer depends on."""
        teacher = self.teacher
        where = f"{teacher.model} at {teacher.base_url}" if teacher.base_url else f"{teacher.model}"
        return json.dumps([where, _TEMPERATURE, seed, ask.prompt], ensure_ascii=False)


def nothing_written(name: str, author: Author) -> TeacherError:
    """Why a teacher that was asked wrote nothing at all."""
    why = "the budget is too small for one call"
    if author.answers:
        spent = ", and then the budget was spent" if author.over_budget else ""
        why = f"none of its answers ({author.answers}) held a JSON list of texts{spent}"
    return TeacherError(f"{name}: teacher {author.teacher.model} wrote nothing: {why}")


def _read(ask: Ask, answer: str) -> list[tuple[str, Labels]]:
    if list(ask.labels) == [""]:
        return [(text, ask.labels[""]) for text in parse(answer)[: ask.wanted]]
    return parse_keyed(answer, ask.labels, most=2 * ask.wanted)
