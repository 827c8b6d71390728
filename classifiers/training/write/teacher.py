"""A teacher that is a language model: prompts, its answers parsed with distrust, a cache, a budget."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from classifiers.errors import TeacherError
from classifiers.policy import Policy, Teacher
from classifiers.training.rows import Row
from classifiers.training.write.budget import BudgetExceeded, Estimate, Price, Purse, estimate
from classifiers.training.write.cache import Cache, Completion
from classifiers.training.write.prompts import Ask, asks

__all__ = ["CACHE", "Complete", "Completion", "Price", "Told", "cost", "parse", "write"]

CACHE = "teacher-cache"
"""Folder of the cached answers, below models_dir."""

_TEMPERATURE = 0.9
_MAX_TOKENS = 1200
_LONGEST_CHARS = 1000
_MOST_STARTS = 50
_TRIES = 2
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.):])\s*")


class Complete(Protocol):
    """Asks the teacher's model. It does its own retries, and raises TeacherError when it gives up."""

    def __call__(self, prompt: str, *, max_tokens: int, temperature: float, seed: int) -> Completion:
        """The model's answer to a prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """rows: the teacher's sentences, each batch one group; summary: for the report and the manifest."""

    rows: tuple[Row, ...]
    summary: dict[str, Any]


def cost(policy: Policy, price: Price, cache_dir: Path, seed: int) -> Estimate:
    """What writing will come to. Nothing is asked. The policy must name a teacher's model."""
    teacher = _named(policy)
    cache = Cache(cache_dir)
    wanted = asks(policy, teacher.sentences_per_label, seed)
    paid = [ask for ask in wanted if cache.get(_question(teacher, ask, seed)) is None]
    return estimate(paid, len(wanted) - len(paid), price)


def write(
    policy: Policy,
    complete: Complete,
    price: Price,
    *,
    cache_dir: Path,
    seed: int,
    advance: Callable[[int, int], None],
) -> Told:
    """Ask for every batch until all are written or the budget is spent; what was written is kept either way.

    Raises TeacherError where not one answer held sentences, or where `complete` gives up (answers until then are
    cached, so that a re-run goes on from there).
    """
    teacher = _named(policy)
    expected = cost(policy, price, cache_dir, seed)
    wanted = asks(policy, teacher.sentences_per_label, seed)
    cache, purse = Cache(cache_dir), Purse(teacher.budget, price)
    rows: list[Row] = []
    asked, unusable, over_budget = 0, 0, False
    for ask in wanted:
        try:
            texts = _texts(teacher, ask, complete, cache=cache, purse=purse, seed=seed)
        except BudgetExceeded:
            over_budget = True
            break
        asked += 1
        unusable += not texts
        rows += [Row(text=text, labels=ask.labels, group=f"teacher/{ask.batch}", source="teacher") for text in texts]
        advance(asked, len(wanted))
    if not rows:
        why = "the budget is too small for one call" if over_budget else "none of its answers held a JSON list of texts"
        raise TeacherError(f"{policy.name}: teacher {teacher.model} wrote nothing: {why}")
    return Told(
        rows=tuple(rows),
        summary={
            "model": teacher.model,
            "sentences": len(rows),
            "batches": {"wanted": len(wanted), "answered": asked, "unusable": unusable},
            "estimate": asdict(expected),
            "spent_usd": round(purse.spent_usd, 6),
            "price_known": price.known,
            "input_tokens": purse.input_tokens,
            "output_tokens": purse.output_tokens,
            "stopped_by_budget": over_budget,
        },
    )


def parse(answer: str) -> list[str]:
    """The texts in an answer: a JSON list of strings or of objects with a text, wherever it stands, or plain lines."""
    found = list(_json_texts(answer))
    if not found and "[" not in answer and "{" not in answer:
        found = [_BULLET.sub("", line).strip().strip('"') for line in answer.splitlines()]
    tidy = (" ".join(text.split()) for text in found)
    return [text for text in dict.fromkeys(tidy) if text and len(text) <= _LONGEST_CHARS]


def _json_texts(answer: str) -> Iterator[str]:
    for start in (match.start() for match in islice(re.finditer(r"\[", answer), _MOST_STARTS)):
        try:
            value, _ = json.JSONDecoder().raw_decode(answer[start:])
        except (ValueError, RecursionError):
            continue
        for item in value if isinstance(value, list) else ():
            text = item.get("text", item.get("message")) if isinstance(item, dict) else item
            if isinstance(text, str):
                yield text
        return


def _texts(teacher: Teacher, ask: Ask, complete: Complete, *, cache: Cache, purse: Purse, seed: int) -> list[str]:
    """A batch's texts, from the cache or paid for; a second try with another seed where the first is unusable."""
    for attempt in range(_TRIES):
        question = _question(teacher, ask, seed + attempt)
        answer = cache.get(question)
        if answer is None:
            purse.check(ask, _MAX_TOKENS)
            answer = complete(ask.prompt, max_tokens=_MAX_TOKENS, temperature=_TEMPERATURE, seed=seed + attempt)
            purse.charge(answer)
            cache.put(question, answer)
        texts = parse(answer.text)[: ask.wanted]
        if texts:
            return texts
    return []


def _question(teacher: Teacher, ask: Ask, seed: int) -> str:
    """All that an answer depends on."""
    where = f"{teacher.model} at {teacher.base_url}" if teacher.base_url else f"{teacher.model}"
    return json.dumps([where, _TEMPERATURE, _MAX_TOKENS, seed, ask.prompt], ensure_ascii=False)


def _named(policy: Policy) -> Teacher:
    if policy.teacher is None or policy.teacher.model is None:
        raise TeacherError(f"{policy.name}: the policy names no teacher's model")
    return policy.teacher
