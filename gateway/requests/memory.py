"""What later requests may name of earlier ones by id: responses and their items, for a while, in memory alone.

What was answered here is at no upstream, so a request that names it gets it in full. What an upstream answered stays
there; it is remembered whose it is and where. An id that is not known goes on as it is.
"""

import base64
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from msgspec import Raw

from gateway.errors import NotFound
from gateway.protocols.wire import Earlier, Fields, History, Meta, Request

MOST_BYTES: Final = 64 * 1024**2
WITHIN_S: Final = 3600.0
_ENTRY_BYTES: Final = 1024
"""What an entry takes in addition to its texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A response. owner: a digest of the keys that it was asked with. upstream: that made it; empty of one made here.
    body, items: of one made here, as JSON: the response, what it was asked with and what it says. before: the id of the
    upstream's response that it continues. values: of placeholders in the conversation. checked: rules may have changed
    or blocked what the upstream has of it. ids: of its items."""

    owner: bytes
    upstream: str = ""
    body: bytes = b""
    items: tuple[Raw, ...] = ()
    before: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    checked: bool = False
    ids: tuple[str, ...] = ()
    at: float = 0.0

    @property
    def size(self) -> int:
        """Bytes, about."""
        return _ENTRY_BYTES + len(self.body) + sum(map(len, self.items)) + sum(map(len, self.values.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Continued:
    """What is known of the conversation that a request goes on with. upstream: where it lies. values: of placeholders
    in it. tag: makes the request's placeholders its own; empty where all of the conversation is in the request."""

    owner: bytes = b""
    upstream: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    tag: str = ""


class ResponseMemory:
    """Responses by id, the oldest leaving first. clock: seconds."""

    def __init__(
        self, *, most_bytes: int = MOST_BYTES, within_s: float = WITHIN_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most_bytes = most_bytes
        self._within_s = within_s
        self._clock = clock
        self._known: OrderedDict[str, Remembered] = OrderedDict()
        self._items: dict[str, tuple[str, Raw]] = {}
        self._size = 0
        # large bodies are read in a thread
        self._lock = threading.RLock()

    def begin(self, request: Request, owner: bytes) -> tuple[Request, Continued]:
        """The request with what it names of the responses made here, which are remembered if it allows that. Raises
        BadRequest where it cannot be read, and NotFound for a response of another owner."""
        history = request.wire.history
        if history is None:
            return request, Continued()
        named = history.named(request.fields)
        previous = self.find(named.response, owner) if named.response else None
        items = {item: raw for item in named.items if (raw := self._item(item, owner)) is not None}
        upstream, values = "", dict[str, str]()
        if previous is not None:
            upstream, values = previous.upstream, dict(previous.values)
            if not previous.upstream and previous.before:
                before = self.find(previous.before, owner)
                upstream = before.upstream if before is not None else upstream
        local = previous is not None and not previous.upstream
        if items or local:
            earlier = Earlier(items=previous.items, before=previous.before) if previous and local else None
            request = replace(request, fields=history.joined(request.fields, earlier, items))
        shared = named.stored or bool(history.named(request.fields).response) or named.elsewhere
        tag = base64.b32encode(os.urandom(5)).decode() + "_" if shared else ""
        if named.stored:
            # not by the request, which would hold itself
            request.remember = partial(self._remember, history, request.fields, owner, values)
        return request, Continued(owner=owner, upstream=upstream, values=values, tag=tag)

    def _remember(self, history: History, fields: Fields, owner: bytes, values: Mapping[str, str], body: bytes) -> None:
        """Remembers an answer made here. body: whole."""
        made = history.made(fields, body)
        ids = tuple(made.output)
        items = (*made.given, *made.output.values())
        one = Remembered(owner=owner, body=body, items=items, before=made.before, values=values, ids=ids)
        self._add(made.id, one, made.output)

    def learn(self, meta: Meta, owner: bytes, upstream: str, values: Mapping[str, str], *, checked: bool) -> None:
        """Remembers an upstream's answer. values: of placeholders in the conversation."""
        for response in meta.ids[:1]:
            one = Remembered(owner=owner, upstream=upstream, values=dict(values), checked=checked)
            self._add(response, one, {})

    def find(self, response: str, owner: bytes) -> Remembered | None:
        """A response by its id; None where none is known. Raises NotFound for another owner's."""
        self._expire()
        one = self._known.get(response)
        if one is not None and one.owner != owner:
            raise NotFound(f"no response {response!r} is known", param="previous_response_id")
        return one

    def __contains__(self, response: str) -> bool:
        self._expire()
        return response in self._known

    def forget(self, response: str) -> None:
        """Forgets a response and its items."""
        with self._lock:
            one = self._known.pop(response, None)
            if one is not None:
                self._size -= one.size
                for item in one.ids:
                    self._items.pop(item, None)

    def _item(self, item: str, owner: bytes) -> Raw | None:
        response, raw = self._items.get(item, ("", None))
        one = self._known.get(response)
        return raw if one is not None and one.owner == owner else None

    def _add(self, response: str, one: Remembered, items: Mapping[str, Raw]) -> None:
        if one.size > self._most_bytes:
            return
        with self._lock:
            self.forget(response)
            self._known[response] = replace(one, at=self._clock())
            self._size += one.size
            self._items |= {item: (response, raw) for item, raw in items.items()}
            while self._size > self._most_bytes:
                self.forget(next(iter(self._known)))

    def _expire(self) -> None:
        with self._lock:
            while self._known and next(iter(self._known.values())).at < self._clock() - self._within_s:
                self.forget(next(iter(self._known)))
