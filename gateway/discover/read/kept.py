"""A gateway's own ledger, as far as it keeps whole calls → a log."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from gateway.discover.call import Call, Log
from gateway.discover.read.exchange import Exchange, SkippedRecord, UnreadableRecord, an_object, call_of, parsed
from gateway.ledger.calls import CallStore, KeptCall

_DATABASE = b"SQLite format 3\0"


def is_ledger(path: Path) -> bool:
    """Whether a file is a database. Raises OSError."""
    with path.open("rb") as file:
        return file.read(len(_DATABASE)) == _DATABASE


class Kept:
    """path: of a ledger's file, which must be there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, advance: Callable[[int], None]) -> Log:
        """All calls. advance: told how many are read. Raises LedgerError."""
        store = CallStore(self._path, read_only=True)
        try:
            kept = store.calls()
        finally:
            store.close()
        calls: list[Call] = []
        skipped: Counter[str] = Counter()
        problems: list[str] = []
        for number, one in enumerate(kept, 1):
            place = f"{self._path}:{one.request_id}"
            try:
                calls.append(call_of(_exchange(one), place))
            except SkippedRecord as reason:
                skipped[str(reason)] += 1
            except (UnreadableRecord, ValueError) as error:
                problems.append(f"{place}: {error}")
            if number % 1000 == 0:
                advance(number)
        return Log(calls=calls, skipped=skipped, problems=problems)


def _exchange(kept: KeptCall) -> Exchange:
    return Exchange(
        request=an_object(kept.request.decode(errors="replace"), "request"),
        response=parsed(kept.answer.decode("utf-8-sig", errors="replace"), "answer"),
        at=kept.at,
        model=kept.model,
        input_tokens=kept.input_tokens,
        output_tokens=kept.output_tokens,
        spent_usd=kept.spent_usd,
    )
