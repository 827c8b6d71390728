"""A log's groups of calls with their figures, ranked by what a classifier would save; as data and for people, as
`offramp discover` and the page Discover show them."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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

Advance = Callable[[str, int, int | None], None]
"""Called with the step, how much of it is done, and the whole of it, if that is known."""


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


def findings(
    calls: Sequence[LoggedCall],
    prices: PriceTable,
    models_dir: Path,
    *,
    bound: float,
    period: float | None = None,
    progress: Callable[[str], None],
    advance: Advance,
) -> list[Finding]:
    """All groups, the best first. models_dir: where the encoder is prepared, if need be; progress: called with a word
    for each step of that. period: as of `look`; bound: as of `agreement_of`. Raises ClassifierError, and OSError."""
    from classifiers.encoder.prepare import prepare
    from classifiers.encoder.session import Encoder
    from classifiers.encoder.source import resolve

    advance("templates", 0, None)
    seen = look(calls, prices, period=period)
    if all(finding.obstacle for finding in seen):
        return seen
    encoder = Encoder.open(prepare(resolve(None), models_dir, progress))
    return ranked([measure(finding, encoder, bound=bound, advance=advance) for finding in seen])


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


def as_dict(number: int, finding: Finding) -> dict[str, Any]:
    """For JSON. number: as the table counts."""
    group, month, usd = finding.group, finding.month, finding.spend.usd
    return {
        "group": number,
        "name": finding.name,
        "models": list(finding.models),
        "calls": finding.calls,
        "inputs": len(set(group.inputs)),
        "system": group.system,
        "reads": {"roles": list(group.reads.roles), **_fields(group.reads, "after", "before")},
        "constant": group.constant,
        "answers": finding.labels.distinct,
        "labels": list(finding.labels.names),
        "label_field": finding.labels.field,
        "repeated": _fields(finding.consistency, "inputs", "pairs", "agree"),
        "usd": usd,
        "usd_a_month": usd * month if month else None,
        "calls_a_month": finding.calls * month if month else None,
        "estimated_calls": finding.spend.estimated,
        "unpriced_calls": finding.spend.unpriced,
        "obstacle": finding.obstacle,
        "agreement": finding.agreement
        and _fields(finding.agreement, "inputs", "share", "low", "high", "bound", "threshold"),
        "saved_share": finding.saved_share,
        "saved_usd_a_month": usd * month * finding.saved_share if month else None,
    }


def heads(groups: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Of `cells`."""
    when = "in the log" if groups[0]["calls_a_month"] is None else "a month"
    return "#", "name", f"calls\n{when}", f"$\n{when}", "answers", "agreement\n(95 %)", "calls\nsaved", "$\nsaved"


def cells(group: Mapping[str, Any]) -> tuple[str, ...]:
    """A group of `as_dict` as a row of a table."""
    monthly = group["calls_a_month"] is not None
    calls, usd = (group[f"{name}_a_month"] if monthly else group[name] for name in ("calls", "usd"))
    agreement, saved = group["agreement"], group["saved_share"]
    figures = ("–", "–", "–")
    if agreement:
        share = f"{agreement['share']:.1%}\n({agreement['low']:.1%}–{agreement['high']:.1%})"
        figures = (share, f"{calls * saved:,.0f}\n({saved:.0%})", f"{usd * saved:,.2f}")
    return str(group["group"]), group["name"], f"{calls:,.0f}", f"{usd:,.2f}", f"{group['answers']:,}", *figures


def lines(group: Mapping[str, Any], bound: float) -> Iterator[str]:
    """What the table has no room for. bound: a share. Names are as clients wrote them."""
    reads = ["the system prompt"] if group["reads"]["roles"] else []
    reads += [f"{side} {group['reads'][side]!r}" for side in ("after", "before") if group["reads"][side]]
    what = ", ".join(reads) or "the user's last turn"
    yield f"{group['calls']:,} calls of {', '.join(group['models']) or 'the model'}; reads {what}"
    if group["obstacle"] is not None:
        yield f"not replaceable: {group['obstacle']}"
    elif group["agreement"] and group["agreement"]["threshold"] is None:
        yield f"no threshold keeps to {bound * 100:.3g} % yet, on {group['agreement']['inputs']:,} different inputs"
    if (agree := group["repeated"]["agree"]) is not None and agree < 1:
        pairs = group["repeated"]["pairs"]
        yield f"the model contradicts itself: {1 - agree:.1%} of {pairs:,} pairs of calls with the same input differ"
    if group["unpriced_calls"]:
        yield f"{group['unpriced_calls']:,} calls have no known price"
    if group["estimated_calls"]:
        yield f"tokens of {group['estimated_calls']:,} calls are estimated from their length"


def _fields(record: object, *names: str) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}
