"""Amounts of money in English: `$1,200`, `$.50`, `20 bucks`, `five pounds fifty`, `99p`, `12,50 EUR`, `1.5k euros`."""

import re
from decimal import Decimal

from classifiers.slots.values import currencies, local, number
from classifiers.slots.values.currencies import CODE, CODES, NAME, NAMES, SIGN, SIGN_OR_CODE, UNIT
from classifiers.slots.values.value import Value

_SHARES = {"half": "0.5", "a half": "0.5", "a quarter": "0.25", "three quarters": "0.75"}
_SHARE_BEHIND = re.compile(rf"\s*and (?P<share>{'|'.join(_SHARES)})\b(?! (?:an? )?(?:dozen|cents?|penny))")
_HUNDREDTHS = {"penny": "GBP", "pence": "GBP", "p": "GBP"}
_CODE_AND_POINT = re.compile(rf"(?<![a-z])(?:{'|'.join(sorted(CODES))})\.\d", re.IGNORECASE)
_PART = re.compile(r"(?<![a-z])(?:cents?|penny|pence|p(?!\.p))(?![a-z])|\u00a2")
_SHORT = re.compile(
    # 50c | €5 50c | 5 dollars 50ct; seats and sizes have a C as well
    r"\s*((?:[$\u20ac\u00a3]\s?\d+|\d+ ?(?:dollars?|euros?|USD|EUR|\u20ac))?\s*(?<!\d)\d{1,3}) ?c(?:ts?)?\s*"
)
_PRICED = re.compile(rf"{UNIT}\s?\.?\d[\d.,'\u2019]*(?:\s?{UNIT}(?!\s?\d))?|\d\s?{UNIT}", re.IGNORECASE)
_BUCK = re.compile(r"^buck\b", re.IGNORECASE)  # buck fifty
_GREAT_APART = re.compile(rf"(?<=\d)\s+(?=(?:k|mm?|bn?|tn?)\s*(?:$|{UNIT}))", re.IGNORECASE)  # $100 k
_TRILLIONS = re.compile(r"(?<=\$)(\s?\d[\d.,]*)t(?![a-z])", re.IGNORECASE)  # $5T; 5 T\u20ac may be thousands
_MILLIONS_OR_MORE = re.compile(r"(?<=\d)(?:(?P<million>mm?)|b)(?![a-z])")
_SCALES = {
    "mil": "million", "mio": "million", "mln": "million", "mn": "million", "mrd": "billion", "mld": "billion",
    "bln": "billion", "thou": "thousand", "tsd": "thousand", "grand": "thousand",
}  # fmt: skip
_SCALE = re.compile(
    # 5 mil | five grand; a grand total is none
    rf"(?:(?<=\d)\s?|(?<=[a-z])[\s-])(?:(?P<short>mil|mio|mln|mn|mrd|mld|bln|thou|tsd)\.?(?![a-z])"
    rf"|(?P<grand>grand)(?=\s*(?:$|[^\w\s]|{UNIT}|(?:in|for|a|each|per)\b)))",
    re.IGNORECASE,
)
_PERCENT = re.compile(r"%|\bper ?cent\b", re.IGNORECASE)
_BESIDE = {"in", "of", "a", "an", "more", "extra", "additional", "whole", "full", "odd", "so", "-"}
"""What may stand between a number and its currency's word; `egyptian` or `zillion` would make it another amount."""
_PART_OF = re.compile(
    # 50 euro cents | 50 cents euro
    rf"(?<![a-z])(?:{NAMES})[\s-]?(?=(?:cents?|penny|pence)(?![a-z]))"
    rf"|(?:(?<=cent)|(?<=cents)|(?<=penny)|(?<=pence))\s{NAME.pattern}\s*$",
    re.IGNORECASE,
)
_NAMED = re.compile(SIGN_OR_CODE, re.IGNORECASE)
_FIGURES_AT_END = re.compile(r"[\d.,'\u2019\s]+$")
_SPLIT = re.compile(
    # 3\u20ac50 | 3 \u20ac 50 | \u00a33 50
    rf"(?:\d{SIGN_OR_CODE}(?P<tight>\d+)(?![\d.,])|\d\s*{SIGN_OR_CODE}\s+(?P<apart>\d+)\s*$"
    rf"|{SIGN_OR_CODE}\s?\d[\d.,'\u2019]*\s(?P<behind>\d\d?)\s*$)",
    re.IGNORECASE,
)
_COUNTED = re.compile(rf"\d\s+{SIGN_OR_CODE}\d", re.IGNORECASE)  # 2 $20
_CODE_DASHED = re.compile(rf"{CODE}[-\u2212]\.?\d", re.IGNORECASE)
_BETWEEN = re.compile(
    r"\s+(?:for|at|x)\s+|(?<=\d)x(?![a-z])\s*|\s+x(?=[$\u20ac\u00a3\d])|\s*[@\u00d7]\s*", re.IGNORECASE
)
_MINUS_BEFORE = re.compile(r"(?<!\S)[-\u2212]\s*$")
_MINUS_CODE = re.compile(rf"(?<!\S)([-\u2212])\s?{CODE}\s?(?=\.?\d)", re.IGNORECASE)
_BEFORE_A_POINT = re.compile(
    # 5 .50 | five pounds and .50
    rf"(?<!\w)(?P<word>\w+)(?:[\s,]+(?:and|or|plus|[&+]|{'|'.join(sorted(CODES)).lower()}|{NAME.pattern})){{0,3}}[\s,]+\.\d"
)
_HUNDREDTHS_BEHIND = re.compile(r"(?<=[\s,])(?:and )?(?P<small>\d{1,2}|[a-z]+(?:[- ][a-z]+)?)\s*$")


