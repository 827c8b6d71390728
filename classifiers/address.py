"""Addresses of servers as YAML files name them."""

from typing import Annotated

from pydantic import AfterValidator, Field
from yarl import URL

from classifiers.record import Words


def _can_be_called(value: str) -> str:
    """What the client and its look-up of names take; messages leave out the address, which may hold a password."""
    try:
        url = URL(value)
        host = (url.raw_host or "").encode("idna")
    except ValueError as error:
        raise ValueError("has a host or a port that cannot be") from error
    if not host:
        raise ValueError("has no host")
    if url.user is not None or url.password is not None:
        raise ValueError("names a user or a password; the key is what api_key: is for")
    return value


def _ends_in_a_path(value: str) -> str:
    if "?" in value or "#" in value:
        raise ValueError("is what paths are put behind, so it ends before ? and #")
    return value


Address = Annotated[Words, Field(pattern=r"^https?://[^\s/]+"), AfterValidator(_can_be_called)]
"""`http://` or `https://`, a host, and no password."""
BaseUrl = Annotated[Address, AfterValidator(_ends_in_a_path)]
"""An address behind which paths are put."""
