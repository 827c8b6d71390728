"""A log's groups with their figures, the one that saves most first."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

from gateway.answers.format import ToolCall as FunctionCall
from gateway.answers.format import Unsupported
from gateway.discover.calls import LoggedCall
from gateway.discover.evaluate import (
    MONTH_S,
    Consistency,
    PredictedAgreement,
    Spend,
    agreement_of,
    answer_chars,
    consistency,
    entropy,
    givable,
    obstacle,
    pairs_of,
    period_s,
    spend,
)
from gateway.discover.group import Group, groups, unread
from gateway.discover.labels import Labels, labels_of
from gateway.ledger.prices import PriceTable

if TYPE_CHECKING:
    from classifiers.encoder.session import Encoder

_WORD = re.compile(r"[a-z0-9]+")
_SAYS_LITTLE: Final = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "be",
        "by",
        "for",
        "from",
        "given",
        "i",
        "in",
        "into",
        "is",
        "it",
        "message",
        "messages",
        "of",
        "on",
        "or",
        "please",
        "text",
        "that",
        "the",
        "these",
        "this",
        "to",
        "user",
        "users",
        "with",
        "you",
        "your",
        "assistant",
        "helpful",
        "following",
        "one",
        "only",
        "answer",
    ]
)
_NAME_WORDS = 3
_LONGEST_NAME = 40

Advance = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done and in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A group, what its calls cost, and how far a classifier could stand in.

    models: as far as the log names them; month: how many times the log's period goes into 30 days, None where it has no
    times; chars: the median length of an answer; bits: the entropy of the answers; obstacle: why it is not replaceable;
    givable: the share of calls that are read whole and whose shape can be met; agreement: None where there is an
    obstacle.
    """

    name: str
    group: Group
    labels: Labels
    models: tuple[str, ...]
    spend: Spend
    month: float | None
    chars: float
    bits: float
    consistency: Consistency
    obstacle: str | None
    givable: float
    agreement: PredictedAgreement | None = None

    @property
    def calls(self) -> int:
        return len(self.group.calls)

    @property
    def asked(self) -> str:
        """Its models in words."""
        return ", ".join(self.models) or "the model"

    @property
    def saved_share(self) -> float:
        """Of its calls that would be answered here under the bound."""
        return self.agreement.answered * self.givable if self.agreement else 0.0

    @property
    def replaceability(self) -> float:
        """From 0 to 1, to rank by: what a bound would let through; where none holds yet, how much agrees beyond the
        most frequent answer, at a tenth of its weight."""
        if self.agreement is None:
            return 0.0
        counts = Counter(label for label in self.labels.of if label is not None)
        usual = max(counts.values(), default=0) / max(self.calls, 1)
        beyond = max(0.0, (self.agreement.low - usual) / (1 - usual)) if usual < 1 else 0.0
        return max(self.saved_share, 0.1 * beyond)


def look(calls: Sequence[LoggedCall], prices: PriceTable, *, period: float | None = None) -> list[Finding]:
    """What shows without a model. period: of the log in seconds, where its times do not tell."""
    length = period or period_s(calls)
    names: set[str] = set()
    found = []
    for group in groups(calls):
        labels = labels_of([call.said for call in group.calls], group.inputs)
        hindrance = obstacle(group, labels)
        name = _free(name_of(group, labels), names)
        names.add(name)
        found.append(
            Finding(
                name=name,
                group=group,
                labels=labels,
                models=tuple(
                    model
                    for model, _ in Counter(call.model for call in group.calls if call.model.strip()).most_common()
                ),
                spend=spend(group.calls, prices),
                month=MONTH_S / length if length else None,
                chars=answer_chars(group.calls),
                bits=entropy(labels.of),
                consistency=consistency(group.inputs, labels.of),
                obstacle=hindrance,
                givable=givable(group, labels)[0] if hindrance is None else 0.0,
            )
        )
    return ranked(found)


def measure(finding: Finding, encoder: "Encoder", *, bound: float, seed: int, advance: Advance) -> Finding:
    """The finding with its agreement, where nothing stands in the way."""
    if finding.obstacle is not None:
        return finding
    told = partial(advance, f"{finding.name}: agreement")
    group, labels = finding.group, finding.labels
    # by what a rule reads whole; how many these are, `givable` tells
    read = [place for place, call in enumerate(group.calls) if not unread(call, group.reads)]
    inputs = [group.inputs[place] for place in read]
    labels = replace(labels, of=tuple(labels.of[place] for place in read))
    pairs = pairs_of(inputs, labels, encoder, seed=seed, advance=told)
    return replace(finding, agreement=agreement_of(pairs, bound=bound))


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """By spend times replaceability, then by spend, then by calls."""
    return sorted(findings, key=lambda one: (-one.spend.usd * one.replaceability, -one.spend.usd, -one.calls))


def _free(name: str, taken: Collection[str]) -> str:
    """The name, with the first number behind it that makes it another than those."""
    numbered = (f"{name}-{number}" for number in count(2))
    return name if name not in taken else next(one for one in numbered if one not in taken)


def name_of(group: Group, labels: Labels) -> str:
    """A name for a policy: of the function or field that takes the label, else of the prompt's first telling words."""
    parts: list[str] = []
    shape = group.shape
    if not isinstance(shape, Unsupported) and isinstance(shape.shape, FunctionCall):
        parts.append(shape.shape.name)
    if labels.field:
        parts.append(labels.field)
    prompt = "" if parts else f"{group.system or ''} {group.frame.before} {group.frame.after}"
    words = [word for word in _WORD.findall(prompt.lower()) if word not in _SAYS_LITTLE][:_NAME_WORDS]
    words = words or [word for part in parts for word in _WORD.findall(part.lower())]
    return "-".join(dict.fromkeys(words))[:_LONGEST_NAME].strip("-") or "calls"