def read(text: str, currency: str | None = None) -> Value | None:
    """An amount and whose it is; None where either can't be told. currency: where the text names none."""
    coded = local.with_codes(text, currency)
    amount = None if coded is None else _amount_of(coded)
    if amount is None:
        return None
    turned = currencies.with_nation_before(amount)
    if turned is None or _PERCENT.search(turned):
        return None
    amount = _scaled(turned)
    parts = _PART_OF.search(amount)
    if parts is None:
        return _read(amount, currency)
    # `50 euro cents` are not 50 euros
    code = currencies.of(parts[0], parts[0].casefold(), currency)[0]
    rest = amount[: parts.start()] + amount[parts.end() :]
    another = currencies.of(rest, rest.casefold(), None)[0]
    return _read(rest, code) if another in (None, code) else None


def _read(text: str, currency: str | None) -> Value | None:
    lowered = text.casefold()
    if _may_be_two(lowered):
        return None
    apart = _is_apart(lowered)
    code, unit = currencies.of(text, lowered, currency)
    parts = _PART.search(lowered)
    before, after = lowered, ""
    if unit is not None and NAME.fullmatch(unit):
        before, _, after = lowered.partition(unit)
        another = NAME.search(after) and _holds_number(after)
        if another or _PART.search(before) or _PART.match(after.lstrip(" -")) or not _is_beside(before):
            return None
    elif parts and not apart:
        code = code or _HUNDREDTHS.get(parts[0]) or currency or "USD"
        return _of_parts(lowered[: parts.start()], code, signed=SIGN.search(lowered) is not None)
    if code is None or apart or (unit is None and _is_of_another(lowered)):
        return None
    split = _SPLIT.search(lowered) if unit is None else None
    if split:
        return _split(split, code)
    return None if number.runs_into_another(_bare(before)) else _of_whole(before, after, code)


def _scaled(text: str) -> str:
    """With the scales that only money has in words, and one buck said as one: `$5 mil` as `$5 million`."""
    text = _TRILLIONS.sub(r"\1 trillion", _GREAT_APART.sub("", _BUCK.sub("a buck", text)))
    return _SCALE.sub(lambda match: f" {_SCALES[(match['short'] or match['grand']).casefold()]}", text)


def _is_beside(before: str) -> bool:
    """Whether the number before a currency's word, if there is one, belongs to that: 20 of `20 more`, but neither of `a
    couple of 20` nor `20 egyptian`."""
    behind = number.behind(_bare(before))
    return not behind or (behind[-1] in _BESIDE and not _has_another(before))


def _has_another(text: str) -> bool:
    """Whether another number stands behind the first."""
    return number.holds_one(" ".join(number.behind(_bare(text))))


def _is_of_another(lowered: str) -> bool:
    """Whether another number stands before the one with the sign or code (`3 people $20`), behind one in words with a
    code (`twenty EUR fifty`, `3 EUR and a half`), or beside one with none."""
    priced, named = _PRICED.search(lowered), _NAMED.search(lowered)
    if named and named[0].isalpha() and _SHARE_BEHIND.match(lowered, named.end()):
        return True
    if priced:
        return number.holds_one(_bare(_FIGURES_AT_END.sub("", lowered[: priced.start()])))
    if named is None:
        return _has_another(lowered)
    rest = lowered[named.end() :].strip()
    return _holds_number(lowered[: named.start()]) and not rest.startswith("a ") and number.exact(rest) is not None


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
    bare = re.sub(rf"(?<![a-z])an? (?={NAME.pattern})", "1 ", lowered)
    for named in (NAME.pattern, _PART.pattern, CODE):
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
    named = _PART.search(lowered) or currencies.of(text, lowered, None)[0]
    return bool(named) and (_holds_number(lowered) or lowered.split()[:1] in (["a"], ["an"]))


def _of_parts(said: str, code: str, *, signed: bool) -> Value | None:
    """What stands before a word for hundredths: `50`, `$5 and 50`; signed: behind a sign, which is of the whole. None
    of `.50`, which without one may be of either."""
    small = _HUNDREDTHS_BEHIND.search(said)
    before = said[: small.start()] if small else ""
    named = SIGN.search(before) or any(word.upper() in CODES for word in re.findall(r"[a-z]+", before))
    whole = _told(before) if named else None
    if small and whole is not None:
        return _value(_with_hundredths(whole, number.exact(small["small"])), code)
    count = _told(said)
    if count is None or (number.has_leading_point(said) and not signed) or _has_another(said):
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
    return number.holds_one(_bare(text))


def _bare(text: str) -> str:
    """Without signs and codes, which would stand beside the figures; `5m` is five million."""
    unsigned = SIGN.sub(lambda sign: "" if _MINUS_BEFORE.search(text[: sign.start()]) else " ", text)
    unsigned = _MINUS_CODE.sub(r"\1", unsigned)
    bare = re.sub(r"(?<![a-z])[a-z]{3}(?=\d)|(?<=\d)(?:usd|eur|gbp|chf|p|c)(?![a-z])", " ", unsigned)
    return _MILLIONS_OR_MORE.sub(lambda match: " million" if match["million"] else " billion", bare)
