"""Amounts of money in English: `$1,200`, `$.50`, `20 bucks`, `five pounds fifty`, `99p`, `12,50 EUR`, `1.5k euros`.

Whose money a text names: signs, codes and names of currencies → ISO 4217. Pure.

What money is called where it is used: `500 kr`, `20 zł`, `Rs. 500`, `2,000 pesos` → its code. Pure.
"""

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal

from classifiers.slots.values import numbers
from classifiers.slots.values.numbers import Value

_CURRENCY_SIGNS = {
    "$": "USD",
    "\u20ac": "EUR",
    "\u00a3": "GBP",
    "\u00a5": "JPY",
    "\u20b9": "INR",
    "\u20a9": "KRW",
    "\u20ba": "TRY",
}
_CURRENCY_SIGNS |= {
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
_CURRENCY_PART = re.compile(r"(?<![a-z])(?:cents?|penny|pence|p(?!\.p))(?![a-z])|\u00a2")
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
    strange = any(sign.casefold() not in _CURRENCY_SIGNS for sign in _SIGN_WITH_NATION.findall(text))
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
        return (default if default in _MAY_BE.get(sign[0], ()) else _CURRENCY_SIGNS[sign[0]]), None
    if named:
        return (default if default in _MAY_BE.get(named[1], ()) else _WORDS[named[1]]), named[0]
    return (None if doubtful or _CURRENCY_PART.search(lowered) else default), None


def _is_meant(word: re.Match[str]) -> bool:
    """Whether a code that is a word as well stands for the currency: in capitals, or right at the figure."""
    beside = re.search(r"\d ?$", word.string[: word.start()]) or word.string[word.end() :][:1].isdigit()
    return word[0].isupper() or bool(beside)


_NAMES: Mapping[str, str] = {
    "krone": "NOK DKK", "kroner": "NOK DKK", "krona": "SEK ISK", "kronor": "SEK", "crown": "CZK DKK ISK NOK SEK",
    "koruna": "CZK", "koruny": "CZK", "korun": "CZK", "z\u0142oty": "PLN", "z\u0142ote": "PLN", "z\u0142otych": "PLN",
    "zlotych": "PLN", "forint": "HUF", "leu": "RON MDL", "lei": "RON MDL", "lev": "BGN", "leva": "BGN",
    "\u0440\u0443\u0431\u043b\u0435\u0439": "RUB", "\u0440\u0443\u0431\u043b\u044f": "RUB", "hryvnia": "UAH",
    "lira": "TRY", "dirham": "AED MAD", "riyal": "SAR QAR OMR", "dinar": "KWD BHD JOD TND DZD RSD", "shekel": "ILS",
    "baht": "THB", "dong": "VND", "ringgit": "MYR", "rupiah": "IDR", "peso": "MXN ARS CLP COP PHP UYU DOP",
    "naira": "NGN", "cedi": "GHS", "shilling": "KES TZS UGX", "taka": "BDT", "tenge": "KZT", "birr": "ETB",
    "franken": "CHF", "bitcoin": "", "satoshi": "", "ether": "", "\u00f8re": "", "\u00f6re": "", "centavo": "",
    "groszy": "", "bani": "", "paise": "", "kopeck": "", "kopek": "",
}  # fmt: skip
"""Each with the codes that it may stand for; one without any is no money that has a code, or a hundredth of one."""
_LOCAL_SHORT: Mapping[str, str] = {
    "kr": "DKK ISK NOK SEK", "k\u010d": "CZK", "kc": "CZK", "z\u0142": "PLN", "zl": "PLN", "ft": "HUF",
    "\u043b\u0432": "BGN", "\u0440\u0443\u0431": "RUB", "\u0440": "RUB", "\u0433\u0440\u043d": "UAH", "tl": "TRY",
    "nis": "ILS", "\u0111": "VND", "rm": "MYR", "rp": "IDR", "rs": "INR PKR LKR NPR MUR", "ksh": "KES", "rmb": "CNY",
    "fr": "CHF XAF XOF", "sfr": "CHF", "btc": "", "eth": "", "gr": "",
}  # fmt: skip
"""Only right at a figure."""
_READ = frozenset("$\u00a2\u00a3\u00a5\u20a9\u20ac\u20b9\u20ba")
"""Signs that `currencies` knows, and cents."""
_LOCAL_SIGNS: Mapping[str, str] = {
    "\u20bd": "RUB", "\u20aa": "ILS", "\u0e3f": "THB", "\u20ab": "VND", "\u20b4": "UAH", "\u20b1": "PHP",
    "\u20a6": "NGN", "\u20b5": "GHS", "\u09f3": "BDT", "\u20b8": "KZT", "\u5143": "CNY", "\u5186": "JPY",
    "\uc6d0": "KRW", "CN\u00a5": "CNY", "JP\u00a5": "JPY", "E\u00a3": "EGP",
    "\u20a8": "INR PKR LKR NPR MUR",
}  # fmt: skip
_NATIONS: Mapping[str, str] = {
    "swedish": "SEK", "norwegian": "NOK", "danish": "DKK", "icelandic": "ISK", "czech": "CZK", "hungarian": "HUF",
    "romanian": "RON", "moldovan": "MDL", "bulgarian": "BGN", "ukrainian": "UAH", "turkish": "TRY", "moroccan": "MAD",
    "saudi": "SAR", "qatari": "QAR", "omani": "OMR", "kuwaiti": "KWD", "bahraini": "BHD", "jordanian": "JOD",
    "tunisian": "TND", "algerian": "DZD", "serbian": "RSD", "israeli": "ILS", "thai": "THB", "vietnamese": "VND",
    "malaysian": "MYR", "indonesian": "IDR", "mexican": "MXN", "argentine": "ARS", "chilean": "CLP",
    "colombian": "COP", "philippine": "PHP", "uruguayan": "UYU", "dominican": "DOP", "nigerian": "NGN",
    "ghanaian": "GHS", "kenyan": "KES", "tanzanian": "TZS", "ugandan": "UGX", "argentinian": "ARS",
    "argentinean": "ARS", "filipino": "PHP", "emirati": "AED", "uae": "AED",
}  # fmt: skip


def _any(words: Mapping[str, str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_FIGURE = "".join(rf"|(?<={scale})" for scale in ("k", "lion", "sand", "dred", "lakh", "crore"))
_LOCAL_NAMED = re.compile(
    # argentine pesos | pesos | Kr. 500 | 500元 | R20, but not R$20 | 500 kr. | two thousand kr
    rf"(?<![^\W\d_])(?:(?:(?P<nation>{_any(_NATIONS)}|[a-z]{{3,}}(?:an|ese|ish|ine))[ -])?"
    rf"(?P<name>{_any(_NAMES)})e?s?(?![^\W\d_])|(?P<before>{_any(_LOCAL_SHORT)})(?=\.?\s?\d)\.?"
    rf"|(?P<sign>{_any(_LOCAL_SIGNS)})|(?P<rand>(?-i:R)(?=\s?\d)))"
    rf"|(?:(?<=\d){_FIGURE})\s?(?P<behind>{_any(_LOCAL_SHORT)})(?![^\W\d_])\.?",
    re.IGNORECASE,
)


def with_codes(text: str, default: str | None) -> str | None:
    """`500 NOK` of `500 kr` where that is the default, `20 PLN` of `20 zł`; None where it could be any of several, or
    is not known (`₿2`). default: the currency of what names none (ISO 4217)."""
    made, done = "", 0
    for match in _LOCAL_NAMED.finditer(text):
        code = _code(match, default)
        if code is None:
            return None
        made += f"{text[done : match.start()]} {code} "
        done = match.end()
    made = " ".join((made + text[done:]).split()) if done else text
    strange = any(unicodedata.category(char) == "Sc" and char not in _READ for char in made)
    return None if strange else made


def _code(match: re.Match[str], default: str | None) -> str | None:
    if match["rand"]:
        return "ZAR"
    codes = _codes(match).split()
    if match["nation"]:
        code = _NATIONS.get(match["nation"].casefold())
        return code if code in codes else None
    return default if default in codes else codes[0] if len(codes) == 1 else None


def _codes(match: re.Match[str]) -> str:
    if match["sign"]:
        return _LOCAL_SIGNS[match["sign"].upper()]
    if match["name"]:
        # `lİra` matches as well
        return _NAMES.get(match["name"].casefold(), "")
    return _LOCAL_SHORT.get((match["behind"] or match["before"]).casefold(), "")


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
    coded = with_codes(text, currency)
    amount = None if coded is None else _amount_of(coded)
    if amount is None:
        return None
    turned = with_nation_before(amount)
    if turned is None or _PERCENT.search(turned):
        return None
    amount = _scaled(turned)
    parts = _PART_OF.search(amount)
    if parts is None:
        return _read(amount, currency)
    # `50 euro cents` are not 50 euros
    code = of(parts[0], parts[0].casefold(), currency)[0]
    rest = amount[: parts.start()] + amount[parts.end() :]
    another = of(rest, rest.casefold(), None)[0]
    return _read(rest, code) if another in (None, code) else None


def _read(text: str, currency: str | None) -> Value | None:
    lowered = text.casefold()
    if _may_be_two(lowered):
        return None
    apart = _is_apart(lowered)
    code, unit = of(text, lowered, currency)
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
    return None if numbers.runs_into_another(_bare(before)) else _of_whole(before, after, code)


def _scaled(text: str) -> str:
    """With the scales that only money has in words, and one buck said as one: `$5 mil` as `$5 million`."""
    text = _TRILLIONS.sub(r"\1 trillion", _GREAT_APART.sub("", _BUCK.sub("a buck", text)))
    return _SCALE.sub(lambda match: f" {_SCALES[(match['short'] or match['grand']).casefold()]}", text)


def _is_beside(before: str) -> bool:
    """Whether the number before a currency's word, if there is one, belongs to that: 20 of `20 more`, but neither of `a
    couple of 20` nor `20 egyptian`."""
    behind = numbers.behind(_bare(before))
    return not behind or (behind[-1] in _BESIDE and not _has_another(before))


def _has_another(text: str) -> bool:
    """Whether another number stands behind the first."""
    return numbers.holds_one(" ".join(numbers.behind(_bare(text))))


def _is_of_another(lowered: str) -> bool:
    """Whether another number stands before the one with the sign or code (`3 people $20`), behind one in words with a
    code (`twenty EUR fifty`, `3 EUR and a half`), or beside one with none."""
    priced, named = _PRICED.search(lowered), _NAMED.search(lowered)
    if named and named[0].isalpha() and _SHARE_BEHIND.match(lowered, named.end()):
        return True
    if priced:
        return numbers.holds_one(_bare(_FIGURES_AT_END.sub("", lowered[: priced.start()])))
    if named is None:
        return _has_another(lowered)
    rest = lowered[named.end() :].strip()
    return _holds_number(lowered[: named.start()]) and not rest.startswith("a ") and numbers.exact(rest) is not None


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
    rest = numbers.exact(_PART.sub(" ", behind).strip().removeprefix("and "))
    of_a_part = _PART.search(behind) and not numbers.has_leading_point(behind)
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
    return numbers.is_one_of_two(_bare(bare))


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
    named = _PART.search(lowered) or of(text, lowered, None)[0]
    return bool(named) and (_holds_number(lowered) or lowered.split()[:1] in (["a"], ["an"]))


def _of_parts(said: str, code: str, *, signed: bool) -> Value | None:
    """What stands before a word for hundredths: `50`, `$5 and 50`; signed: behind a sign, which is of the whole. None
    of `.50`, which without one may be of either."""
    small = _HUNDREDTHS_BEHIND.search(said)
    before = said[: small.start()] if small else ""
    named = SIGN.search(before) or any(word.upper() in CODES for word in re.findall(r"[a-z]+", before))
    whole = _told(before) if named else None
    if small and whole is not None:
        return _value(_with_hundredths(whole, numbers.exact(small["small"])), code)
    count = _told(said)
    if count is None or (numbers.has_leading_point(said) and not signed) or _has_another(said):
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
    found = None if _CODE_AND_POINT.search(text) else numbers.read(bare)
    return None if found is None or numbers.may_be_thousands(bare, found) else found


def _is_apart(text: str) -> bool:
    """Whether a number has one with a leading point behind it: `$1 .50` may be one amount or two."""
    return any(numbers.exact(one["word"]) is not None for one in _BEFORE_A_POINT.finditer(_bare(text)))


def _holds_number(text: str) -> bool:
    return numbers.holds_one(_bare(text))


def _bare(text: str) -> str:
    """Without signs and codes, which would stand beside the figures; `5m` is five million."""
    unsigned = SIGN.sub(lambda sign: "" if _MINUS_BEFORE.search(text[: sign.start()]) else " ", text)
    unsigned = _MINUS_CODE.sub(r"\1", unsigned)
    bare = re.sub(r"(?<![a-z])[a-z]{3}(?=\d)|(?<=\d)(?:usd|eur|gbp|chf|p|c)(?![a-z])", " ", unsigned)
    return _MILLIONS_OR_MORE.sub(lambda match: " million" if match["million"] else " billion", bare)
