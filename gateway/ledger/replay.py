"""What another threshold would have decided, of calls that the ledger has. Pure."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from classifiers.policy import OTHER
from classifiers.verdict import Abstention
from gateway.record import made_by
from gateway.rules.rule import Act, Rule

_GOES_ON: Final = (("forward", "redact"), ("forward", "redact", "answer"))
"""Decisions that an answer would change, and those that a block would."""
_DECISIONS: Final = {Act.ANSWER: "answer", Act.BLOCK: "block"}
_BY_SCORE: Final = (":clean", f":{Abstention.UNSURE.value}")
"""Why a row's label was not named, where that may be its score."""


@dataclass(slots=True, kw_only=True)
class ReplayedLabel:
    """What another threshold changes of the calls that a label is likeliest of. read: how many these are; older: of
    them, those before a time. more, fewer: calls that the rule acts on for the label besides, and no more. wrong: of
    `more`, those that a reviewer gave no such label. doubted: above both thresholds and in doubt all the same. usd:
    what answers save more, less what fewer of them save; unknown: of these calls, those without dollars; notional:
    whether nobody is charged for some."""

    read: int = 0
    older: int = 0
    more: int = 0
    fewer: int = 0
    wrong: int = 0
    doubted: int = 0
    usd: float = 0.0
    unknown: int = 0
    notional: bool = False


def replay(
    calls: Iterable[Mapping[str, Any]],
    rule: Rule,
    threshold: float,
    *,
    now: Mapping[str, float],
    reviewed: Mapping[str, Collection[str]],
    since: float = 0.0,
) -> Mapping[str, ReplayedLabel]:
    """What a rule would have done at another threshold, by label. calls: that it has read, as of `SQLiteLedger.judged`;
    a row has one label, and of a doubt no reason but its score. now: the labels' thresholds; that of `other` stays.
    reviewed: the right labels of calls, by request id; since: Unix seconds, before which calls are older."""
    labels: dict[str, ReplayedLabel] = defaultdict(ReplayedLabel)
    blocks_doubt, entry = rule.otherwise[Abstention.UNSURE.value].act is Act.BLOCK, made_by(re.escape(rule.name))
    for call in calls:
        if (read := entry.search(call["verdicts"])) is None or read[2] is not None:
            continue
        label, score, doubt = read[3], float(read[4]), read[5]
        made, action = labels[label], rule.then.get(label)
        made.read += 1
        made.older += call["at"] < since
        if action is None or label == OTHER:
            continue
        above, above_now, blocks = score >= threshold, score >= now.get(label, 0.0), action.act is Act.BLOCK
        by_score, flags = above and doubt in _BY_SCORE, action.act is Act.FLAG
        more = by_score and not above_now and (flags or call["decision"] in _GOES_ON[blocks])
        # other rules may have answered, or blocked
        acted = action.act not in _DECISIONS or (call["decision"], call["rule"]) == (_DECISIONS[action.act], rule.name)
        fewer = acted and not above and not doubt and not (blocks and blocks_doubt)
        made.doubted += by_score and above_now
        made.more += more
        made.fewer += fewer
        made.wrong += more and label not in reviewed.get(call["request_id"], (label,))
        if action.act is Act.ANSWER and (more or fewer):
            usd = call["spent_usd"] if more else call["saved_usd"]
            made.usd += (usd or 0.0) * (1 if more else -1)
            made.unknown += usd is None
            made.notional |= call["notional"]
    return labels
