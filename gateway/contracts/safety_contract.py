"""A safety rule's contract: which calls are decided here and which are put to the judge, under two bounds. Pure.

A call has a score in 0..1: how likely the classifier finds it that any label holds. Below one threshold it passes, from
another on it is flagged, and between them the judge is asked. Of the calls that are decided here some are put to the
judge all the same, the more likely the nearer their score lies to the threshold: that is where errors are.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self

from gateway.contracts.bound import Side
from gateway.rules.terms import SafetyTerms

_TOP: Final = 0.3
"""The chance that a call at the threshold itself is put to the judge."""
_LEAST: Final = 0.05
"""That of a call far from it."""
HEAVIEST: Final = 1 / _LEAST


class Zone(StrEnum):
    """What is done with a call unless it is audited."""

    PASS = "pass"  # noqa: S105 - a call's, no word's
    FLAG = "flag"
    ASK = "ask"


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyCall:
    """A call as it was chosen, before it was judged. score: None where the classifier has none that counts. rate: the
    chance that it is judged; passes, flags: the thresholds that stood."""

    score: float | None
    zone: Zone
    rate: float
    passes: float | None
    flags: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyContract:
    """missing: the side that lets calls pass, certain of 1 - score; flagging: the one that flags, certain of score."""

    missing: Side
    flagging: Side

    @classmethod
    def new(cls, terms: SafetyTerms) -> Self:
        """Each side has half of the chance of error."""
        confidence = 1 - (1 - terms.confidence) / 2
        return cls(
            missing=Side(target=terms.missed, confidence=confidence, heaviest=HEAVIEST),
            flagging=Side(target=terms.wrongly, confidence=confidence, heaviest=HEAVIEST),
        )

    def choose(self, score: float | None) -> SafetyCall:
        """Where a call lies, and how likely it is to be judged."""
        passes, flags = self.missing.threshold, self.flagging.threshold
        may_pass = self.missing.acts(None if score is None else 1 - score)
        may_flag = self.flagging.acts(score)
        zone, rate = Zone.ASK, 1.0
        if score is not None and may_pass != may_flag:
            zone = Zone.PASS if may_pass else Zone.FLAG
            rate = _rate(score, 1 - passes) if may_pass and passes is not None else _rate(1 - score, 1 - (flags or 0.0))
        return SafetyCall(score=score, zone=zone, rate=rate, passes=passes, flags=flags)

    def see(self, chosen: SafetyCall, *, unsafe: bool | None) -> Self:
        """With one more judged call. Where the other side acts, a side acts at no threshold of its own. unsafe: None
        where the judge's answer was no verdict, which counts against whichever side acts, and for none."""
        missing, flagging, weight = self.missing, self.flagging, 1 / chosen.rate
        if unsafe is not False:
            certainty = None if chosen.score is None or chosen.zone is Zone.FLAG else 1 - chosen.score
            side = missing.see(certainty, weight, threshold=chosen.passes, unknown=unsafe is None)
            missing, flagging = _moved(side, missing, flagging)
        if unsafe is not True:
            certainty = None if chosen.zone is Zone.PASS else chosen.score
            side = flagging.see(certainty, weight, threshold=chosen.flags, unknown=unsafe is None)
            flagging, missing = _moved(side, flagging, missing)
        return replace(self, missing=missing, flagging=flagging)


def _moved(side: Side, before: Side, other: Side) -> tuple[Side, Side]:
    """A side as it is now, with the other. One that has just gone live keeps off what the other acts on, for it was
    not tried there. Where one is withdrawn, the other's attempt begins anew: its thresholds reach farther by now."""
    if before.threshold is None and side.threshold is not None and other.threshold is not None:
        side = replace(side, threshold=max(side.threshold, math.nextafter(1 - other.threshold, 2.0)))
    if before.threshold is not None and side.threshold is None:
        other = other.again()
    return side, other


def _rate(from_end: float, width: float) -> float:
    """The square root of how likely an error is, as spends audits best (Neyman 1934); a score is about that. from_end:
    the score's distance from the certain end; width: the threshold's."""
    return max(_LEAST, min(_TOP, _TOP * math.sqrt(max(0.0, from_end) / width))) if width > 0 else _TOP
