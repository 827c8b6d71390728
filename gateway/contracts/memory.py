"""A contract in memory: a cache of what the store has, with what is not worth storing; and which one leaves it."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from classifiers.runtime.windows import Recent
from gateway.contracts.consistency import MOST
from gateway.contracts.contract import Coin, Contract
from gateway.contracts.order import Order
from gateway.contracts.scope import Scope
from gateway.contracts.threshold import ScoreGroup, ScoreRow, predicted_error, score_groups
from gateway.spelling import Form

KNOWN: Final = 2000
"""The latest calls of a version that thresholds are chosen by."""
_REPEATED_S: Final = 3600.0
_TEXTS: Final = 2048
"""The latest texts that a repeat is known by."""
_ALIKE: Final = 20
"""Answers in a row of one form, after which answers here have it, too."""


@dataclass(slots=True, kw_only=True)
class ContractMemory:
    """version: that is in use, empty until a call names it; known: its calls with their right answers; held_out: the
    scores of its training; table: what is expected by both. repeats: (confidence, whether both answers agree) of calls
    that were asked again. texts: when a text was last checked; differed: the version in use when a text's check
    differed. shown, alike: the forms that each of the latest so many answers may have. at: Unix seconds of the latest
    call; decided: calls of each side that were decided here since it went live; noted: what is under way, as stored.
    """

    scope: Scope
    contract: Contract
    version: str = ""
    known: deque[ScoreRow] = field(default_factory=lambda: deque(maxlen=KNOWN))
    held_out: Sequence[ScoreRow] = ()
    table: Sequence[ScoreGroup] = ()
    repeats: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=MOST))
    texts: Recent[int, float] = field(default_factory=lambda: Recent(_TEXTS))
    differed: Recent[int, str] = field(default_factory=lambda: Recent(_TEXTS))
    shown: tuple[Form, ...] = ()
    alike: int = 0
    at: float = 0.0
    decided: list[int] = field(default_factory=lambda: [0, 0])
    order: Order = field(default_factory=Order)
    noted: tuple[float, ...] = (0.0, 0.0)

    def predicted(self, score: float | None) -> float:
        """The error of a call of a rule that answers."""
        return 1.0 if score is None else predicted_error(self.table, score)

    def repeated(self, text: int, now: float) -> bool:
        """Whether a text stands outside the account: it was checked within the hour, or its check differed."""
        lately = now - (self.texts.get(text) or -_REPEATED_S) < _REPEATED_S
        return lately or self.differed.get(text) == self.version

    def take_version(self, version: str, known: Iterable[ScoreRow], held_out: Sequence[ScoreRow]) -> Contract:
        """The contract with another version of the classifier, its thresholds chosen."""
        self.version, self.held_out = version, held_out
        self.known.clear()
        self.known.extend(known)
        return self.choose(self.contract.of_version(version))

    def choose(self, contract: Contract) -> Contract:
        """The contract with thresholds by all that is known."""
        if not contract.guards:
            self.table = score_groups([*self.held_out, *self.known])
        return contract.choose(self.known, self.held_out, self.table)

    def forget(self) -> None:
        """After an alarm: what was known of scores holds no more."""
        self.known.clear()
        self.held_out, self.table = (), ()

    def note_forms(self, contract: Contract, shown: tuple[Form, ...]) -> Contract:
        """The contract in the form that the latest answers share, where it has another one and is not live. shown: the
        forms that the latest answer may have, if it shows any."""
        if shown:
            both = tuple(form for form in self.shown if form in shown)
            self.shown, self.alike = (both, self.alike + 1) if both else (shown, 1)
        known = self.alike >= _ALIKE and contract.form not in self.shown
        return contract.reformed(self.shown[0]) if known and not contract.sides[0].account.live else contract

    def checked(self, coin: Coin, *, wrong: bool, weight: float) -> None:
        """Remembers a call of a rule that answers, whose right answer is known by now."""
        if coin.score is not None and coin.version == self.contract.version and coin.alarms == self.contract.alarms:
            self.known.append((coin.score, weight, wrong))


def leaving(kept: Iterable[ContractMemory], holds: Callable[[str, str], bool]) -> ContractMemory:
    """The contract to leave memory for another: without a check under way, that without a call for longest; the store
    keeps it. holds: whether the writer holds one back, by rule and key, whose state the store may lack: those leave
    last. Raises ValueError where there is none."""
    return min(kept, key=lambda one: (holds(one.scope.rule, one.scope.key), not one.order.idle, one.at))
