"""Calls grouped by what asked for them: the shape of the answer, the system prompt, the template. Pure."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from gateway.answers.format import JsonSchema, RequestedFormat, Unsupported, requested_format
from gateway.answers.format import ToolCall as FunctionCall
from gateway.discover.calls import LoggedCall
from gateway.discover.template import LEAST, DraftedReads, Family, Frame, families, reads_of
from gateway.requests.messages import Turn, select, system_text

_TASKS_OF_ONE_FRAME = 20
"""More system prompts with a common frame than this are one that varies, not several tasks."""
_USER = frozenset({"user"})
_SYSTEM = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """calls: with the same template; inputs: what varies of each, as `reads` gives it; shape: that is asked for.

    system: the system prompt, None where it changes from call to call; frame: of the texts that are read;
    constant: every call asks the same; conversation: earlier turns change as well; readable: a rule with `reads` reads
    just these inputs.
    """

    calls: tuple[LoggedCall, ...]
    inputs: tuple[str, ...]
    shape: RequestedFormat | Unsupported
    reads: DraftedReads
    frame: Frame
    system: str | None
    constant: bool
    conversation: bool
    readable: bool


@dataclass(frozen=True, slots=True)
class _GroupedCalls:
    """A call with the texts that a template may stand in."""

    call: LoggedCall
    system: str
    user: tuple[str, ...]
    earlier: tuple[Turn, ...]


def groups(calls: Sequence[LoggedCall]) -> list[Group]:
    """Every call is in one group."""
    by_shape: dict[Hashable, list[_GroupedCalls]] = defaultdict(list)
    shapes: dict[Hashable, RequestedFormat | Unsupported] = {}
    for call in calls:
        shape = requested_format(dict(call.fields))
        key = _key(shape)
        shapes.setdefault(key, shape)
        by_shape[key].append(_seen(call))
    return [group for key, seen in by_shape.items() for group in _of_shape(seen, shapes[key])]


def _key(shape: RequestedFormat | Unsupported) -> Hashable:
    if isinstance(shape, Unsupported):
        return shape.reason
    form = shape.shape
    if isinstance(form, FunctionCall | JsonSchema):
        name = form.name if isinstance(form, FunctionCall) else ""
        # a schema is what a client wrote, whatever that is
        properties = form.schema.get("properties")
        return type(form).__name__, name, tuple(properties if isinstance(properties, dict) else ())
    return type(form).__name__


def _seen(call: LoggedCall) -> _GroupedCalls:
    texts, _ = select(call.turns, _USER, last=True)
    end = max((i for i, turn in enumerate(call.turns) if turn.role == "user"), default=-1)
    earlier = tuple(turn for turn in call.turns[: end + 1 - 1] if turn.role not in _SYSTEM)
    return _GroupedCalls(call, system_text(call.turns), texts, earlier)


def _of_shape(seen: list[_GroupedCalls], shape: RequestedFormat | Unsupported) -> list[Group]:
    """By system prompt: those that stay the same, and those of a template."""
    by_system: dict[str, list[_GroupedCalls]] = defaultdict(list)
    for one in seen:
        by_system[one.system].append(one)
    found: list[Group] = []
    systems = list(by_system)
    for family in families(systems):
        members = [systems[place] for place in family.members]
        rare = [text for text in members if len(by_system[text]) < LEAST]
        varies = bool(family.frame) and (len(members) > _TASKS_OF_ONE_FRAME or len(rare) >= LEAST)
        alone = [] if varies else [text for text in members if text not in rare or len(rare) < LEAST]
        for text in alone:
            found += _of_system(by_system[text], shape)
        if pooled := [one for text in members if text not in alone for one in by_system[text]]:
            found += _of_varying_system(pooled, shape, family.frame)
    return found


def _of_varying_system(seen: list[_GroupedCalls], shape: RequestedFormat | Unsupported, frame: Frame) -> list[Group]:
    """The input stands in the system prompt where nothing else varies; else there are two places that do."""
    if frame and len({one.user for one in seen}) == 1:
        roles = {turn.role for one in seen for turn in one.call.turns} & _SYSTEM
        reads = reads_of(frame, roles=tuple(sorted(roles)))
        inputs = tuple(frame.middle(one.system).strip() for one in seen)
        return [_group(seen, shape, inputs=inputs, reads=reads, frame=frame, system=None)]
    return _of_system(seen, shape, varies=True)


def _of_system(seen: list[_GroupedCalls], shape: RequestedFormat | Unsupported, *, varies: bool = False) -> list[Group]:
    """By the earlier turns, where they are examples that stay the same, and by the template of the user's turn."""
    by_turns: dict[tuple[tuple[Turn, ...], int], list[_GroupedCalls]] = defaultdict(list)
    for one in seen:
        by_turns[one.earlier, len(one.user)].append(one)
    rest: dict[int, list[_GroupedCalls]] = defaultdict(list)
    found: list[Group] = []
    for (earlier, parts), members in by_turns.items():
        if len(members) < LEAST and earlier:
            rest[parts] += members
        else:
            found += _of_turns(members, shape, varies=varies, conversation=False)
    for members in rest.values():
        found += _of_turns(members, shape, varies=varies, conversation=True)
    return found


