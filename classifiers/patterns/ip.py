"""IP addresses, versions 4 and 6, but for those that every machine has."""

import re
from collections.abc import Iterator
from ipaddress import ip_address

_FOUR = re.compile(r"\d(?:(?<![A-Za-z0-9.]\d)|(?<=\\[nrt]\d))\d{0,2}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w]|\.\d)")
_SIX = re.compile(
    r"[0-9A-Fa-f:](?:(?<![\w:.][0-9A-Fa-f:])|(?<=\\[nrt][0-9A-Fa-f:]))[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{2,39}"
    r"(?:\.\d{1,3}){0,3}(?![\w])"
)
_VERSION = re.compile(r"(?i)(?:\bv|version|release|firmware|build|chrome/|(?<!/)/)[ :]{0,2}$")


def find(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each address."""
    for match in _FOUR.finditer(text):
        if _somebodys(match[0]) and not _VERSION.search(text, max(0, match.start() - 12), match.start()):
            yield match.span()
    for match in _SIX.finditer(text) if text.count(":") > 1 else ():
        found = match[0].rstrip(":") if not match[0].endswith("::") else match[0]
        # names of code hold double colons, too: ab::cd
        if found.count(":") >= 2 and any(map(str.isdigit, found)) and _somebodys(found):
            yield match.start(), match.start() + len(found)


def _somebodys(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return not (found.is_loopback or found.is_unspecified or found.is_multicast or address == "255.255.255.255")
