"""What `offramp discover` found, as a table with lines below it, or as data."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from gateway.cli.output import quoted, stdout

if TYPE_CHECKING:
    from gateway.discover.finding import Finding


def show(found: Sequence["Finding"], bound: float) -> None:
    """A table, and for each group what the table has no room for. found: at least one; bound: a share."""
    console = stdout()
    month = found[0].month
    table = Table(title=f"Calls by template; saved at up to {bound * 100:.3g} % disagreement", title_justify="left")
    table.add_column("#", justify="right")
    table.add_column("name", overflow="fold")
    when = "a month" if month else "in the log"
    for name in (f"calls\n{when}", f"$\n{when}", "answers", "agreement\n(95 %)", "calls\nsaved", "$\nsaved"):
        table.add_column(name, justify="right", no_wrap=True)
    for number, one in enumerate(found, 1):
        table.add_row(str(number), one.name, *_cells(one, month or 1.0))
    console.print(table)
    for number, one in enumerate(found, 1):
        for line in _lines(one, bound):
            console.print(f"{number}. {quoted(line)}", soft_wrap=True)


def _cells(one: "Finding", times: float) -> Iterator[str]:
    found = one.agreement
    yield f"{one.calls * times:,.0f}"
    yield f"{one.spend.usd * times:,.2f}"
    yield f"{one.labels.distinct:,}"
    if found is None:
        yield from ("–", "–", "–")
        return
    yield f"{found.share:.1%}\n({found.low:.1%}–{found.high:.1%})"
    yield f"{one.calls * times * one.saved_share:,.0f}\n({one.saved_share:.0%})"
    yield f"{one.spend.usd * times * one.saved_share:,.2f}"


def _lines(one: "Finding", bound: float) -> Iterator[str]:
    yield f"{one.calls:,} calls of {one.asked}; reads {one.group.reads}"
    if one.obstacle is not None:
        yield f"not replaceable: {one.obstacle}"
    elif one.agreement is not None and not one.agreement.answered:
        yield f"no threshold keeps to {bound * 100:.3g} % yet, on {one.agreement.inputs:,} different inputs"
    if one.group.frame.gaps:
        spans = len(one.group.frame.gaps) + 1
        between = ", ".join(repr(gap) for gap in one.group.frame.gaps)
        yield f"{spans} spans vary (parted by {between}); they are read together, with the words between them"
    if one.consistency.agree is not None and one.consistency.agree < 1:
        yield (
            f"the model contradicts itself: {1 - one.consistency.agree:.1%} of {one.consistency.pairs:,} pairs of calls"
            " with the same input differ"
        )
    if one.spend.unpriced:
        yield f"{one.spend.unpriced:,} calls have no known price"
    if one.spend.estimated:
        yield f"tokens of {one.spend.estimated:,} calls are estimated from their length"


def as_dict(number: int, one: "Finding") -> dict[str, Any]:
    """For JSON. number: as the table counts."""
    group, agreement = one.group, one.agreement
    return {
        "group": number,
        "name": one.name,
        "models": list(one.models),
        "calls": one.calls,
        "inputs": len(set(group.inputs)),
        "system": group.system,
        "reads": {"roles": list(group.reads.roles), "after": group.reads.after, "before": group.reads.before},
        "varying_spans": len(group.frame.gaps) + 1,
        "constant": group.constant,
        "conversation": group.conversation,
        "answers": one.labels.distinct,
        "labels": list(one.labels.names),
        "label_field": one.labels.field,
        "entropy_bits": round(one.bits, 4),
        "answer_chars": one.chars,
        "repeated": {"inputs": one.consistency.inputs, "pairs": one.consistency.pairs, "agree": one.consistency.agree},
        "usd": one.spend.usd,
        "usd_a_month": one.spend.usd * one.month if one.month else None,
        "calls_a_month": one.calls * one.month if one.month else None,
        "estimated_calls": one.spend.estimated,
        "unpriced_calls": one.spend.unpriced,
        "obstacle": one.obstacle,
        "agreement": None
        if agreement is None
        else {
            "inputs": agreement.inputs,
            "share": agreement.share,
            "low": agreement.low,
            "high": agreement.high,
            "bound": agreement.bound,
            "threshold": agreement.threshold,
        },
        "saved_share": one.saved_share,
        "saved_usd_a_month": one.spend.usd * one.month * one.saved_share if one.month else None,
    }
