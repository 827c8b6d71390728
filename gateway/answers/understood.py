"""Whether a rule may answer a request: only where all of the request is understood. Pure.

A needless forward costs a cent; a wrong answer costs the caller. So this is a list of what is known to be harmless:
top-level fields and their values, keys of messages (`gateway.protocols`), and conversations that end in the
user's turn that the rule reads. Whatever is not on the list is forwarded. Each wire format has its own list.
"""

from collections.abc import Mapping, Sequence
from itertools import dropwhile

import msgspec

from gateway.protocols.wire import SYSTEM, Request, Turn, Understood, Unsupported, UnsupportedReason
from gateway.rules.rule import Rule


def why_not_answerable(rule: Rule, request: Request, *, fixed: bool) -> Unsupported | None:
    """Why a rule must not answer a request; None where all of it is understood. fixed: whether the rule answers with a
    text of its own, which suits a conversation's first turn unless it says more. Raises BadRequest where messages
    cannot be read."""
    field = _unknown_field(request.fields, request.wire.requests.understood)
    if field is not None:
        return Unsupported(UnsupportedReason.UNKNOWN_FIELD, field)
    if rule.system is not None and rule.terms is None and sum(turn.role in SYSTEM for turn in request.turns) > 1:
        return Unsupported(UnsupportedReason.CONVERSATION, "it has a second system message")
    return _conversation(request.turns, rule, first=fixed and not rule.any_turn)


def _unknown_field(fields: Mapping[str, msgspec.Raw], understood: Understood) -> str | None:
    """The first field that is not on the list, or has a value that is not; null stands for a field left out."""
    for name, raw in fields.items():
        if name in understood.harmless or name in understood.read or bytes(raw) == b"null":
            continue
        if name not in understood.values:
            return name
        if not any(_same(raw, allowed) for allowed in understood.values[name]):
            return f"{name}: {bytes(raw)[:80].decode(errors='replace')}"
    return None


def _same(raw: msgspec.Raw, allowed: str) -> bool:
    try:
        return bool(msgspec.json.decode(raw) == msgspec.json.decode(allowed))
    except (msgspec.DecodeError, RecursionError):
        return False


def _conversation(turns: Sequence[Turn], rule: Rule, *, first: bool) -> Unsupported | None:
    """Why the conversation is none that ends in a turn which the rule reads and a person wrote."""
    last = turns[-1] if turns else None
    if last is None or last.role in ("assistant", "tool") or last.role not in rule.roles:
        where = f"it ends in a turn of {last.role}" if last else "it has no turn"
        return Unsupported(UnsupportedReason.CONVERSATION, where)
    before = next((turn for turn in reversed(turns) if turn.role not in ("user", *SYSTEM)), None)
    if before is not None and (before.role == "tool" or before.calls):
        return Unsupported(UnsupportedReason.CONVERSATION, "a tool's call or result stands before the last turn")
    if any(turn.incomplete for turn in turns):
        return Unsupported(UnsupportedReason.CONVERSATION, "a part is not text")
    unknown = next((place for turn in turns for place in turn.unknown), None)
    if unknown is not None:
        return Unsupported(UnsupportedReason.UNKNOWN_FIELD, unknown)
    # an assistant that speaks first, as chat windows let it, says nothing about what is asked
    asked = dropwhile(lambda turn: turn.role != "user", turns)
    if first and any(turn.role == "assistant" for turn in asked):
        return Unsupported(UnsupportedReason.LATER_TURN)
    return None
