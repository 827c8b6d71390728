"""A contract: one account for a rule that answers, two for a guard; its coins, and what checks make of it. Pure.

In shadow nothing is decided here, and every call is checked. An account that goes live lets calls be decided here from
its threshold on, but for those that the coin chooses. A side is what one account bounds: answers that differ from the
model's, or unsafe calls that pass without the judge and safe ones that are flagged without it.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from gateway.contracts import threshold
from gateway.contracts.account import Account
from gateway.contracts.threshold import NEW, ScoreGroup, ScoreRow
from gateway.contracts.watch import ALARM, Watch
from gateway.rules.rule import SafetyTerms, Terms
from gateway.spelling import BARE, Form

EVERY: Final = 20
"""Known calls after which thresholds are chosen anew."""
_MODELS: Final = 8
"""The latest names of dated models that are remembered."""


class Phase(StrEnum):
    """Where a side stands; `alarm` is an event in its history, after which it is in shadow."""

    SHADOW = "shadow"
    LIVE = "live"
    ALARM = "alarm"


class Zone(StrEnum):
    """What is done with a call unless its coin chose it. ASK: it is the model's, or the judge's."""

    ANSWER = "answer"
    PASS = "pass"  # noqa: S105 - a call's, no word's
    FLAG = "flag"
    ASK = "ask"


class Coin(Struct, frozen=True, kw_only=True):
    """A call as its coin fell, before anything was known of the right answer.

    key: of its contract; number: of the contract's coins, rising; score: the label's confidence, or a guard's highest
    score, in 0..1, None where there is none that counts. acts: for each side, whether it would decide the call if it
    were live; nominal: u of each; chance: p, of being checked; checked: whether it is, or would be looked at anyway;
    alarms: of each side so far. predicted: its error, in 0..1. threshold: of the score, from which on it is flagged.
    repeat: it stands outside the account, as a text that came within the hour, or one whose check differed. paused:
    nothing is decided here. again: the model is to be asked twice. form: that answers have.
    """

    key: str
    rule: str = ""
    number: int = 0
    version: str = ""
    score: float | None = None
    zone: Zone = Zone.ASK
    acts: tuple[bool, ...] = ()
    nominal: tuple[float, ...] = ()
    chance: float = 1.0
    checked: bool = True
    alarms: tuple[int, ...] = ()
    predicted: float = 0.0
    threshold: float = 0.0
    repeat: bool = False
    paused: bool = False
    text: int = 0
    again: bool = False
    form: Form = BARE

    @property
    def decides(self) -> bool:
        """Whether the call is decided here."""
        return self.zone is not Zone.ASK and not self.checked

    def forwarded(self) -> Self:
        """The same, where nothing is to be decided here whatever the contract says."""
        return replace(self, zone=Zone.ASK, checked=True)


class Side(Struct, frozen=True, kw_only=True):
    """name: of the bound, for people; threshold: of certainty, from which on calls are its own, None where none is;
    decided: calls that were decided here since it went live."""

    name: str
    account: Account
    watch: Watch
    threshold: float | None = None
    reason: str = "new"
    decided: int = 0

    @classmethod
    def begin(cls, name: str, target: float, alpha: float) -> Self:
        """A side without a call. alpha: its part of the chance of error."""
        return cls(name=name, account=Account.begin(target=target, alpha=alpha), watch=Watch(target=target))

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        return Phase.LIVE if self.account.live else Phase.SHADOW

    def acts(self, certainty: float | None) -> bool:
        """Whether a call of this certainty would be decided here, were the side live."""
        return self.threshold is not None and certainty is not None and certainty >= self.threshold

    def see(self, *, wrong: bool, nominal: float, chance: float, predicted: float) -> Self:
        """With one more checked call of its population."""
        account = self.account.see(wrong=wrong, nominal=nominal, chance=chance, predicted=predicted)
        # a right call may weigh more in the account of a guard's other side
        watch = self.watch.see(wrong=wrong, weight=min(1.0, nominal / chance)) if nominal < 1 else self.watch
        side = replace(self, account=account, watch=watch)
        if account.live is self.account.live:
            return side
        seen = account.seen
        differ = f"{seen.wrong:,} of {seen.checks:,} checks differ"
        if not account.live:
            return replace(side, reason=f"{differ}: too many to go on; it is in shadow until they are few enough")
        return replace(side, watch=Watch(target=account.target), reason=differ, decided=0)

    def learn(self, *, wrong: bool, predicted: float) -> Self:
        """With one more call whose right answer is known. Predictions are trusted once they were tried while live."""
        if not (self.account.live or self.account.answered.checks):
            return self
        return replace(self, watch=self.watch.learn(wrong=wrong, predicted=predicted))

    def alarmed(self, why: str) -> Self:
        """In shadow, with an account anew."""
        account = self.account.alarmed()
        return replace(self, account=account, watch=Watch(target=account.target), threshold=None, reason=why)


class Contract(Struct, frozen=True, kw_only=True):
    """sides: one of a rule that answers, two of a guard (passes, flags). version: that the thresholds are of; known:
    how many calls with a right answer were seen; looks: since thresholds were chosen. models: the latest dated models
    that answered; fresh: checks that are still wanted of a new one, or of a guard's new version. stale: the version
    that was in use at the last alarm, whose training speaks of calls before it. pending: for each side, at most what
    the checks under way weigh. form: that answers have here."""

    sides: tuple[Side, ...]
    version: str = ""
    known: int = 0
    looks: int = 0
    models: tuple[str, ...] = ()
    fresh: int = 0
    stale: str = ""
    pending: tuple[float, ...] = ()
    form: Form = BARE

    @classmethod
    def new(cls, terms: Terms | SafetyTerms) -> Self:
        """One without a call. Each side of a guard has half of the chance of error."""
        alpha = 1 - terms.confidence
        if isinstance(terms, Terms):
            return cls(sides=(Side.begin("differ", terms.target, alpha),), pending=(0,))
        bounds = (("missed", terms.missed), ("flagged", terms.wrongly))
        return cls(sides=tuple(Side.begin(name, target, alpha / 2) for name, target in bounds), pending=(0, 0))

    @property
    def guards(self) -> bool:
        """Whether a judge is its measure."""
        return len(self.sides) > 1

    @property
    def alarms(self) -> tuple[int, ...]:
        """Of each side, as coins carry them."""
        return tuple(side.account.alarms for side in self.sides)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Of each side."""
        return tuple(side.phase for side in self.sides)

    @property
    def bounds(self) -> list[float | None]:
        """Of each side, as of `Account.bound`."""
        return [side.account.bound for side in self.sides]

    @property
    def spent(self) -> bool:
        """Whether anything of alpha or of evidence would be lost with it."""
        return any(side.account.seen.checks or side.account.alarms for side in self.sides)

    def flip(self, coin: Coin, draw: float) -> Coin:
        """The coin with all that the contract says of its call. coin: with key, score, version, predicted and repeat;
        draw: uniform in [0, 1)."""
        coin = replace(coin, alarms=self.alarms, form=self.form)
        return self._guard_coin(coin, draw) if self.guards else self._answer_coin(coin, draw)

    def _answer_coin(self, coin: Coin, draw: float) -> Coin:
        (side,) = self.sides
        acts = side.acts(coin.score)
        live = acts and side.account.live and not coin.paused
        zone = Zone.ANSWER if live else Zone.ASK
        if coin.repeat:
            return replace(coin, acts=(False,), nominal=(1.0,), zone=zone, checked=not live)
        more = side.watch.suspected or bool(self.fresh)
        nominal = threshold.nominal_rate(side.account, more=more)
        chance = threshold.answer_chance(nominal, coin.predicted) if live else 1.0
        return replace(coin, acts=(acts,), nominal=(nominal,), chance=chance, zone=zone, checked=draw < chance)

    def _guard_coin(self, coin: Coin, draw: float) -> Coin:
        """What both sides would do is the judge's, and so is all of a text that it has judged before."""
        score, (missed, wrongly) = coin.score, self.sides
        certain = (None, None) if score is None or coin.repeat else (1 - score, score)
        passes, flags = missed.acts(certain[0]), wrongly.acts(certain[1])
        acts = (passes and not flags, flags and not passes)
        more = (bool(self.fresh) or missed.watch.suspected, bool(self.fresh) or wrongly.watch.suspected)
        nominal = tuple(threshold.nominal_rate(side.account, more=m) for side, m in zip(self.sides, more, strict=True))
        coin = replace(coin, acts=acts, nominal=nominal, threshold=wrongly.threshold or 0.0)
        for side, zone, own, u, sure in zip(self.sides, (Zone.PASS, Zone.FLAG), acts, nominal, certain, strict=True):
            if own and side.account.live and not coin.paused:
                chance = threshold.guard_chance(u, sure or 0.0, side.threshold or 0.0)
                return replace(coin, zone=zone, chance=chance, checked=draw < chance)
        return coin

    def see(self, coin: Coin, wrong: Sequence[bool | None]) -> Self:
        """With one more checked call, in the order of coins. wrong: for each side, whether deciding it here would have
        been wrong; None where it is not of the side's population. A coin from before an alarm counts for nothing."""
        sides = list(self.sides)
        for place, (side, one) in enumerate(zip(self.sides, wrong, strict=True)):
            if one is None or coin.alarms[place] != side.account.alarms:
                continue
            nominal, chance = coin.nominal[place], coin.chance
            sides[place] = side.see(wrong=one, nominal=nominal, chance=chance, predicted=coin.predicted)
        return replace(self, sides=_watched(sides), fresh=max(0, self.fresh - 1))

    def learn(self, coin: Coin, *, wrong: bool, model: str = "") -> Self:
        """With one more call of a rule that answers whose right answer is known. model: that gave it, with its date."""
        if model and model not in self.models:
            fresh = NEW if self.models else self.fresh
            self = replace(self, models=(*self.models, model)[-_MODELS:], fresh=fresh)  # noqa: PLW0642
        known = replace(self, known=self.known + 1, looks=self.looks + 1)
        if self.guards or coin.alarms != self.alarms:
            return known
        (side,) = self.sides
        return replace(known, sides=_watched([side.learn(wrong=wrong, predicted=coin.predicted)]))

    def lost(self) -> Self:
        """After a stop that left checks under way: all of them count as wrong, since slow ones often are."""
        sides = []
        for side, pending in zip(self.sides, self.pending, strict=True):
            while pending > 0:
                weight, nominal = min(1.0, pending), threshold.nominal_rate(side.account)
                seen = side.see(wrong=True, nominal=nominal, chance=nominal / weight, predicted=0.0)
                side, pending = replace(seen, watch=side.watch), pending - weight  # noqa: PLW2901
            sides.append(side)
        return replace(self, sides=tuple(sides), pending=(0,) * len(self.sides))

    def reformed(self, form: Form) -> Self:
        """With answers of another form. What was seen before says nothing of them, so accounts that hold any checks
        begin anew as after an alarm."""
        why = f"the model's answers have the form {form.of('label')!r}; calls count from here on"
        sides = tuple(
            side.alarmed(why) if side.account.seen.checks else replace(side, reason=why, threshold=None)
            for side in self.sides
        )
        return replace(self, sides=sides, form=form)

    def of_version(self, version: str) -> Self:
        """With another version of the classifier; a guard's is checked more until some checks of it are in."""
        fresh = NEW if self.guards and self.version not in ("", version) else self.fresh
        return replace(self, version=version, fresh=fresh, looks=0)

    def choose(self, known: Sequence[ScoreRow], held_out: Sequence[ScoreRow], table: Sequence[ScoreGroup] = ()) -> Self:
        """With its thresholds chosen anew. known: calls of the version with their right answers; held_out: the scores
        of its training; table: of both, where it is there already. A rule that answers first sees some answers, in
        case they have a form of their own."""
        if not self.guards and self.known < EVERY:
            return replace(self, sides=tuple(replace(side, threshold=None) for side in self.sides))
        sides = []
        for place, side in enumerate(self.sides):
            if self.guards:
                rows, start = (threshold.of_kind(scores, flags=bool(place)) for scores in (known, held_out))
                tried = threshold.for_guard(rows, start) if rows or start else []
            else:
                table = table or threshold.score_groups([*held_out, *known])
                correction, current = side.account.correction, side.threshold
                texts = len(known) + len(held_out)
                tried = threshold.for_answers(table, texts, correction=correction, current=current) if table else []
            chosen = threshold.choose(tried, side.account, of_kind=self.guards)
            sides.append(replace(side, threshold=chosen))
        return replace(self, sides=tuple(sides), looks=0)


def judged(acts: Sequence[bool], unsafe: bool | None) -> tuple[bool | None, bool | None]:
    """What a judge's answer says of a guard's two sides. unsafe: None where it is no verdict, which counts against the
    side that would act."""
    passes, flags = acts
    missed = passes if unsafe or (unsafe is None and passes) else None
    wrongly = flags if unsafe is False or (unsafe is None and flags) else None
    return missed, wrongly


def _watched(sides: Sequence[Side]) -> tuple[Side, ...]:
    """With an account anew for each side whose watch has raised the alarm."""
    return tuple(side.alarmed(_why(side.watch)) if side.watch.alarmed else side for side in sides)


def _why(watch: Watch) -> str:
    if watch.latest >= ALARM:
        return "the model's latest answers differ from what was expected of them"
    return f"{watch.wrong:,} of {watch.checks:,} checks differed where at most {watch.target:.1%} may"
