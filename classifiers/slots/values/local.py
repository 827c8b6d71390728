"""What money is called where it is used: `500 kr`, `20 zł`, `Rs. 500`, `2,000 pesos` → its code. Pure."""

import re
import unicodedata
from collections.abc import Mapping

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
_SHORT: Mapping[str, str] = {
    "kr": "DKK ISK NOK SEK", "k\u010d": "CZK", "kc": "CZK", "z\u0142": "PLN", "zl": "PLN", "ft": "HUF",
    "\u043b\u0432": "BGN", "\u0440\u0443\u0431": "RUB", "\u0440": "RUB", "\u0433\u0440\u043d": "UAH", "tl": "TRY",
    "nis": "ILS", "\u0111": "VND", "rm": "MYR", "rp": "IDR", "rs": "INR PKR LKR NPR MUR", "ksh": "KES", "rmb": "CNY",
    "fr": "CHF XAF XOF", "sfr": "CHF", "btc": "", "eth": "", "gr": "",
}  # fmt: skip
"""Only right at a figure."""
_READ = frozenset("$\u00a2\u00a3\u00a5\u20a9\u20ac\u20b9\u20ba")
"""Signs that `currencies` knows, and cents."""
_SIGNS: Mapping[str, str] = {
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
_NAMED = re.compile(
    # argentine pesos | pesos | Kr. 500 | 500元 | R20, but not R$20 | 500 kr. | two thousand kr
    rf"(?<![^\W\d_])(?:(?:(?P<nation>{_any(_NATIONS)}|[a-z]{{3,}}(?:an|ese|ish|ine))[ -])?"
    rf"(?P<name>{_any(_NAMES)})e?s?(?![^\W\d_])|(?P<before>{_any(_SHORT)})(?=\.?\s?\d)\.?"
    rf"|(?P<sign>{_any(_SIGNS)})|(?P<rand>(?-i:R)(?=\s?\d)))"
    rf"|(?:(?<=\d){_FIGURE})\s?(?P<behind>{_any(_SHORT)})(?![^\W\d_])\.?",
    re.IGNORECASE,
)


def with_codes(text: str, default: str | None) -> str | None:
    """`500 NOK` of `500 kr` where that is the default, `20 PLN` of `20 zł`; None where it could be any of several, or
    is not known (`₿2`). default: the currency of what names none (ISO 4217)."""
    made, done = "", 0
    for match in _NAMED.finditer(text):
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
        return _SIGNS[match["sign"].upper()]
    if match["name"]:
        # `lİra` matches as well
        return _NAMES.get(match["name"].casefold(), "")
    return _SHORT.get((match["behind"] or match["before"]).casefold(), "")
