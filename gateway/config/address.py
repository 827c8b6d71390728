"""Addresses of servers as YAML files name them."""

import re
from collections.abc import Callable
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from yarl import URL

from classifiers.record import Words

_PATTERN: Final = r"^https?://[^\s/]+"


def fault(address: str) -> str:
    """Why the client or its look-up of names does not take an address; empty where they do. It is not repeated, for it
    may hold a password."""
    if not re.match(_PATTERN, address):
        return "must begin with http:// or https:// and a host"
    try:
        url = URL(address)
        host = (url.raw_host or "").encode("idna")
    except ValueError:
        return "has a host or a port that cannot be"
    if not host:
        return "has no host"
    if url.user is not None or url.password is not None:
        return "names a user or a password; the key is what api_key: is for"
    return ""


def base_fault(address: str) -> str:
    """The same of an address behind which paths are put."""
    behind = "is what paths are put behind, so it ends before ? and #" if re.search("[?#]", address) else ""
    return fault(address) or behind


def _without(fault_of: Callable[[str], str]) -> AfterValidator:
    def sound(address: str) -> str:
        if wrong := fault_of(address):
            raise ValueError(wrong)
        return address

    return AfterValidator(sound)


Address = Annotated[Words, Field(pattern=_PATTERN), _without(fault)]
"""`http://` or `https://`, a host, and no password."""
BaseUrl = Annotated[Words, Field(pattern=_PATTERN), _without(base_fault)]
"""An address behind which paths are put."""
