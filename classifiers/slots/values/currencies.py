"""Whose money a text names: signs, codes and names of currencies → ISO 4217. Pure."""

import re

_SIGNS = {
    "$": "USD",
    "\u20ac": "EUR",
    "\u00a3": "GBP",
    "\u00a5": "JPY",
    "\u20b9": "INR",
    "\u20a9": "KRW",
    "\u20ba": "TRY",
}
_SIGNS |= {
    "us$": "USD",
    "a$": "AUD",
    "au$": "AUD",
    "c$": "CAD",
    "ca$": "CAD",
    "nz$": "NZD",
    "hk$": "HKD",
    "s$": "SGD",
    "nt$": "TWD",
    "mx$": "MXN",
    "r$": "BRL",
}
_DOLLARS_OF = {
    "us": "USD", "u.s.": "USD", "american": "USD", "canadian": "CAD", "australian": "AUD", "aussie": "AUD",
    "new zealand": "NZD", "hong kong": "HKD", "singapore": "SGD", "singaporean": "SGD", "taiwan": "TWD",
    "taiwanese": "TWD",
}  # fmt: skip
_POUNDS_OF = {"british": "GBP", "uk": "GBP", "egyptian": "EGP"}
_WORDS = {
    "dollar": "USD", "buck": "USD", "euro": "EUR", "pound": "GBP", "quid": "GBP", "yen": "JPY", "rupee": "INR",
    "franc": "CHF", "yuan": "CNY", "rand": "ZAR", "won": "KRW", "zloty": "PLN", "real": "BRL", "ruble": "RUB",
    "pound sterling": "GBP", "pounds sterling": "GBP", "british pounds sterling": "GBP", "swiss franc": "CHF",
    "indian rupee": "INR", "japanese yen": "JPY", "chinese yuan": "CNY", "south african rand": "ZAR",
    "korean won": "KRW", "south korean won": "KRW", "polish zloty": "PLN", "brazilian real": "BRL",
    "russian ruble": "RUB",
}  # fmt: skip
_WORDS |= {f"{nation} {unit}": code for nation, code in _DOLLARS_OF.items() for unit in ("dollar", "buck")}
_WORDS |= {f"{nation} pound": code for nation, code in _POUNDS_OF.items()}
CODES = frozenset((
    "AED", "ARS", "AUD", "BDT", "BGN", "BHD", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK", "DKK", "DOP", "DZD",
    "EGP", "ETB", "EUR", "GBP", "GHS", "HKD", "HUF", "IDR", "ILS", "INR", "ISK", "JOD", "JPY", "KES", "KRW", "KWD",
    "KZT", "LKR", "MAD", "MDL", "MUR", "MXN", "MYR", "NGN", "NOK", "NPR", "NZD", "OMR", "PHP", "PKR", "PLN", "QAR",
    "RON", "RSD", "RUB", "SAR", "SEK", "SGD", "THB", "TND", "TRY", "TWD", "TZS", "UAH", "UGX", "USD", "UYU", "VND",
    "XAF", "XOF", "ZAR",
))  # fmt: skip
DOLLARS = frozenset({"USD", "CAD", "AUD", "NZD", "HKD", "SGD", "MXN", "CLP", "COP", "ARS", "TWD"})
"""What `$` by itself may stand for."""
_MAY_BE = {
    "$": DOLLARS,
    "dollar": DOLLARS,
    "buck": DOLLARS,
    "\u00a5": frozenset({"JPY", "CNY"}),
    "\u00a3": frozenset({"GBP", "EGP"}),
    "pound": frozenset({"GBP", "EGP"}),
    "rupee": frozenset({"INR", "PKR", "LKR", "NPR", "MUR"}),
    "franc": frozenset({"CHF", "XAF", "XOF"}),
}
"""What signs and plain words stand for where that is the currency of what names none."""
SIGN = re.compile(r"(?:\b(?:us|a|au|c|ca|nz|nt|mx|hk|s|r))?\$|[\u20ac\u00a3\u00a5\u20b9\u20a9\u20ba]", re.IGNORECASE)
NAMES = "|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True))
NAME = re.compile(rf"(?<![a-z])({NAMES})(?:es|s)?(?![a-z])")
CODE = rf"(?<![a-z])(?:{'|'.join(sorted(CODES))})(?![a-z])"
SIGN_OR_CODE = rf"(?:{SIGN.pattern}|{CODE})"
UNIT = rf"(?:{SIGN_OR_CODE}|{NAME.pattern})"
_PART = re.compile(r"(?<![a-z])(?:cents?|penny|pence|p(?!\.p))(?![a-z])|\u00a2")
_ALSO_WORDS = frozenset({"COP", "MAD", "RON", "RUB", "TRY"})
_NATION = "|".join(sorted(map(re.escape, {**_DOLLARS_OF, **_POUNDS_OF}), key=len, reverse=True))
_NATION_BEHIND = re.compile(
    # 20 dollars canadian | $20 canadian
    rf"(?<![a-z])(?P<unit>dollar|pound)s? (?P<nation>{_NATION})(?![a-z])(?! (?:dollar|pound))"
    rf"|(?<![a-z])\$ ?(?P<figures>\d[\d.,]*) (?P<of>{_NATION})(?![a-z])",
    re.IGNORECASE,
)
_SIGN_WITH_NATION = re.compile(r"(?<![^\W_])[A-Z]{1,2}\$")
_STRANGE_NATION_BEHIND = re.compile(r"(?:dollar|pound|franc|rupee)s? [a-z]{3,}(?:ian|ean|ese|ish|can)\b", re.IGNORECASE)


def with_nation_before(text: str) -> str | None:
    """`20 canadian dollar` of `20 dollars canadian` and `$20 canadian`; None where the nation is not known (`J$20`)."""
    turned = _NATION_BEHIND.sub(_turned, text)
    strange = any(sign.casefold() not in _SIGNS for sign in _SIGN_WITH_NATION.findall(text))
    return None if strange or _STRANGE_NATION_BEHIND.search(turned) else turned


def _turned(match: re.Match[str]) -> str:
    if match["unit"]:
        return f"{match['nation']} {match['unit']}"
    return f"{match['figures']} {match['of']} dollar"


def of(text: str, lowered: str, default: str | None) -> tuple[str | None, str | None]:
    """The currency and the word that names it, if it is a word; no currency where `try 20` may name one or not."""
    sign, named, doubtful = SIGN.search(lowered), NAME.search(lowered), False
    for match in re.finditer(r"(?<![A-Za-z])[A-Za-z]{3}(?![A-Za-z])", text):
        code = match[0].upper()
        another = named or (sign and not (sign[0] == "$" and code in DOLLARS))
        if code not in CODES or (code in _ALSO_WORDS and another):
            continue
        if code not in _ALSO_WORDS or _is_meant(match):
            return code, None
        doubtful = True
    if sign:
        return (default if default in _MAY_BE.get(sign[0], ()) else _SIGNS[sign[0]]), None
    if named:
        return (default if default in _MAY_BE.get(named[1], ()) else _WORDS[named[1]]), named[0]
    return (None if doubtful or _PART.search(lowered) else default), None


def _is_meant(word: re.Match[str]) -> bool:
    """Whether a code that is a word as well stands for the currency: in capitals, or right at the figure."""
    beside = re.search(r"\d ?$", word.string[: word.start()]) or word.string[word.end() :][:1].isdigit()
    return word[0].isupper() or bool(beside)
