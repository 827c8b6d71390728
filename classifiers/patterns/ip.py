"""IP addresses, versions 4 and 6, but for those that every machine has."""

import re
from collections.abc import Iterator
from ipaddress import ip_address

_FOUR = re.compile(
    r"\d(?:(?<![A-Za-z0-9.]\d)|(?<=\\[nrt]\d))\d{0,2}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![A-Za-z0-9_]|\.\d"
    # sections and versions
    r"|[节節](?![点點])|[章条條款版절항])"
)
_SIX = re.compile(
    # behind a name and its colon, too: IP:2001:db8::1, [IPv6:2001:db8::1]
    r"[0-9A-Fa-f:](?:(?<![A-Za-z0-9_:.][0-9A-Fa-f:])|(?<=\\[nrt][0-9A-Fa-f:])"
    r"|(?<=[^\W\d_A-Fa-f]:[0-9A-Fa-f])|(?<=[Vv]6:[0-9A-Fa-f]))(?:(?<!:)|(?=:))"
    r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{2,39}(?:\.\d{1,3}){0,3}(?![A-Za-z0-9_])"
)
_VERSION = re.compile(
    r"(?i)(?:\bv|version|release|firmware|build|верси[яиюей]|版本|バージョン|버전|[A-Za-z]\w{0,8}/)[ :]{0,2}$"
)
_PORT = re.compile(r":\d{2,5}(?!\d)")


def find(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each address."""
    for match in _FOUR.finditer(text):
        if _somebodys(match[0]) and (_PORT.match(text, match.end()) or not _versions(text, match.start())):
            yield match.span()
    for match in _SIX.finditer(text) if text.count(":") > 1 else ():
        found = match[0].rstrip(":") if not match[0].endswith("::") else match[0]
        # names of code hold double colons, too: ab::cd
        if found.count(":") >= 2 and any(map(str.isdigit, found)) and _somebodys(found):
            yield match.start(), match.start() + len(found)


def _versions(text: str, start: int) -> bool:
    """Whether the word before a place makes what begins there the number of a version."""
    return _VERSION.search(text, max(0, start - 12), start) is not None


def _somebodys(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return not (found.is_loopback or found.is_unspecified or found.is_multicast or address.startswith(("0.", "255.")))
