"""Amounts of money in English: `$1,200`, `$.50`, `20 bucks`, `five pounds fifty`, `99p`, `12,50 EUR`, `1.5k euros`."""

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
_SHARES = {"half": "0.5", "a half": "0.5", "a quarter": "0.25", "three quarters": "0.75"}
_SHARE_BEHIND = re.compile(rf"\s*and (?P<share>{'|'.join(_SHARES)})\b(?! (?:an? )?(?:dozen|cents?|penny))")
_HUNDREDTHS = {"penny": "GBP", "pence": "GBP", "p": "GBP"}
_CODES = frozenset((
    "AED", "ARS", "AUD", "BGN", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK", "DKK", "EUR", "GBP",
    "HKD", "HUF", "IDR", "ILS", "INR", "ISK", "JPY", "KRW", "MXN", "MYR", "NOK", "NZD", "PHP", "PLN",
    "RON", "RUB", "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "UAH", "USD", "VND", "ZAR",
))  # fmt: skip
_CODE_AND_POINT = re.compile(rf"(?<![a-z])(?:{'|'.join(sorted(_CODES))})\.\d", re.IGNORECASE)
_ALSO_WORDS = frozenset({"COP", "RON", "RUB", "TRY"})
DOLLARS = frozenset({"USD", "CAD", "AUD", "NZD", "HKD", "SGD", "MXN", "CLP", "COP", "ARS", "TWD"})
"""What `$` by itself may stand for."""
_SIGN = re.compile(r"(?:\b(?:us|a|au|c|ca|nz|hk|s|r))?\$|[\u20ac\u00a3\u00a5\u20b9\u20a9\u20ba]", re.IGNORECASE)
_NAMES = "|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True))
_NAME = re.compile(rf"(?<![a-z])({_NAMES})(?:es|s)?(?![a-z])")
_PART = re.compile(r"(?<![a-z])(?:cents?|penny|pence|p(?!\.p))(?![a-z])|\u00a2")
_SHORT = re.compile(
    # 50c | €5 50c | 5 dollars 50ct; seats and sizes have a C as well
    r"\s*((?:[$\u20ac\u00a3]\s?\d+|\d+ ?(?:dollars?|euros?|USD|EUR|\u20ac))?\s*(?<!\d)\d{1,3}) ?c(?:ts?)?\s*"
)
_CODE = rf"(?<![a-z])(?:{'|'.join(sorted(_CODES))})(?![a-z])"
_SIGN_OR_CODE = rf"(?:{_SIGN.pattern}|{_CODE})"
_UNIT = rf"(?:{_SIGN_OR_CODE}|{_NAME.pattern})"
_PRICED = re.compile(rf"{_UNIT}\s?\.?\d[\d.,'\u2019]*(?:\s?{_UNIT}(?!\s?\d))?|\d\s?{_UNIT}", re.IGNORECASE)
_GREAT_APART = re.compile(rf"(?<=\d)\s+(?=(?:k|m|bn)\s*(?:$|{_UNIT}))", re.IGNORECASE)  # $100 k
_PART_OF = re.compile(
    # 50 euro cents | 50 cents euro
    rf"(?<![a-z])(?:{_NAMES})[\s-]?(?=(?:cents?|penny|pence)(?![a-z]))"
    rf"|(?:(?<=cent)|(?<=cents)|(?<=penny)|(?<=pence))\s{_NAME.pattern}\s*$",
    re.IGNORECASE,
)
_SPLIT = re.compile(
    # 3\u20ac50 | 3 \u20ac 50 | \u00a33 50
    rf"(?:\d{_SIGN_OR_CODE}(?P<tight>\d+)(?![\d.,])|\d\s*{_SIGN_OR_CODE}\s+(?P<apart>\d+)\s*$"
    rf"|{_SIGN_OR_CODE}\s?\d[\d.,'\u2019]*\s(?P<behind>\d\d?)\s*$)",
    re.IGNORECASE,
)
_COUNTED = re.compile(rf"\d\s+{_SIGN_OR_CODE}\d", re.IGNORECASE)  # 2 $20
_CODE_DASHED = re.compile(rf"{_CODE}[-\u2212]\.?\d", re.IGNORECASE)
_BETWEEN = re.compile(
    r"\s+(?:for|at|x)\s+|(?<=\d)x(?![a-z])\s*|\s+x(?=[$\u20ac\u00a3\d])|\s*[@\u00d7]\s*", re.IGNORECASE
)
_MINUS_BEFORE = re.compile(r"(?<!\S)[-\u2212]\s*$")
_MINUS_CODE = re.compile(rf"(?<!\S)([-\u2212])\s?{_CODE}\s?(?=\.?\d)", re.IGNORECASE)
_BEFORE_A_POINT = re.compile(
    # 5 .50 | five pounds and .50
    rf"(?<!\w)(?P<word>\w+)(?:[\s,]+(?:and|or|plus|[&+]|{'|'.join(sorted(_CODES)).lower()}|{_NAME.pattern})){{0,3}}[\s,]+\.\d"
)
_HUNDREDTHS_BEHIND = re.compile(r"(?<=[\s,])(?:and )?(?P<small>\d{1,2}|[a-z]+(?:[- ][a-z]+)?)\s*$")


