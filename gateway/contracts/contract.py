"""The states of a contract and what moves it from one to the other: shadow → live → demoted → shadow. Pure.

In shadow every call is forwarded. A certificate makes a contract live; from then on calls at or above the certified
threshold are answered here, but for those that the coin chooses. An alarm demotes it: nothing is answered, what was
learned about thresholds is forgotten, and the next attempt brings it back to shadow.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from gateway.contracts.bounds import longest, spend
from gateway.contracts.certificate import Attempt, Rung, ladder
from gateway.contracts.detector import AlarmDetector
from gateway.contracts.evidence import against_at_most
from gateway.contracts.sampling import SHADOW, Coin, live_rate
from gateway.contracts.scope import Scope
from gateway.rules.terms import Terms
from gateway.spelling import BARE, Form

FEWEST_TO_ORDER = 200
"""Pairs that say which thresholds are worth an attempt; none of them certifies in it."""
_BETWEEN_ATTEMPTS = 400
"""Pairs from the end of an attempt until the next: each has less of α to spend."""
_EVERY = 25
"""Pairs from one look for thresholds to the next."""
_LATEST = 1000
_SUREST = 10
"""The latest calls that a reason counts, and the surest tenth of them."""
_LOOKS = 1000
"""Pairs of a version that is tried until an attempt must have begun."""
_HOPELESS = math.log(20)


class Phase(StrEnum):
    """Where a contract stands."""

    SHADOW = "shadow"
    LIVE = "live"
    DEMOTED = "demoted"


DEMOTED_CHALLENGER: Final = "demoted challenger"
"""In the history of a contract whose version was only tried then: what it answers was withdrawn from nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A local verdict and the reference's answer. attempt, threshold: those that stood when its coin was flipped.

    chance: that the pair had to be seen, 1 where the call was to be forwarded whatever the coin said; least: the
    coin's, the least that any call of the time had; agrees: False as well where the reference gave no answer that
    could be compared; form: that the local answer had; shown: those that the reference's may have.
    """

    chosen: bool
    chance: float = 1.0
    least: float = 1.0
    confidence: float
    agrees: bool
    attempt: int
    threshold: float | None
    form: Form = BARE
    shown: tuple[Form, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flipped:
    """A call's coin under a contract. number: of the contract's coins, rising; attempt, threshold: of the contract when
    it was flipped; paused: its rule is; share: of calls that the contract answers by now; again: the reference is to be
    asked twice; form: that answers have here."""

    scope: Scope
    coin: Coin
    number: int
    attempt: int
    threshold: float | None
    paused: bool
    share: float
    again: bool = False
    form: Form = BARE

    def sure(self, confidence: float) -> bool:
        """Whether the call is answered here unless the coin chose it."""
        return self.threshold is not None and confidence >= self.threshold and not self.paused

    def answers(self, confidence: float) -> bool:
        """Whether the call is answered here."""
        return self.sure(confidence) and not self.coin.chosen

    def pair(self, *, confidence: float, sure: bool, agrees: bool, shown: tuple[Form, ...] = ()) -> Pair:
        """The call as a pair. sure: whether it would have been answered here, had the coin not chosen it."""
        return Pair(
            chosen=self.coin.chosen,
            chance=self.coin.rate if sure else 1.0,
            least=self.coin.rate,
            confidence=confidence,
            agrees=agrees,
            # a sure call that no coin chose is here for a reason of its own, and stands for no others
            attempt=0 if sure and not self.coin.chosen else self.attempt,
            threshold=self.threshold,
            form=self.form,
            shown=shown,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """pairs: seen in all; attempts: the number of the latest attempt, in which those of the rule's other contracts for
    the model are counted; attempt: the running one; threshold: from which on calls are answered, None where none is;
    detector: of the live threshold.

    fresh_from: the number of the first pair that may order thresholds; next_look: how many pairs there are to be when
    thresholds are sought again; reason: why it is where it is; form: that answers have here.
    """

    terms: Terms
    phase: Phase = Phase.SHADOW
    pairs: int = 0
    attempts: int = 0
    attempt: Attempt | None = None
    threshold: float | None = None
    detector: AlarmDetector | None = None
    fresh_from: int = 0
    next_look: int = _EVERY
    reason: str = "new"
    form: Form = BARE

    def answers(self, confidence: float) -> bool:
        """Whether a call of this confidence is answered here, unless its coin chose it."""
        return self.threshold is not None and confidence >= self.threshold

    def rate(self, lowest: float) -> float:
        """The coin's. lowest: the rate that audits come down to."""
        if self.detector is None:
            return SHADOW
        return live_rate(self.detector.audits, lowest, suspects=self.detector.suspects)

    def certifies(self, pair: Pair) -> bool:
        """Whether the pair counts for the running attempt; if so, it must not say which thresholds are tried."""
        return self.attempt is not None and pair.attempt == self.attempt.number


def see(contract: Contract, pair: Pair) -> Contract:
    """The contract with one more pair, which may withdraw it."""
    contract = replace(contract, pairs=contract.pairs + 1)
    return _audit(contract, pair) if pair.chosen else contract


