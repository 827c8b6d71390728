"""Amounts of money in English: `$1,200`, `20 bucks`, `five pounds fifty`, `99 cents`, `12,50 EUR`, `500 kr`. Pure.

The whole text must be one amount. Where a sign or a name may mean several currencies (`500 kr`), the slot's currency
decides; where it is none of them and none is usual, there is no value.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from classifiers import data
from classifiers.slots.values import numbers
from classifiers.slots.values.numbers import Value

DOLLARS = frozenset({"ARS", "AUD", "CAD", "CLP", "COP", "HKD", "MXN", "NZD", "SGD", "TWD", "USD"})
"""What `$` by itself may stand for."""
_LEAD = re.compile(r"(?:an? )?(?:about|around|approximately|nearly|only|just|exactly|extra) ")
_PART = r"(?P<part>cents?|pence|penny|p|\u00a2)"
_PENCE = frozenset(("pence", "penny", "p"))
_SIGN, _NAME = "#", "\u00a4"
"""What stands for a sign or code, and for a name, in the shape of an amount."""
_WHOLE = re.compile(r"(?P<minus>minus |[-\u2212])?(?:# ?)?(?P<amount>[^#\u00a4]+?)(?:[ -]?[#\u00a4]){0,2}")
_HUNDREDTHS = re.compile(
    # 5 ¤ fifty | 5 ¤ and 50 cents | # 5 and 50 cents
    rf"(?:# ?(?P<behind>[^#\u00a4]+?)|(?P<before>[^#\u00a4]+?)[ -]?\u00a4)"
    rf"(?: and)? (?P<small>\d\d?|(?!an? )[a-z]+(?:[ -][a-z]+)??)(?:[ -]?{_PART})?"
)
_PARTS = re.compile(rf"(?P<count>[^#\u00a4]+?)(?:[ -]?\u00a4)?[ -]?{_PART}(?: [#\u00a4])?")
_SCALES = {"k": "thousand", "grand": "thousand", "m": "million", "bn": "billion"}
_SCALE = re.compile(r"(?:(?<=\d) ?|(?<=[a-z]) (?=grand))(?P<scale>k|m|bn|grand)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Currencies:
    """unit: finds signs, codes and names with their nations. codes: what each may stand for. usual: what it stands for
    where the slot has none of these. word_codes: codes that are words as well."""

    unit: re.Pattern[str]
    codes: Mapping[str, frozenset[str]]
    usual: Mapping[str, str]
    word_codes: frozenset[str]


@cache
def _currencies() -> _Currencies:
    table = json.loads("\n".join(data.lines("currencies.json")))
    listed = table["codes"].split()
    codes = {code.casefold(): code for code in listed} | table["signs"] | table["names"] | table["nations"]
    nation, letter = _any(table["nations"]), r"[^\W\d_]"
    unit = (
        rf"(?<!{letter})(?:(?:(?P<nation>{nation})[ -])?(?P<name>{_any(table['names'])})(?:e?s)?(?!{letter})"
        rf"(?: (?P<behind>{nation})(?!{letter}))?|(?P<code>{_any(listed)})(?!{letter})"
        rf"|(?P<sign>{_any(table['signs'])})(?:(?<!\w)|(?!{letter})\.?))"
    )
    return _Currencies(
        unit=re.compile(unit, re.IGNORECASE),
        codes={word: frozenset(value.split()) for word, value in codes.items()},
        usual=table["usual"],
        word_codes=frozenset(table["codes_that_are_words"].split()),
    )


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


def read(text: str, currency: str | None = None) -> Value | None:
    """An amount and its currency; None where either is in doubt. currency: where the text names none (ISO 4217)."""
    shape, units = _shape(" ".join(text.split()))
    parts = _PARTS.fullmatch(shape)
    if parts:
        supposed = "GBP" if parts["part"] in _PENCE else currency or "USD"
        count = _amount(parts["count"])
        code = _code(units, currency) if units else supposed
        return None if count is None or count != int(count) else _value(count / 100, code)
    code = _code(units, currency)
    whole, both = _WHOLE.fullmatch(shape), _HUNDREDTHS.fullmatch(shape)
    amount = _amount(whole["amount"]) if whole else None
    if whole and amount is not None:
        return _value(-amount if whole["minus"] else amount, code)
    return _with_hundredths(both, code) if both else None


def _shape(text: str) -> tuple[str, list[str]]:
    """`5 ¤ fifty` of `5 us dollars fifty`, and the words and signs that were replaced, each in small letters."""
    currencies, units = _currencies(), list[str]()

    def replace(match: re.Match[str]) -> str:
        is_word = match["code"] and match["code"].upper() in currencies.word_codes
        # such a code stands for the currency in capitals, or behind a figure
        if is_word and not match[0].isupper() and not re.search(r"\d ?$", match.string[: match.start()]):
            return match[0]
        units.extend(part.casefold() for part in match.groups() if part)
        return _NAME if match["name"] else _SIGN

    shape = currencies.unit.sub(replace, text).casefold()
    return _LEAD.sub("", shape, count=1) if _LEAD.match(shape) else shape, units


def _code(units: Sequence[str], currency: str | None) -> str | None:
    """The currency that all units may stand for; `currency` where there are none."""
    if not units:
        return currency
    currencies = _currencies()
    possible = frozenset.intersection(*(currencies.codes.get(unit, frozenset()) for unit in units))
    usual = next((currencies.usual[unit] for unit in units if currencies.usual.get(unit) in possible), None)
    if currency in possible:
        return currency
    return usual or (next(iter(possible)) if len(possible) == 1 else None)


def _with_hundredths(match: re.Match[str], code: str | None) -> Value | None:
    whole, small = _amount(match["behind"] or match["before"]), numbers.cardinal(match["small"])
    if whole is None or small is None or whole != int(whole) or not 0 < small < 100:
        return None
    if match["part"] is None and (match["behind"] or small < 10):
        return None
    return _value(whole + small / 100, code)


def _amount(text: str) -> Decimal | None:
    """The number that the words are; None of `3.500`, where the point may part the thousands."""
    if text in {"a", "an"}:
        return Decimal(1)
    number = numbers.cardinal(_SCALE.sub(lambda match: f" {_SCALES[match['scale']]}", text))
    return None if number is None or numbers.may_be_thousands(text, number) else number


def _value(amount: Decimal, code: str | None) -> Value | None:
    if code is None:
        return None
    rounded = amount.quantize(Decimal("0.01")) if amount != int(amount) else amount.quantize(Decimal(1))
    return Value(value=str(rounded) if rounded == amount else f"{amount.normalize():f}", currency=code)
