"""Which calls are audited: a coin for every call, flipped before anything about the call is decided. Pure.

Coin-chosen calls are the one uniform sample of a rule's traffic. All others are a sample of what could not be
answered, and so train, but certify nothing.
"""

from dataclasses import dataclass

SHADOW = 1.0
"""Share of calls that certify while none is answered: all, since each is forwarded whatever the coin says. Those that
came before an attempt say which thresholds it tries."""
FRESH = 0.2
"""Share of calls that are audited right after a certificate."""
SUSPECTED = 0.5
"""Share of calls that are audited while the latest audits speak for a change. Not all: where the model is down, audits
fail, and what is answered here is all that clients get."""
LEAST = 0.01
NOTICE_S = 7 * 86400.0
"""Within this time audits are to notice twice the target on nine streams in ten."""
_FEW = 0.3
_SETTLES = 200
"""Audits after which the rate has come half of its way from FRESH down to the floor."""
_STEPS = (LEAST, 0.02, 0.05, 0.1, FRESH, SHADOW)
"""Rates that a coin may have besides SUSPECTED: few, so that pairs of one rate can be counted together."""
_NEARLY = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Coin:
    """How a call's coin fell. rate: the chance that it was chosen, stored with its pair."""

    rate: float
    chosen: bool


def flip(rate: float, draw: float) -> Coin:
    """draw: uniform in [0, 1), of the call's own."""
    return Coin(rate=rate, chosen=draw < rate)


def trial_rate(answers: float) -> float:
    """The rate while another version is tried beside the one in use, which answers this share of calls. What is
    forwarded anyway is seen whatever the coin says; where few are answered, all calls are chosen, for little is lost
    and the better version comes earlier."""
    return FRESH if answers >= _FEW else SHADOW


def floor(needed: float, *, answered_a_day: float, delay_days: float) -> float:
    """The least rate at which a change is noticed within `delay_days`, in [LEAST, FRESH]. needed: audits for that."""
    calls = answered_a_day * delay_days
    return min(FRESH, max(LEAST, needed / calls)) if calls > 0 else FRESH


def live_rate(audits: int, lowest: float, *, suspects: bool = False) -> float:
    """The rate after so many audits since the certificate: from FRESH down towards `lowest`, in steps. suspects: the
    latest ones speak for a change."""
    if suspects:
        return SUSPECTED
    wanted = lowest + (FRESH - lowest) * _SETTLES / (_SETTLES + audits)
    return min(step for step in _STEPS if step >= _NEARLY * wanted)