def read(text: str, currency: str | None = None) -> Value | None:
    """An amount and whose it is; None where either can't be told. currency: where the text names none."""
    amount = _amount_of(text)
    if amount is None:
        return None
    parts = _PART_OF.search(amount)
    if parts is None:
        return _read(amount, currency)
    # `50 euro cents` are not 50 euros
    code = _currency(parts[0], parts[0].casefold(), currency)[0]
    rest = amount[: parts.start()] + amount[parts.end() :]
    another = _currency(rest, rest.casefold(), None)[0]
    return _read(rest, code) if another in (None, code) else None


def _read(text: str, currency: str | None) -> Value | None:
    text = _GREAT_APART.sub("", text)
    lowered = text.casefold()
    if _may_be_two(lowered):
        return None
    apart = _is_apart(lowered)
    code, unit = _currency(text, lowered, currency)
    parts = _PART.search(lowered)
    before, after = lowered, ""
    if unit is not None and _NAME.fullmatch(unit):
        before, _, after = lowered.partition(unit)
        another = _NAME.search(after) and _holds_number(after)
        if another or _PART.search(before) or _PART.match(after.lstrip(" -")):
            return None
    elif parts and not apart:
        code = code or _HUNDREDTHS.get(parts[0]) or currency or "USD"
        return _of_parts(lowered[: parts.start()], code, signed=_SIGN.search(lowered) is not None)
    if code is None or apart:
        return None
    split = _SPLIT.search(lowered) if unit is None else None
    if split:
        return _split(split, code)
    return None if number.runs_into_another(_bare(before)) else _of_whole(before, after, code)


def _of_whole(before: str, after: str, code: str) -> Value | None:
    """before, after: what stands around the currency's word; all of it is before, where it has none."""
    whole, behind = _told(before), _bare(after)
    if whole is None and before.strip() in {"a", "an"}:
        whole = Decimal(1)
    if whole is None:
        rest = None if _holds_number(before) else _told(behind)
        return None if rest is None else _value(rest, code)
    share = _SHARE_BEHIND.match(behind)
    if share:
        # `a million dollars and a half` may be 1.5 million
        amount = whole + Decimal(_SHARES[share["share"]]).copy_sign(whole)
        return _value(amount, code) if abs(whole) < 1000 and whole == int(whole) else None
    rest = number.exact(_PART.sub(" ", behind).strip().removeprefix("and "))
    of_a_part = _PART.search(behind) and not number.has_leading_point(behind)
    if rest is not None and rest != int(rest) and not of_a_part:
        return None
    return _value(_with_hundredths(whole, rest), code)


def _may_be_two(lowered: str) -> bool:
    """Whether there are two amounts, or a range (`20 EUR or 30 EUR`), or what may be two (`2 $20`, `USD-20`)."""
    if len(_PRICED.findall(lowered)) > 1 or _COUNTED.search(lowered) or _CODE_DASHED.search(lowered):
        return True
    bare = re.sub(rf"(?<![a-z])an? (?={_NAME.pattern})", "1 ", lowered)
    for named in (_NAME.pattern, _PART.pattern, _CODE):
        bare = re.sub(named, " ", bare, flags=re.IGNORECASE)
    return number.is_one_of_two(_bare(bare))


def _split(match: re.Match[str], code: str) -> Value | None:
    """`3\u20ac50`: an amount whose hundredths stand behind its sign, or behind a blank."""
    small = match["tight"] or match["apart"] or match["behind"]
    whole = _told(match.string[: match.start(match.lastgroup or 0)])
    if whole is None or whole != int(whole) or len(small) != 2:
        return None
    return _value(_with_hundredths(whole, Decimal(small)), code)


