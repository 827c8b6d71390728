"""Whether a rule may answer a request: only where all of the request is understood. Pure.

A needless forward costs a cent; a wrong answer costs the caller. So this is a list of what is known to be harmless:
top-level fields and their values, keys of messages (`gateway.requests.messages`), and conversations that end in the
user's turn that the rule reads. Whatever is not on the list is forwarded. docs/api.md has the list as two tables, which
a test compares with it.
"""

from collections.abc import Mapping, Sequence
from itertools import dropwhile
from typing import Final

import msgspec

from gateway.answers.format import Unsupported, UnsupportedReason
from gateway.requests.messages import SYSTEM, Turn
from gateway.requests.parse import Request
from gateway.rules.rule import Rule

HARMLESS: Final = frozenset({
    "user", "metadata", "seed", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "prompt_cache_options", "service_tier", "temperature", "top_p", "frequency_penalty", "presence_penalty",
    "reasoning_effort", "verbosity", "parallel_tool_calls", "top_k", "min_p", "keep_alive", "cache_prompt",
})  # fmt: skip
"""Fields that do not change what an answer has to be, whatever their value. Clients send them with ordinary calls."""
FORMAT: Final = frozenset({
    "model", "messages", "stream", "n", "response_format", "tools", "tool_choice", "functions", "function_call",
    "modalities", "audio", "web_search_options", "stop", "max_tokens", "max_completion_tokens", "logprobs",
    "top_logprobs",
})  # fmt: skip
"""Fields that are read: an answer made here follows them, or is not given."""
VALUES: Final[Mapping[str, frozenset[str]]] = {
    "store": frozenset({"false"}),
    "logit_bias": frozenset({"{}"}),
    "stream_options": frozenset({
        "{}", '{"include_usage":true}', '{"include_usage":false}', '{"include_obfuscation":false}',
        '{"include_usage":true,"include_obfuscation":false}',
    }),
}  # fmt: skip
"""Fields that are harmless with these values only, written as compact JSON."""


def why_not_answerable(rule: Rule, request: Request, *, fixed: bool) -> Unsupported | None:
    """Why a rule must not answer a request; None where all of it is understood. fixed: whether the rule answers with a
    text of its own, which suits a conversation's first turn unless it says more. Raises BadRequest where messages
    cannot be read."""
    field = _unknown_field(request.fields)
    if field is not None:
        return Unsupported(UnsupportedReason.UNKNOWN_FIELD, field)
    if rule.system is not None and rule.terms is None and sum(turn.role in SYSTEM for turn in request.turns) > 1:
        return Unsupported(UnsupportedReason.CONVERSATION, "it has a second system message")
    return _conversation(request.turns, rule, first=fixed and not rule.any_turn)


def _unknown_field(fields: Mapping[str, msgspec.Raw]) -> str | None:
    """The first field that is not on the list, or has a value that is not; null stands for a field left out."""
    for name, raw in fields.items():
        if name in HARMLESS or name in FORMAT or bytes(raw) == b"null":
            continue
        if name not in VALUES:
            return name
        if not any(_same(raw, allowed) for allowed in VALUES[name]):
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
