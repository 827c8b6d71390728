"""Safety rules under a contract: where each call lies, what the classifier's verdict then is, what the judge's says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from classifiers.verdict import Abstention, Verdict
from gateway.contract.safety import Zone
from gateway.contract.safety_owner import Placed, SafetyOwner
from gateway.contract.scope import Scope, digest
from gateway.judge.judge import Judged, Outcome
from gateway.metrics import Metrics
from gateway.rules.rule import Rule
from gateway.types import Context
from gateway.under_way import UnderWay
from gateway.upstreams.routes import Routes

_UNKNOWN = (Abstention.UNREAD, Abstention.BROKEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """owner: of all safety contracts; routes: where judges are."""

    owner: SafetyOwner
    routes: Routes
    metrics: Metrics
    under_way: UnderWay

    def place(self, pairs: Sequence[tuple[Rule, Verdict]]) -> Mapping[str, Placed]:
        """Where the call lies under each rule's contract, by the rule's name. What was not read, or held no text, is
        decided without one."""
        return {
            rule.name: self.owner.place(
                scope(rule, verdict, self.routes.first(rule.asks.model)), rule.safety, _score(rule, verdict)
            )
            for rule, verdict in pairs
            if rule.asks is not None
            and rule.safety is not None
            and verdict.abstention not in _UNKNOWN
            and verdict.windows_read
        }

    async def learn(self, context: Context, rule: Rule, placed: Placed, judged: Judged) -> None:
        """Takes in what the judge said. A judge that could not be reached, or was too slow, says nothing of the text;
        what it answered and cannot be read may well be because of the text. A fallback's verdict is no word of its."""
        if judged.stood_in or (not judged.given and judged.outcome is not Outcome.UNREADABLE):
            return
        unsafe = None if not judged.given else bool(judged.labels)
        zone = placed.chosen.zone
        if zone is not Zone.ASK:
            agrees = unsafe is (zone is Zone.FLAG)
            result = "missing" if unsafe is None else "agrees" if agrees else "differs"
            self.metrics.observe_pair(rule.name, result, chosen=True)
        learning = self.owner.learn(placed, request_id=context.record.request_id, unsafe=unsafe)
        await self.under_way.finish(learning)


def scope(rule: Rule, verdict: Verdict, sent_to: str) -> Scope:
    """The contract that a call belongs to: whoever judges, by which words, and what is read. sent_to: where the judge's
    model is sent first, as `upstream/model`."""
    assert rule.asks is not None
    assert rule.safety is not None
    reads = [*sorted(rule.roles), str(rule.last_turn), str(rule.max_windows)]
    if rule.template is None or rule.template.pattern is None:
        reads.append(repr(rule.template))
    else:
        reads += [repr(replace(rule.template, pattern=None)), rule.template.pattern.pattern]
    return Scope(
        rule=rule.name,
        model=rule.asks.model,
        prompt=digest(rule.asks.told, *(f"{label}={names}" for label, names in rule.asks.categories.items()), *reads),
        labels=tuple(rule.asks.categories),
        classifier=verdict.classifier,
        version=verdict.version,
        terms=rule.safety.text,
        sent_to=sent_to,
    )


def told(rule: Rule, verdict: Verdict, placed: Placed | None) -> Verdict:
    """The verdict as the contract takes it: unsure where the judge is to be asked, whatever the classifier's own
    thresholds say. Labels told by patterns stand."""
    if placed is None:
        return verdict
    if placed.judged:
        found = tuple(dict.fromkeys(passage.label for passage in verdict.spans))
        return replace(verdict, labels=found, abstention=Abstention.UNSURE, reason="put to the judge by its contract")
    return local(rule, verdict, placed)


def local(rule: Rule, verdict: Verdict, placed: Placed) -> Verdict:
    """The verdict without the judge, where the contract lets it stand."""
    found = tuple(dict.fromkeys(passage.label for passage in verdict.spans))
    if placed.chosen.zone is Zone.FLAG:
        assert rule.asks is not None
        scores = {label: verdict.scores.get(label, 0.0) for label in rule.asks.categories}
        flags = placed.chosen.flags or 0.0
        named = sorted((label for label in scores if scores[label] >= flags), key=lambda label: -scores[label])
        found = (*found, *named)
    certain = verdict.scores.get(found[0], 1.0) if found else 1 - (placed.chosen.score or 0.0)
    return replace(verdict, labels=found, confidence=certain, abstention=None)


def _score(rule: Rule, verdict: Verdict) -> float | None:
    """How likely it is that any label which is learned holds; None for a text in a language that the policy does not
    name, of which the classifier knows nothing."""
    assert rule.asks is not None
    if verdict.abstention is Abstention.LANGUAGE:
        return None
    return max((verdict.scores.get(label, 0.0) for label in rule.asks.categories), default=0.0)
