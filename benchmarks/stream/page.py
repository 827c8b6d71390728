"""The table and the picture of streams under a contract."""

from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

import numpy as np

from benchmarks.stream.replay import Replayed
from benchmarks.stream.run import Case, Outcome

_STEP = 500
_COLUMNS = (
    "answered here",
    "replayed",
    "of the last 2,000",
    "replayed",
    "disagreement among the answers",
    "replayed",
    "paid calls",
    "median of a local answer",
    "how it ended",
)
_COLOURS = ("#1b6ca8", "#c0392b", "#27865a", "#8e44ad", "#b9770e", "#2c3e50", "#d35484", "#7f8c8d")
_LEFT, _TOP, _WIDTH, _HEIGHT = 60, 40, 720, 260


_PEERS = (
    "tracer-llm learns offline: `fit`, `update` and a router by the caller's vectors, here those of the gateway's own",
    "encoder. It has no schedule, so it is fitted at 500 known calls and whenever there are half as many again; its",
    "target is an agreement of 98 % by its held-out bound. Gradient boosting is left out, as it advises for many",
    "classes. It checks nothing of what it answers.",
    "",
)


def page(
    outcomes: Sequence[tuple[Case, Outcome]], replayed: Mapping[tuple[int, int], Replayed], made_by: str
) -> tuple[str, str]:
    """(Markdown, SVG). replayed: by order and coin."""
    rows = [_row(case, outcome, _replayed(case, replayed)) for case, outcome in outcomes]
    text = "\n".join(
        [
            "# A stream under a contract",
            "",
            f"Made by {made_by}. Other work shared the machine.",
            "",
            "Banking77's messages (train and test, each once, shuffled) as chat calls that ask a paid model for the",
            "intent; the paid model answers the gold label. From policy.json and sentences.jsonl alone, 2 % at 95 %",
            "unless stated otherwise, retrained on what the paid model answered. Contracts draw coins of the generator",
            "of the [replay](stream-replay.md), whose figures stand next to the gateway's; where a call has no label",
            "to check, the replay draws one more, so that the coins of later calls differ.",
            "",
            f"| stream | calls | {' | '.join(_COLUMNS)} |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            *_means(outcomes, replayed),
            *(_PEERS if any(case.coin < 0 for case, _ in outcomes) else ()),
            "![Calls seen against the share answered here and the disagreement](stream.svg)",
            "",
            *_drift(outcomes),
            *(f"- {case.name}: " + "; ".join(f"at {at:,}: {what}" for at, what in o.events) for case, o in outcomes),
            "",
        ]
    )
    return text, _picture(outcomes)


def _replayed(case: Case, replayed: Mapping[tuple[int, int], Replayed]) -> Replayed | None:
    plain = not case.noise and case.swapped_at is None
    return replayed.get((case.seed, case.coin)) if plain else None


def _row(case: Case, outcome: Outcome, again: Replayed | None) -> str:
    cells = (
        case.name,
        f"{len(outcome.answered):,}",
        f"**{outcome.share(0):.1%}**",
        f"{again.share():.1%}" if again else "",
        f"{outcome.share(-2000):.1%}",
        f"{again.share(-2000):.1%}" if again else "",
        f"{outcome.disagreement():.2%}",
        f"{again.wrongly():.2%}" if again else "",
        f"{outcome.paid:,}",
        f"{outcome.local_ms():.1f} ms" if outcome.ms and any(outcome.answered) else "",
        outcome.reason,
    )
    return "| " + " | ".join(cells) + " |"


def _means(outcomes: Sequence[tuple[Case, Outcome]], replayed: Mapping[tuple[int, int], Replayed]) -> Iterator[str]:
    """Each order's mean over its coins, by the gateway and by the replay."""
    pairs = [(case.seed, outcome.share(0), again.share()) for case, outcome in outcomes
             if (again := _replayed(case, replayed))]  # fmt: skip
    for order in dict.fromkeys(order for order, _, _ in pairs):
        here, there = np.mean([shares for at, *shares in pairs if at == order], axis=0)
        yield f"Order {order}: {here:.1%} answered by the gateway, {there:.1%} replayed ({100 * (here - there):+.1f})."
    if pairs:
        yield ""


def _drift(outcomes: Sequence[tuple[Case, Outcome]]) -> list[str]:
    lines, waits = [], []
    for case, outcome in outcomes:
        if case.swapped_at is None or len(outcome.answered) <= case.swapped_at:
            continue
        if not any(outcome.answered[case.swapped_at - 200 : case.swapped_at]):
            lines.append(f"- {case.name}: nothing was answered here when labels swapped")
            continue
        after = outcome.answered[case.swapped_at :]
        until = next((i for i in range(len(after)) if not any(after[i : i + 200])), len(after))
        waits.append(until)
        end = case.swapped_at + until
        wrong = sum(outcome.wrong[case.swapped_at : end])
        here = sum(outcome.answered[case.swapped_at : end])
        lines.append(
            f"- {case.name}: {until:,} calls came until the contract was withdrawn; {here:,} of them were answered "
            f"here, {wrong:,} wrongly ({wrong - case.target * here:+.0f} over the target's share). Of the last 1,000 "
            f"calls {outcome.share(-1000):.1%} were answered here again, {outcome.disagreement(-1000):.2%} wrongly."
        )
    if waits:
        lines.append(f"- calls until withdrawn, {len(waits)} orders: 90th percentile {np.quantile(waits, 0.9):,.0f}")
    return ["What came after the swap:", "", *lines, ""] if lines else []


def _picture(outcomes: Sequence[tuple[Case, Outcome]]) -> str:
    most = max(len(outcome.answered) for _, outcome in outcomes)
    height = 2 * (_TOP + _HEIGHT) + 40 + 16 * len(outcomes)
    box = f"0 0 {_LEFT + _WIDTH + 20} {height}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for panel, (title, top) in enumerate((("answered here", 1.0), ("disagreement among local answers", 0.06))):
        y = _TOP + panel * (_HEIGHT + _TOP)
        parts.append(_frame(title, y, top, most))
        for number, (_, outcome) in enumerate(outcomes):
            parts.append(_line(outcome, panel, y, top, most, _COLOURS[number % len(_COLOURS)]))
    for number, (case, _) in enumerate(outcomes):
        y = 2 * (_TOP + _HEIGHT) + 40 + 16 * number
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(f'<rect x="{_LEFT}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{_LEFT + 16}" y="{y}">{escape(case.name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _frame(title: str, y: int, top: float, most: int) -> str:
    parts = [
        f'<text x="{_LEFT}" y="{y - 8}" font-weight="bold">{title}, by {_STEP} calls</text>',
        f'<rect x="{_LEFT}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#999"/>',
    ]
    for step in range(5):
        up = y + _HEIGHT * (1 - step / 4)
        parts.append(f'<text x="{_LEFT - 6}" y="{up + 4:.0f}" text-anchor="end">{top * step / 4:.1%}</text>')
        across = _LEFT + _WIDTH * step / 4
        parts.append(f'<text x="{across:.0f}" y="{y + _HEIGHT + 14}" text-anchor="middle">{most * step // 4:,}</text>')
    return "\n".join(parts)


def _line(outcome: Outcome, panel: int, y: int, top: float, most: int, colour: str) -> str:
    points = []
    for start in range(0, len(outcome.answered), _STEP):
        end = min(start + _STEP, len(outcome.answered))
        value = outcome.disagreement(start, end) if panel else outcome.share(start, end)
        x = _LEFT + _WIDTH * end / most
        points.append(f"{x:.1f},{y + _HEIGHT * (1 - min(value, top) / top):.1f}")
    return f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
