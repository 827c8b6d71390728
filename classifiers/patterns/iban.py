"""International bank account numbers: the country's length and form, and the check digits modulo 97."""

import re
from collections.abc import Iterator

from classifiers.patterns.digits import AFTER, compact

_LENGTHS = {
    code[:2]: int(code[2:])
    for code in re.findall(
        r"\S+",
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 "
        "EE20  EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 "
        "IT27 JO30  KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 "
        "NL18 NO15 OM23  PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 "
        "SV28 TL23 TN24 TR26  UA29 VA22 VG24 XK20 YE30",
    )
}
_DIGITS = re.compile(r"\d(?:(?<=[A-Za-z]{2}\d)|(?<=[A-Za-z]{2}[ .\-_/]\d))[ .\-_/]?\d")
"""The check digits, after the country's letters."""
_BEGINS = re.compile(r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=[Ii][Bb][Aa][Nn])|(?<=[Kk][Oo][Nn][Tt][Oo]))")
_REST = re.compile(r"(?:(?:[ \t\r\n.\-_/]{0,2}| - )[A-Za-z0-9]){11,32}")
_SIGN = re.compile(r"[A-Za-z0-9]")
_AFTER = re.compile(AFTER)


def find(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each IBAN."""
    for match in _DIGITS.finditer(text):
        start = match.start() - (2 if text[match.start() - 1].isalpha() else 3)
        country = text[start : start + 2].upper()
        length = _LENGTHS.get(country)
        rest = _REST.match(text, match.end()) if length and _BEGINS.match(text, start) else None
        if length is None or rest is None:
            continue
        signs = list(_SIGN.finditer(rest[0]))[: length - 4]
        end = rest.start() + signs[-1].end()
        number = country + compact(match[0]) + "".join(sign[0].upper() for sign in signs)
        if len(signs) == length - 4 and _AFTER.match(text, end) and checks(number):
            yield start, end


def checks(number: str) -> bool:
    """Whether a compact IBAN in capitals has the right check digits (ISO 7064, modulo 97)."""
    return int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1
