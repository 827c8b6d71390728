"""Telephone numbers: international ones by their +, national ones by how they are grouped, others by the words before.

Whether a number is assigned does not count: ranges change, and examples are numbers, too.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address

from classifiers.patterns.numbers import AFTER, BEFORE

_GAP = r"[ \t.\-/()]{0,3}"
_AFTER = rf"(?:{AFTER}|(?=(?i:x|ext)\.?[ \t]?\d))"
"""A number ends before an extension (x123)."""
_WORLD = re.compile(
    r"[+0](?:(?<=\+)(?:(?<![A-Za-z0-9]\+)|(?<=\\[nrt]\+))[ (]?|(?<=0)" + BEFORE.format("0") + r"0 ?)[1-9]"
    rf"(?:{_GAP}\d){{6,14}}{_AFTER}"
)
_GROUPED = "|".join(
    (
        # (415) 555-2671; (11) 91234-5678
        r"(?<=\()(?:(?<![A-Za-z0-9]\()|(?<=\\[nrt]\())0?[1-9]\d{1,4}\)[ -]?\d{2,5}(?:[ \-./]\d{2,8}){0,4}",
        # (415)5552671
        r"(?<=\()(?:(?<![A-Za-z0-9]\()|(?<=\\[nrt]\())[2-9]\d{2}\) ?[2-9]\d{6}",
        # 415-555-2671, 415 - 555 - 2671, 415/555-2671
        r"(?<=[2-9])" + BEFORE.format("[2-9]") + r"\d{2}(?:(?P<gap>[-. ]| - )[2-9]\d{2}(?P=gap)|/[2-9]\d{2}-)\d{4}",
        # 1.415.555.2671
        r"(?<=1)" + BEFORE.format("1") + r"(?P<dot>[-.])[2-9]\d{2}(?P=dot)[2-9]\d{2}(?P=dot)\d{4}",
        # 030 1234567, 020 7946 0958, 06 12 34 56 78, 0151/12345678
        r"(?<=0)" + BEFORE.format("0") + r"[1-9]\d{0,4}(?:(?:[ .\-]| ?/ ?)\d{2,8}){1,5}",
        # mobile numbers in one piece
        r"(?<=0)" + BEFORE.format("0") + r"(?:7\d{9}|1[567]\d{8,9}|[67]\d{8}|4\d{8})",
    )
)
_NATIONAL = re.compile(rf"[(\d](?:{_GROUPED}){_AFTER}")
_FIRST = re.compile(
    r"(?s)\d(?<!\d\d)(?:(?<=[^\d\n]{3}\d)"
    + "".join(rf"|(?<=(?:[^\W\d_]|[☎📞📱]){'.' * chars}\d)" for chars in range(6))
    + ")"
)
"""A digit before which there may be a word: further than a few characters it is only behind more that are no digits."""
_ANY = re.compile(rf"[(\d](?<![\d+][(\d])(?<!\d[.,][(\d])(?:(?<=\d)|\d)(?:{_GAP}\d){{5,13}}{_AFTER}")
_NAMED = re.compile(
    r"(?i)(?:\b(?:tel|phone|telephone|mob\b|mobile|cell|call|ring|text|dial|whatsapp|signal|sms|fax|hotline|reach)\w{0,3}"
    r"|\b(?:telefon|handy|mobil|ruf|anruf|durchwahl|t[ée]l[ée]phone?|portable|appel|m[óo]vil|celular|ll[áa]m|telem[óo]vel"
    r"|cellulare|chiam|bel|gsm|kom[óo]rk|zadzwo)\w{0,9}"
    r"|\bmy (?:new |old |work |home )?(?:number|no)\b|☎|📞|📱|电话|手机|電話)"
    r"[^\d\n]{0,40}$"
)
_ELSE = re.compile(
    r"(?i)order|invoice|bestell|auftrag|kunden|\bref|ticket|track|account|konto|case|serial|isbn|item|article|artikel"
    r"|code|pin\b|id\b|since|times|minutes|hours|card|karte|[$€£%]"
)
_COUNTED = re.compile(
    r"(?i)(?:\d+|\d{1,3}(?:[ .]\d{3})+)[ \t]?(?:(?:bytes|[km]i?b|rows|lines|records|items|entries|files|users|customers"
    r"|views|requests|dollars|euros)\b(?![ \t]?:)|[$€£%](?![ \t]?\d))"
)
"""A number that counts what stands behind it, as a whole or in thousands: called 1200000 customers."""
_BEFORE_CHARS = 64
_DATE = re.compile(
    # five pairs are a number: 06.12.34.56.78
    r"\d{1,2}([./-])\d{1,2}\1(?:\d{4}|\d{2})(?!\d)(?!(?:\1\d\d){2}(?!\1?\d))|\d{4}-\d\d-\d\d"
)
_IP = re.compile(r"(?P<address>\d{1,3}(?:\.\d{1,3}){3})(?:/\d{1,2})?$")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d|\b[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b")
"""A date with its time, or a UUID."""
_STAMP_CHARS = 36
_BEHIND = re.compile(r"(?<=\d,)\d")
_FIELD = re.compile(r"(?:^|[\r\n\[({,]|\\[nrt])(?!0,)\d{1,18},$")
"""A digit behind a number and a comma, and a number there that is a field of a line or a list, not the whole part of a
decimal."""
_FIELD_CHARS = 20


def find(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each number. The same digits may be found twice."""
    for start, end in _numbers(text):
        # behind a decimal comma, or one that parts thousands
        decimal = _BEHIND.match(text, start) and not _FIELD.search(text, max(0, start - _FIELD_CHARS), start)
        if not (decimal or _is_in_stamp(text, start)):
            yield start, end


def _numbers(text: str) -> Iterator[tuple[int, int]]:
    for match in _WORLD.finditer(text):
        yield match.span()
    for match in _NATIONAL.finditer(text):
        if 8 <= sum(map(str.isdigit, match[0])) <= 13 and not _DATE.match(match[0]):
            yield match.span()
    for digit in _FIRST.finditer(text):
        place = digit.start()
        number = (_ANY.match(text, place - 1) if text[place - 1] == "(" else None) or _ANY.match(text, place)
        if number is None or _DATE.match(number[0]) or _is_ip(number[0]) or _COUNTED.match(text, number.start()):
            continue
        name = _NAMED.search(text[max(0, number.start() - _BEFORE_CHARS) : number.start()])
        if name and not _ELSE.search(name[0]):
            yield number.span()


def _is_in_stamp(text: str, start: int) -> bool:
    """Whether what begins at a place is a part of a date with its time or of a UUID."""
    stamps = _STAMP.finditer(text, max(0, start - _STAMP_CHARS), start + _STAMP_CHARS + 1)
    return any(stamp.start() <= start < stamp.end() for stamp in stamps)


def _is_ip(number: str) -> bool:
    """Whether a number is an IP address: of a private network, or with a group of one digit."""
    match = _IP.match(number)
    try:
        return match is not None and (
            ip_address(match["address"]).is_private or min(map(len, match["address"].split("."))) == 1
        )
    except ValueError:
        return False
