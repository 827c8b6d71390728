"""Calls grouped by what asked for them: the shape of the answer, the system prompt, the template. Pure."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from gateway.discover.calls import LoggedCall
from gateway.discover.template import LEAST, DraftedReads, Frame, families, reads_of
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.wire import FunctionCall, RequestedFormat, SchemaObject, Turn, Unsupported, system_text
from gateway.requests.turns import select

_TASKS_OF_ONE_FRAME = 20
"""With more system prompts of a common frame, they are one that varies, not several tasks."""
_USER = frozenset({"user"})
_SYSTEM = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Calls with the same template. inputs: what varies in each call, as a rule with `reads` gives it. shape: the
    format that is asked for. frame: the constant part of the texts that are read. system: the system prompt, None where
    it changes between calls. constant: every call asks the same."""

    calls: tuple[LoggedCall, ...]
    inputs: tuple[str, ...]
    shape: RequestedFormat | Unsupported
    reads: DraftedReads
    frame: Frame
    system: str | None
    constant: bool = False

    @property
    def readable(self) -> bool:
        """Whether a rule with `reads` reads just the inputs, and nothing else."""
        return all(_reads_just(text, call, self.reads) for text, call in zip(self.inputs, self.calls, strict=True))


@dataclass(frozen=True, slots=True)
class _TemplatedCall:
    """A call with the format that it asks for and the texts that may hold a template."""

    call: LoggedCall
    shape: RequestedFormat | Unsupported
    system: str
    user: tuple[str, ...]
    earlier: tuple[Turn, ...]


def groups(calls: Sequence[LoggedCall]) -> list[Group]:
    """All calls, each in one group."""
    by_shape: dict[Hashable, list[_TemplatedCall]] = defaultdict(list)
    for call in calls:
        prompt = _templated(call)
        by_shape[_key(prompt.shape)].append(prompt)
    return [group for prompts in by_shape.values() for group in _of_shape(prompts)]


def _key(shape: RequestedFormat | Unsupported) -> Hashable:
    if isinstance(shape, Unsupported):
        return shape.reason
    form = shape.shape
    if isinstance(form, FunctionCall | SchemaObject):
        name = form.name if isinstance(form, FunctionCall) else ""
        # a schema is what a client wrote, whatever that is
        properties = form.schema.get("properties")
        return type(form).__name__, name, tuple(properties if isinstance(properties, dict) else ())
    return type(form).__name__


def _templated(call: LoggedCall) -> _TemplatedCall:
    texts, _ = select(call.turns, _USER, last=True)
    last = max((i for i, turn in enumerate(call.turns) if turn.role == "user"), default=-1)
    earlier = tuple(turn for turn in call.turns[:last] if turn.role not in _SYSTEM)
    return _TemplatedCall(call, CHAT.requests.requested(dict(call.fields)), system_text(call.turns), texts, earlier)


def _of_shape(prompts: list[_TemplatedCall]) -> Iterator[Group]:
    by_system: dict[str, list[_TemplatedCall]] = defaultdict(list)
    for prompt in prompts:
        by_system[prompt.system].append(prompt)
    systems = list(by_system)
    for family in families(systems):
        members = [systems[index] for index in family.members]
        rare = [text for text in members if len(by_system[text]) < LEAST]
        varies = bool(family.frame) and (len(members) > _TASKS_OF_ONE_FRAME or len(rare) >= LEAST)
        alone = [] if varies else [text for text in members if text not in rare or len(rare) < LEAST]
        for text in alone:
            yield from _of_system(by_system[text])
        if pooled := [prompt for text in members if text not in alone for prompt in by_system[text]]:
            yield from _of_varying_system(pooled, family.frame)


def _of_varying_system(prompts: list[_TemplatedCall], frame: Frame) -> Iterator[Group]:
    """The input is in the system prompt where nothing else varies; otherwise two places vary."""
    if not frame or len({prompt.user for prompt in prompts}) > 1:
        yield from _of_system(prompts, varies=True)
        return
    roles = {turn.role for prompt in prompts for turn in prompt.call.turns} & _SYSTEM
    yield Group(
        calls=tuple(prompt.call for prompt in prompts),
        inputs=tuple(frame.middle(prompt.system).strip() for prompt in prompts),
        shape=prompts[0].shape,
        reads=reads_of(frame, roles=tuple(sorted(roles))),
        frame=frame,
        system=None,
    )


def _of_system(prompts: list[_TemplatedCall], *, varies: bool = False) -> Iterator[Group]:
    """Parts calls by their earlier turns, where these are constant examples, and by the template of the user's turn."""
    by_turns: dict[tuple[tuple[Turn, ...], int], list[_TemplatedCall]] = defaultdict(list)
    for prompt in prompts:
        by_turns[prompt.earlier, len(prompt.user)].append(prompt)
    rest: dict[int, list[_TemplatedCall]] = defaultdict(list)
    for (earlier, parts), members in by_turns.items():
        if len(members) < LEAST and earlier:
            rest[parts] += members
        else:
            yield from _of_turns(members, varies=varies)
    for members in rest.values():
        yield from _of_turns(members, varies=varies)


def _of_turns(prompts: list[_TemplatedCall], *, varies: bool) -> Iterator[Group]:
    # of a turn in several texts, the one that varies most
    place = max(range(len(prompts[0].user)), key=lambda i: len({prompt.user[i] for prompt in prompts}), default=0)
    texts = [prompt.user[place] if prompt.user else "" for prompt in prompts]
    parts = families(texts)
    for family in parts:
        members = [prompts[i] for i in family.members]
        frame = family.frame
        inputs = (frame.middle(texts[i]) if frame else "\n".join(prompts[i].user) for i in family.members)
        yield Group(
            calls=tuple(prompt.call for prompt in members),
            inputs=tuple(text.strip() for text in inputs),
            shape=prompts[0].shape,
            reads=reads_of(frame, others=[texts[i] for other in parts if other is not family for i in other.members]),
            frame=frame,
            system=None if varies else members[0].system,
            constant=family.constant and len(members) > 1 and len({prompt.user for prompt in members}) == 1,
        )


def unread(call: LoggedCall, reads: DraftedReads) -> bool:
    """Whether a rule leaves a call alone, because what it reads there holds an image, audio or a file."""
    return select(call.turns, frozenset(reads.roles) or _USER, last=True)[1]


def _reads_just(text: str, call: LoggedCall, reads: DraftedReads) -> bool:
    texts, _ = select(call.turns, frozenset(reads.roles) or _USER, last=True)
    if not reads:
        return "\n".join(texts).strip() == text
    return [part for part in map(reads.template.input_of, texts) if part is not None] == [text]
