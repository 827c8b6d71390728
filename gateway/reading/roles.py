"""Which text a rule reads: by role, last turn or all, every part of a message that can carry text."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.errors import BadRequest
from gateway.wire import chat

_ROLES: Final = {
    **{role: role for role in ("system", "developer", "user", "assistant", "tool")},
    "function": "tool",
}
"""Any other role is read as the user's: an upstream may take it for one, and no rule would look at it."""


READABLE_PARTS: Final = frozenset({"text", "input_text", "output_text", "refusal"})
"""Types of content parts that are text and nothing else."""
_MESSAGE_KEYS: Final = frozenset(chat.Message.__struct_fields__)
_PART_KEYS: Final = frozenset(chat.Part.__struct_fields__)


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: its texts in order, and whether a part of it (an image, say) cannot be read."""

    role: str
    texts: tuple[str, ...]
    incomplete: bool


def turns_of(messages: msgspec.Raw) -> list[Turn]:
    """A request's messages as turns. Raises BadRequest where they are not messages."""
    try:
        for keys in chat.decode_message_keys(messages):
            _no_lookalikes(keys, _MESSAGE_KEYS)
        return [_turn(message) for message in chat.decode_messages(messages)]
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"messages: {error}", param="messages") from error


def select(turns: Sequence[Turn], roles: frozenset[str], *, last: bool) -> tuple[tuple[str, ...], bool]:
    """The texts that a rule reads and whether something among them cannot be read.

    last: only the latest run of messages of these roles (a user's turn may be split over several messages).
    """
    if last:
        turns = list(_latest_run(turns, roles))
    chosen = [turn for turn in turns if turn.role in roles]
    texts = tuple(text for turn in chosen for text in turn.texts)
    return texts, any(turn.incomplete for turn in chosen)


def system_text(turns: Sequence[Turn]) -> str:
    """All system and developer text, for `when: {system_glob}`."""
    return "\n".join(text for turn in turns if turn.role in ("system", "developer") for text in turn.texts)


def _latest_run(turns: Sequence[Turn], roles: frozenset[str]) -> Iterator[Turn]:
    end = len(turns)
    while end and turns[end - 1].role not in roles:
        end -= 1
    start = end
    while start and turns[start - 1].role in roles:
        start -= 1
    return iter(turns[start:end])


def _no_lookalikes(keys: Iterable[str], known: frozenset[str]) -> None:
    """Some servers match keys whatever their case: what would be read there and not here is refused."""
    for key in keys:
        if key not in known and key.lower() in known:
            raise BadRequest(f"messages: the key {key!r} is written otherwise: {key.lower()!r}", param="messages")


def _turn(message: chat.Message) -> Turn:
    texts: list[str] = []
    incomplete = False
    if isinstance(message.content, str):
        texts.append(message.content)
    elif message.content:
        for raw in message.content:
            _no_lookalikes(chat.decode_fields(raw), _PART_KEYS)
            part = chat.decode_part(raw)
            found = [text for text in (part.text, part.refusal) if text is not None]
            texts += found
            # an image with a text beside it is an image all the same
            incomplete = incomplete or part.type not in READABLE_PARTS or not found
    texts += [text for text in (message.name, message.refusal) if text]
    calls = [call.function for call in message.tool_calls or () if call.function]
    if message.function_call:
        calls.append(message.function_call)
    texts += [call.arguments for call in calls if call.arguments]
    texts += [call.custom.input for call in message.tool_calls or () if call.custom and call.custom.input]
    return Turn(_ROLES.get(message.role, "user"), tuple(texts), incomplete)
