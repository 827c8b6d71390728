"""Which turns of a conversation a rule reads: by role, the last turn or all."""

from collections.abc import Iterator, Sequence
from itertools import dropwhile, takewhile

from gateway.protocols.json import Path
from gateway.protocols.wire import SYSTEM, Turn


def select(turns: Sequence[Turn], roles: frozenset[str], *, last: bool) -> tuple[tuple[str, ...], bool]:
    """The texts that a rule reads and whether something among them cannot be read. last: only the latest run of
    messages of these roles (a user's turn may be split over several messages)."""
    chosen = _chosen(turns, roles, last=last)
    texts = tuple(text for turn in chosen for text in turn.texts)
    return texts, any(turn.incomplete for turn in chosen)


def passed_over(turns: Sequence[Turn], blocks: frozenset[str]) -> frozenset[int]:
    """The places of turns in exchanges that this gateway has blocked: from a user's turn, with all calls of tools
    and their results, to an assistant's turn whose content is one of `blocks`, the texts that are sent for a block.
    System turns stay. None where nothing follows: then the blocked turn is what is asked."""
    found: set[int] = set()
    exchange: list[int] = []
    for place, turn in enumerate(turns):
        if turn.role in SYSTEM:
            continue
        exchange.append(place)
        if turn.role == "assistant" and not turn.calls:
            if _content(turn) in blocks:
                found.update(exchange)
            exchange = []
    return frozenset(found if exchange else ())


def _content(turn: Turn) -> str | None:
    """An assistant's content, where it is one text. Clients keep an answer with blank lines around it, or with data of
    their own in other fields."""
    texts = [text for text, path in zip(turn.texts, turn.paths, strict=True) if "content" in path]
    return texts[0].strip() if len(texts) == 1 else None


def text_paths(turns: Sequence[Turn], roles: frozenset[str], *, last: bool) -> tuple[Path, ...]:
    """The path of each text that `select` gives."""
    return tuple(path for turn in _chosen(turns, roles, last=last) for path in turn.paths)


def _chosen(turns: Sequence[Turn], roles: frozenset[str], *, last: bool) -> list[Turn]:
    return [turn for turn in (_latest_run(turns, roles) if last else turns) if turn.role in roles]


def _latest_run(turns: Sequence[Turn], roles: frozenset[str]) -> Iterator[Turn]:
    later = dropwhile(lambda turn: turn.role not in roles, reversed(turns))
    return reversed(list(takewhile(lambda turn: turn.role in roles, later)))
