"""Amounts of money in English: `$1,200`, `20 bucks`, `five pounds fifty`, `99p`, `12,50 EUR`, `1.5k euros`."""

import re
from decimal import Decimal

from classifiers.slots.values import number
from classifiers.slots.values.value import Value

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
    "r$": "BRL",
}
_WORDS = {
    "dollar": "USD", "buck": "USD", "euro": "EUR", "pound": "GBP", "quid": "GBP", "yen": "JPY", "rupee": "INR",
    "franc": "CHF", "yuan": "CNY", "rand": "ZAR", "won": "KRW", "zloty": "PLN", "real": "BRL", "ruble": "RUB",
    "us dollar": "USD", "american dollar": "USD", "canadian dollar": "CAD", "australian dollar": "AUD",
    "pound sterling": "GBP", "swiss franc": "CHF",
}  # fmt: skip
_HUNDREDTHS = {"penny": "GBP", "pence": "GBP", "p": "GBP"}
_CODES = frozenset((
    "AED", "ARS", "AUD", "BGN", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK", "DKK", "EUR", "GBP",
    "HKD", "HUF", "IDR", "ILS", "INR", "ISK", "JPY", "KRW", "MXN", "MYR", "NOK", "NZD", "PHP", "PLN",
    "RON", "RUB", "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "UAH", "USD", "VND", "ZAR",
))  # fmt: skip
_DOLLARS = frozenset({"USD", "CAD", "AUD", "NZD", "HKD", "SGD", "MXN", "CLP", "COP", "ARS", "TWD"})
_SIGN = re.compile(r"(?:\b(?:us|a|au|c|ca|nz|hk|s|r))?\$|[\u20ac\u00a3\u00a5\u20b9\u20a9\u20ba]", re.IGNORECASE)
_NAME = re.compile(
    r"(?<![a-z])(" + "|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True)) + r")(?:es|s)?(?![a-z])"
)
_PART = re.compile(r"(?<![a-z])(?:cents?|penny|pence|p(?!\.p))(?![a-z])|\u00a2")
_HUNDREDTHS_BEHIND = re.compile(r"(?<=[\s,])(?:and )?(?P<small>\d{1,2}|[a-z]+(?:[- ][a-z]+)?)\s*$")


def read(text: str, currency: str | None = None) -> Value | None:
    """An amount and whose it is; None where either can't be told. currency: where the text names none."""
    lowered = text.casefold()
    code, unit = _currency(text, lowered, currency)
    parts = _PART.search(lowered)
    before, after = lowered, ""
    if unit is not None and _NAME.fullmatch(unit):
        before, _, after = lowered.partition(unit)
    elif parts:
        code = code or _HUNDREDTHS.get(parts[0]) or currency or "USD"
        return _of_parts(lowered[: parts.start()], code, signed=_SIGN.search(lowered) is not None)
    if code is None:
        return None
    whole, behind = number.read(_bare(before)), _bare(after)
    if whole is None and before.strip() in {"a", "an"}:
        whole = Decimal(1)
    if whole is None:
        rest = number.read(behind)
        return None if rest is None else _value(rest, code)
    return _value(_with_hundredths(whole, number.exact(_PART.sub(" ", behind).strip().removeprefix("and "))), code)


def _of_parts(said: str, code: str, *, signed: bool) -> Value | None:
    """What stands before a word for hundredths: `50`, `$5 and 50`; signed: behind a sign, which is of the whole."""
    small = _HUNDREDTHS_BEHIND.search(said)
    before = said[: small.start()] if small else ""
    named = _SIGN.search(before) or any(word.upper() in _CODES for word in re.findall(r"[a-z]+", before))
    whole = number.read(_bare(before)) if named else None
    if small and whole is not None:
        return _value(_with_hundredths(whole, number.exact(small["small"])), code)
    count = number.read(_bare(said))
    if count is None:
        return None
    return _value(count if signed else count / 100, code)


def _with_hundredths(whole: Decimal, rest: Decimal | None) -> Decimal:
    fits = rest is not None and rest < 100 and whole == int(whole)
    return whole + rest / 100 if rest is not None and fits else whole


def _value(amount: Decimal, code: str) -> Value:
    shown = amount.quantize(Decimal("0.01")) if amount != int(amount) else amount.quantize(Decimal(1))
    return Value(value=str(shown), currency=code)


def _bare(text: str) -> str:
    """Without signs and codes, which would stand beside the figures."""
    unsigned = _SIGN.sub(lambda sign: "" if text[: sign.start()].strip() in {"-", "\u2212"} else " ", text)
    return re.sub(r"(?<![a-z])[a-z]{3}(?=\d)|(?<=\d)(?:usd|eur|gbp|chf|p|c)(?![a-z])", " ", unsigned)


def _currency(text: str, lowered: str, default: str | None) -> tuple[str | None, str | None]:
    """The currency and the word that names it, if it is a word."""
    for code in re.findall(r"(?<![A-Za-z])[A-Za-z]{3}(?![A-Za-z])", text):
        if code.upper() in _CODES:
            return code.upper(), None
    sign = _SIGN.search(lowered)
    if sign:
        found = _SIGNS[sign[0]]
        return (default if sign[0] == "$" and default in _DOLLARS else found), None
    named = _NAME.search(lowered)
    if named:
        found = _WORDS[named[1]]
        plain = named[1] in {"dollar", "buck"}
        return (default if plain and default in _DOLLARS else found), named[0]
    return (None if _PART.search(lowered) else default), None