def _amount_of(text: str) -> str | None:
    """What of a text is the amount, where it may also say how many cost that: `$20` of `2 for $20`. None of two
    amounts."""
    short = _SHORT.fullmatch(text)
    if short:
        return f"{short[1]} cents"
    parts = _BETWEEN.split(text)
    priced = [part for part in parts if _is_priced(part)]
    if len(priced) > 1:
        return None
    # what is read first counts anyway, wherever its currency stands
    return priced[0] if priced and priced[0] is not parts[0] else text


def _is_priced(text: str) -> bool:
    lowered = text.casefold()
    named = _PART.search(lowered) or _currency(text, lowered, None)[0]
    return bool(named) and (_holds_number(lowered) or lowered.split()[:1] in (["a"], ["an"]))


def _of_parts(said: str, code: str, *, signed: bool) -> Value | None:
    """What stands before a word for hundredths: `50`, `$5 and 50`; signed: behind a sign, which is of the whole. None
    of `.50`, which without one may be of either."""
    small = _HUNDREDTHS_BEHIND.search(said)
    before = said[: small.start()] if small else ""
    named = _SIGN.search(before) or any(word.upper() in _CODES for word in re.findall(r"[a-z]+", before))
    whole = _told(before) if named else None
    if small and whole is not None:
        return _value(_with_hundredths(whole, number.exact(small["small"])), code)
    count = _told(said)
    if count is None or (number.has_leading_point(said) and not signed):
        return None
    return _value(count if signed else count / 100, code)


def _with_hundredths(whole: Decimal, rest: Decimal | None) -> Decimal:
    fits = rest is not None and rest < 100 and whole == int(whole)
    return whole + (rest / 100).copy_sign(whole) if rest is not None and fits else whole


def _value(amount: Decimal, code: str) -> Value:
    rounded = amount.quantize(Decimal("0.01")) if amount != int(amount) else amount.quantize(Decimal(1))
    return Value(value=str(rounded) if rounded == amount else f"{amount.normalize():f}", currency=code)


def _told(text: str) -> Decimal | None:
    """The number that a text says; None of `3.500` too, for the point may part the thousands, and of `EUR.50`, for it
    may end an abbreviation."""
    bare = _bare(text)
    found = None if _CODE_AND_POINT.search(text) else number.read(bare)
    return None if found is None or number.may_be_thousands(bare, found) else found


def _is_apart(text: str) -> bool:
    """Whether a number has one with a leading point behind it: `$1 .50` may be one amount or two."""
    return any(number.exact(one["word"]) is not None for one in _BEFORE_A_POINT.finditer(_bare(text)))


def _holds_number(text: str) -> bool:
    return any(number.read(word) is not None for word in re.findall(r"\w+", _bare(text)))


def _bare(text: str) -> str:
    """Without signs and codes, which would stand beside the figures; `5m` is five million."""
    unsigned = _SIGN.sub(lambda sign: "" if _MINUS_BEFORE.search(text[: sign.start()]) else " ", text)
    unsigned = _MINUS_CODE.sub(r"\1", unsigned)
    bare = re.sub(r"(?<![a-z])[a-z]{3}(?=\d)|(?<=\d)(?:usd|eur|gbp|chf|p|c)(?![a-z])", " ", unsigned)
    return re.sub(r"(?<=\d)m(?![a-z])", " million", bare)


def _is_meant(word: re.Match[str]) -> bool:
    """Whether a code that is a word as well stands for the currency: in capitals, or right at the figure."""
    beside = re.search(r"\d ?$", word.string[: word.start()]) or word.string[word.end() :][:1].isdigit()
    return word[0].isupper() or bool(beside)


def _currency(text: str, lowered: str, default: str | None) -> tuple[str | None, str | None]:
    """The currency and the word that names it, if it is a word; no currency where `try 20` may name one or not."""
    sign, named, doubtful = _SIGN.search(lowered), _NAME.search(lowered), False
    for match in re.finditer(r"(?<![A-Za-z])[A-Za-z]{3}(?![A-Za-z])", text):
        code = match[0].upper()
        another = named or (sign and not (sign[0] == "$" and code in DOLLARS))
        if code not in _CODES or (code in _ALSO_WORDS and another):
            continue
        if code not in _ALSO_WORDS or _is_meant(match):
            return code, None
        doubtful = True
    if sign:
        found = _SIGNS[sign[0]]
        return (default if sign[0] == "$" and default in DOLLARS else found), None
    if named:
        found = _WORDS[named[1]]
        plain = named[1] in {"dollar", "buck"}
        return (default if plain and default in DOLLARS else found), named[0]
    return (None if doubtful or _PART.search(lowered) else default), None
