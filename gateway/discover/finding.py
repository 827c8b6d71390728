"""A log's groups of calls with their figures, ranked by what a classifier would save."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count
from typing import TYPE_CHECKING, Final

from gateway.config.prices import PriceTable
from gateway.discover import evaluate
from gateway.discover.calls import LoggedCall
from gateway.discover.group import Group, groups, unread
from gateway.discover.labels import Labels, labels_of
from gateway.protocols.wire import FunctionCall, Unsupported

if TYPE_CHECKING:
    from classifiers.encoder.session import Encoder

_WORD = re.compile(r"[a-z0-9]+")
_SAYS_LITTLE: Final = frozenset([
    "a", "an", "and", "answer", "are", "as", "assistant", "be", "by", "following", "for", "from", "given", "helpful",
    "i", "in", "into", "is", "it", "message", "messages", "of", "on", "one", "only", "or", "please", "text", "that",
    "the", "these", "this", "to", "user", "users", "with", "you", "your",
])  # fmt: skip
_NAME_WORDS = 3
_LONGEST_NAME = 40

Advance = Callable[[str, int, int], None]
"""Called with the step, how much of it is done, and the whole of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A group, what its calls cost, and how far a classifier could answer them.

    models: as far as the log names them. month: how many times the log's period goes into 30 days, None where it has
    no times.
    obstacle: why it is not replaceable. givable: the share of calls that a rule reads whole and can answer in their
    format. agreement: None where there is an obstacle.
    """

    name: str
    group: Group
    labels: Labels
    models: tuple[str, ...]
    spend: evaluate.Spend
    month: float | None
    consistency: evaluate.Consistency
    obstacle: str | None
    givable: float
    agreement: evaluate.PredictedAgreement | None = None

    @property
    def calls(self) -> int:
        return len(self.group.calls)

    @property
    def asked(self) -> str:
        """Its models in words."""
        return ", ".join(self.models) or "the model"

    @property
    def saved_share(self) -> float:
        """The share of its calls that would be answered locally under the bound."""
        return self.agreement.answered * self.givable if self.agreement else 0.0

    @property
    def replaceability(self) -> float:
        """From 0 to 1, to rank by: the share under the bound; or a tenth of the agreement beyond that of the most
        frequent answer, where no bound holds yet."""
        if self.agreement is None:
            return 0.0
        counts = Counter(label for label in self.labels.by_call if label is not None)
        usual = max(counts.values(), default=0) / max(self.calls, 1)
        beyond = max(0.0, (self.agreement.low - usual) / (1 - usual)) if usual < 1 else 0.0
        return max(self.saved_share, 0.1 * beyond)


def look(calls: Sequence[LoggedCall], prices: PriceTable, *, period: float | None = None) -> list[Finding]:
    """The findings as far as they need no model. period: of the log in seconds, where it has no times."""
    length = period or evaluate.period_s(calls)
    findings: dict[str, Finding] = {}
    for group in groups(calls):
        labels = labels_of([call.completion for call in group.calls], group.inputs)
        hindrance = evaluate.obstacle(group, labels)
        base = name_of(group, labels)
        names = chain([base], (f"{base}-{number}" for number in count(2)))
        name = next(name for name in names if name not in findings)
        models = Counter(call.model for call in group.calls if call.model.strip())
        findings[name] = Finding(
            name=name,
            group=group,
            labels=labels,
            models=tuple(model for model, _ in models.most_common()),
            spend=evaluate.spend(group.calls, prices),
            month=evaluate.MONTH_S / length if length else None,
            consistency=evaluate.consistency(group.inputs, labels.by_call),
            obstacle=hindrance,
            givable=evaluate.givable(group, labels)[0] if hindrance is None else 0.0,
        )
    return ranked(findings.values())


def measure(finding: Finding, encoder: "Encoder", *, bound: float, advance: Advance) -> Finding:
    """The finding with its agreement, where it has no obstacle."""
    if finding.obstacle is not None:
        return finding
    group, labels = finding.group, finding.labels
    # by what a rule reads whole; how many these are, `givable` tells
    read = [index for index, call in enumerate(group.calls) if not unread(call, group.reads)]
    inputs = [group.inputs[index] for index in read]
    labels = replace(labels, by_call=tuple(labels.by_call[index] for index in read))
    pairs = evaluate.pairs_of(inputs, labels, encoder, advance=partial(advance, f"{finding.name}: agreement"))
    return replace(finding, agreement=evaluate.agreement_of(pairs, bound=bound))


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """By spend times replaceability, then by spend, then by calls."""
    return sorted(findings, key=lambda item: (-item.spend.usd * item.replaceability, -item.spend.usd, -item.calls))


def name_of(group: Group, labels: Labels) -> str:
    """A policy's name: of the function or field that takes the label, or else the prompt's first telling words."""
    shape = None if isinstance(group.shape, Unsupported) else group.shape.shape
    parts = [shape.name] if isinstance(shape, FunctionCall) else []
    if labels.field:
        parts.append(labels.field)
    prompt = "" if parts else f"{group.system or ''} {group.frame.before} {group.frame.after}"
    words = [word for word in _WORD.findall(prompt.lower()) if word not in _SAYS_LITTLE][:_NAME_WORDS]
    words = words or [word for part in parts for word in _WORD.findall(part.lower())]
    return "-".join(dict.fromkeys(words))[:_LONGEST_NAME].strip("-") or "calls"