def _of_turns(
    seen: list[_GroupedCalls], shape: RequestedFormat | Unsupported, *, varies: bool, conversation: bool
) -> list[Group]:
    place = _varying_place(seen)
    texts = [one.user[place] if one.user else "" for one in seen]
    found = families(texts)
    others = [[texts[i] for i in family.members] for family in found]
    made = []
    for index, family in enumerate(found):
        members = [seen[i] for i in family.members]
        frame = family.frame
        away = [text for other, part in enumerate(others) if other != index for text in part]
        reads = reads_of(frame, others=away)
        if frame:
            inputs = tuple(frame.middle(texts[i]).strip() for i in family.members)
        else:
            inputs = tuple("\n".join(one.user).strip() for one in members)
        system = None if varies else members[0].system
        made.append(
            _group(
                members,
                shape,
                inputs=inputs,
                reads=reads,
                frame=frame,
                system=system,
                constant=_is_constant(family, members),
                conversation=conversation,
            )
        )
    return made


def _varying_place(seen: list[_GroupedCalls]) -> int:
    """Which text of the user's turn varies most; of a turn in one text, that."""
    parts = len(seen[0].user)
    return max(range(parts), key=lambda place: len({one.user[place] for one in seen}), default=0)


def _is_constant(family: Family, members: list[_GroupedCalls]) -> bool:
    return family.constant and len(members) > 1 and len({one.user for one in members}) == 1


def _group(
    seen: list[_GroupedCalls],
    shape: RequestedFormat | Unsupported,
    *,
    inputs: tuple[str, ...],
    reads: DraftedReads,
    frame: Frame,
    system: str | None,
    constant: bool = False,
    conversation: bool = False,
) -> Group:
    return Group(
        calls=tuple(one.call for one in seen),
        inputs=inputs,
        shape=shape,
        reads=reads,
        frame=frame,
        system=system,
        constant=constant,
        conversation=conversation,
        readable=all(_reads_just(text, one.call, reads) for one, text in zip(seen, inputs, strict=True)),
    )


def unread(call: LoggedCall, reads: DraftedReads) -> bool:
    """Whether there is an image, audio or a file in what a rule reads of a call: then it leaves the call alone."""
    return _read(call, reads)[1]


def _read(call: LoggedCall, reads: DraftedReads) -> tuple[tuple[str, ...], bool]:
    return select(call.turns, frozenset(reads.roles) or _USER, last=True)


def _reads_just(text: str, call: LoggedCall, reads: DraftedReads) -> bool:
    """Whether a rule reads this input of a call and nothing else."""
    texts, _ = _read(call, reads)
    if not reads:
        return "\n".join(texts).strip() == text
    return [found for one in texts if (found := reads.template.input_of(one)) is not None] == [text]