def count(contract: Contract, pair: Pair) -> Contract:
    """The contract with a pair that it has seen counted for the running attempt, if it belongs to that. Pairs are to
    be counted in the order of their coins."""
    if contract.attempt is None or not contract.certifies(pair):
        return contract
    attempt = contract.attempt.see(pair.confidence, agrees=pair.agrees, chance=pair.chance, least=pair.least)
    contract = _certify(replace(contract, attempt=attempt))
    over = _over(attempt)
    if not over:
        return contract
    return replace(contract, attempt=None, next_look=contract.pairs + _BETWEEN_ATTEMPTS, reason=_joined(contract, over))


def reformed(contract: Contract, form: Form) -> Contract:
    """The contract with answers of another form. What was seen before says nothing of them, so it begins anew."""
    reason = f"the model's answers have the form {form.of('label')!r}; pairs count from here on"
    return replace(_anew(contract), form=form, reason=reason)


def _anew(contract: Contract) -> Contract:
    return replace(contract, attempt=None, fresh_from=contract.pairs, next_look=contract.pairs + _EVERY)


def due(contract: Contract) -> bool:
    """Whether an attempt may begin, and it is time to look for thresholds."""
    return contract.attempt is None and contract.pairs >= contract.next_look


def hopeful(contract: Contract) -> bool:
    """Whether the contract of a version that is tried may come to a certificate: an attempt runs, or may begin."""
    return contract.attempt is not None or (contract.attempts == 0 and contract.pairs < _LOOKS)


def begin(
    contract: Contract, seen: Sequence[tuple[float, bool]], *, number: int, over: float = 0.0, labelled: float = 1.0
) -> Contract:
    """The contract with a new attempt where one is worth it. seen: (confidence, agrees) of pairs that may order;
    number: of the attempt, from 1, among all that share one α; over: the share of calls that is answered without;
    labelled: of all calls, the share that there is a label for, which those seen stand for."""
    waiting = replace(contract, next_look=contract.pairs + _EVERY)
    if len(seen) < FEWEST_TO_ORDER:
        return waiting
    terms = contract.terms
    alpha = spend(1 - terms.confidence, number)
    confidences, agrees = zip(*seen, strict=True)
    rungs = ladder(confidences, agrees, target=terms.target, alpha=alpha, over=over, labelled=labelled)
    thresholds = [one for one in rungs if contract.threshold is None or one < contract.threshold]
    if not thresholds:
        return replace(waiting, reason=_none(seen, over)) if contract.phase is Phase.SHADOW else waiting
    attempt = Attempt.begin(thresholds, number=number, target=terms.target, confidence=terms.confidence)
    begun = replace(contract, attempt=attempt, attempts=number)
    if contract.phase is Phase.DEMOTED:
        return replace(begun, phase=Phase.SHADOW, reason="a new attempt after: " + contract.reason)
    return begun


def _audit(contract: Contract, pair: Pair) -> Contract:
    """A live contract's detector looks at what would have been answered."""
    if contract.detector is None or pair.threshold != contract.threshold or not contract.answers(pair.confidence):
        return contract
    detector = contract.detector.see(agrees=pair.agrees)
    if not detector.alarmed:
        return replace(contract, detector=detector)
    return replace(
        _anew(contract),
        phase=Phase.DEMOTED,
        threshold=None,
        detector=None,
        reason=f"{detector.wrong} of {detector.audits} audits disagreed where at most {contract.terms.target:.1%} may",
    )


def _certify(contract: Contract) -> Contract:
    assert contract.attempt is not None
    rung = contract.attempt.certified
    if rung is None or (contract.threshold is not None and rung.threshold >= contract.threshold):
        return contract
    return replace(
        contract,
        phase=Phase.LIVE,
        threshold=rung.threshold,
        detector=AlarmDetector(target=contract.terms.target),
        reason=f"certified at {rung.threshold:.4f} by {rung.pairs} pairs, of which {rung.wrong} disagreed",
    )


def _over(attempt: Attempt) -> str:
    """Why an attempt has come to its end; empty where it has not."""
    rung = _next(attempt)
    if rung is None:
        return "all thresholds certified"
    pairs, wrong = rung.worth
    if pairs >= longest(attempt.target) or against_at_most(pairs, wrong, attempt.target) >= _HOPELESS:
        return f"no certificate at {rung.threshold:.4f}: {rung.wrong} of {rung.pairs} pairs disagreed"
    return ""


def _none(seen: Sequence[tuple[float, bool]], over: float) -> str:
    latest = seen[-_LATEST:]
    surest = sorted(latest, key=lambda pair: -pair[0])[: len(latest) // _SUREST]
    wrong, of_those = (sum(not agrees for _, agrees in some) for some in (latest, surest))
    beyond = f", and the version in use answers {over:.0%}" if over else ""
    return (
        f"no threshold is worth an attempt: {wrong:,} of the latest {len(latest):,} calls disagreed, "
        f"{of_those:,} of the surest {len(surest):,}{beyond}"
    )


def _next(attempt: Attempt) -> Rung | None:
    return next((rung for rung in attempt.rungs if not rung.proven), None)


def _joined(contract: Contract, over: str) -> str:
    return contract.reason if contract.phase is Phase.LIVE else over
