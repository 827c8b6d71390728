"""E-mail addresses, also with a percent-encoded or bracketed at sign or dot; IP addresses of versions 4 and 6.

Addresses that every machine has (127.0.0.1) and numbers of versions are none.
"""

import re
import unicodedata
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address

_AT = re.compile(
    r"[@%&\[({<](?:(?<=@)|(?<=%)40|(?<=&)(?:#64|commat);"
    r"|(?<=[\[({<])[ \t]{0,2}(?i:at)[ \t]{0,2}[\])}>][ \t]{0,2})"
)
_DOT = r"(?:\.|[ \t]?[\[({<][ \t]{0,2}(?i:dot|\.)[ \t]{0,2}[\])}>][ \t]?)"
_UNSPACED = (
    # Thai to Burmese, Hangul, Khmer, then kana, Han and Hangul
    "\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Scripts of which words stand beside an address without a space; in a class of characters."""
_EMAIL_NEIGHBOUR = re.compile(f"[{_UNSPACED}]")
_LABEL = rf"(?:[^\W_{_UNSPACED}](?:[^\W{_UNSPACED}]|-){{0,62}}|\d{{0,8}}[{_UNSPACED}][\w{_UNSPACED}-]{{0,62}})"
_LAST = rf"(?:xn--[A-Za-z0-9-]{{2,59}}|[^\W\d_{_UNSPACED}]{{2,24}}|[{_UNSPACED}]{{2,24}})"
_DOMAIN = re.compile(rf"(?:{_LABEL}{_DOT}){{1,8}}{_LAST}")
_MARKS = frozenset("._%+-&~'")
_LONGEST = 64
_NOBODY = frozenset({"git"})
"""Names before the at sign that are no person's: git@github.com."""
_PICTURE = re.compile(r"[1-4](?:\.5)?x\.(?:avif|gif|jpe?g|pdf|png|svg|webp)", re.IGNORECASE)
"""How a file that is drawn at twice its size ends: logo@2x.png."""


class _Letters(dict[int, int]):
    """Marks that stand on letters (e and its accent) as letters, so that offsets stay; what else there is, as it is."""

    def __missing__(self, point: int) -> int:
        char = chr(point)
        letter = "\u0e01" if _EMAIL_NEIGHBOUR.match(char) else "\u0259"
        self[point] = alike = ord(letter) if unicodedata.category(char)[0] == "M" else point
        return alike


def find_emails(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each address."""
    text = text if text.isascii() else text.translate(_Letters())
    done = 0
    for sign in _AT.finditer(text):
        domain = _DOMAIN.match(text, sign.end())
        if domain is None:
            continue
        end = sign.start()
        if text[end] in "[({<":
            end = len(text[:end].rstrip(" \t")) if text[max(0, end - 1)] in " \t" else end
        start = _start(text, end, done)
        if start < end and text[start:end] not in _NOBODY and not _PICTURE.fullmatch(domain[0]):
            done = domain.end()
            yield start, done


def _start(text: str, end: int, least: int) -> int:
    """Where the name that ends at `end` begins; `end` itself where there is none."""
    start = end
    own = _EMAIL_NEIGHBOUR.match(text[end - 1 : end]) is not None
    while start > max(least, end - _LONGEST) and _in_name(text[start - 1], own):
        start -= 1
    if start and text[start - 1] == "\\" and text[start : start + 1] in ("n", "r", "t"):
        start += 1
    while start < end and text[start] in ".'-&":
        start += 1
    return start


def _in_name(char: str, own: bool) -> bool:
    """own: whether the name ends in a script that is written without spaces."""
    if char.isascii() or own:
        return char.isalnum() or char in _MARKS
    return char.isalnum() and not _EMAIL_NEIGHBOUR.match(char)


_FOUR = re.compile(
    r"\d(?:(?<![A-Za-z0-9.]\d)|(?<=\\[nrt]\d))\d{0,2}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![A-Za-z0-9_]|\.\d"
    # sections and versions
    r"|[节節](?![点點])|[章条條款版절항]|버전|バージョン|以[上下降]|이[상하]|-(?i:alpha|beta|dev|pre|rc|snapshot)(?![a-z]))"
)
_SIX = re.compile(
    r"[0-9A-Fa-f:](?:(?<![A-Za-z0-9_:.][0-9A-Fa-f:])|(?<=\\[nrt][0-9A-Fa-f:])|(?<=\w:[0-9A-Fa-f]))"
    r"(?:(?<!:)|(?=:))[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{2,39}(?:\.\d{1,3}){0,3}(?![A-Za-z0-9_])"
)
_VERSION = re.compile(
    r"(?i)(?:\bv|version|release|firmware|build|верси[яиюей]|版本|バージョン|버전|section|chapter|clause|§)"
    # version 1.2, Version="1.2", {"version": "1.2"}, Version("1.2")
    r"(?: ?/ |[ :]{0,2}|[\"']?[ \t]?[:=(][ \t]?[\"']?)$"
)
_IN_PATH = re.compile(r"(?<![/ \t])/$")
_SLASH_FIRST = re.compile(r"(?:^|[\s=,;(\[\"'])/$")
_MASK = re.compile(r"/\d{1,2}(?![A-Za-z0-9_/-]|\.\w)")
_IP_NEIGHBOUR = re.compile(r"(?::\d{2,5})? ?/ ?")
_PORT = re.compile(r":\d{2,5}(?![A-Za-z0-9_])")
_NAME = re.compile(r"(?i)(?:[^\W_]\w*[^\W\d_a-f]|[^\W\d_a-f]\w*[^\W_]|[^\W\d_a-z])\w*:$")
_NAMED = re.compile(r"(?i)(?:[23][0-9a-f]{2}|f[cd][0-9a-f]|fe[89ab])[0-9a-f]:")
_NAMED_END = re.compile(r"(?<!:)|/\d")
"""Behind a name and its colon (source:2001:db8::1) only global addresses and those of a network are told from other
numbers that colons part, such as a line of /etc/passwd."""
_NAME_CHARS = 32
_TRANSLATED = "64:ff9b:"
"""How addresses of version 4 begin in version 6 (RFC 6052, RFC 8215)."""


def find_ips(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each address."""
    last = 0
    for match in _FOUR.finditer(text):
        neighbour = last and _IP_NEIGHBOUR.fullmatch(text, last, match.start())
        if neighbour or _PORT.match(text, match.end()) or not _is_version(text, *match.span()):
            last = match.end()
            if _is_assigned(match[0]):
                yield match.span()
    for match in _SIX.finditer(text) if text.count(":") > 1 else ():
        address = match[0].rstrip(":") if not match[0].endswith("::") else match[0]
        start, end = match.start(), match.start() + len(address)
        if start and text[start - 1] == ":" and not _named(text, start, end):
            continue
        # names of code hold double colons, too: ab::cd
        if address.count(":") >= 2 and any(map(str.isdigit, address)) and _is_assigned(address):
            yield start, end


def _is_version(text: str, start: int, end: int) -> bool:
    """Whether the word or the path before a place makes what stands there the number of a version."""
    least = max(0, start - 12)
    if _IN_PATH.search(text, least, start):
        folder = text.startswith("/", end) and not _MASK.match(text, end)
        return folder or not _SLASH_FIRST.search(text, least, start)
    return _VERSION.search(text, least, start) is not None


def _named(text: str, start: int, end: int) -> bool:
    """Whether the name before a colon and what stands behind it are an address's."""
    name = _NAME.search(text, max(0, start - _NAME_CHARS), start)
    return bool(name and _NAMED.match(text, start) and _NAMED_END.match(text, end))


def _is_assigned(address: str) -> bool:
    """Whether one machine or network may have it, be it a private one."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address) and ip.is_reserved and not ip.ipv4_mapped:
        # given out to nobody: 1::2 is a slice of Python
        return address.lower().startswith(_TRANSLATED)
    return not (ip.is_loopback or ip.is_unspecified or ip.is_multicast or address.startswith(("0.", "255.")))
