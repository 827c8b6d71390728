"""Payment card numbers: a known issuer's prefix, a length that the issuer gives out, and Luhn's check digit.

Numbers written with separators: what stands before and behind them, and the words around them.

International bank account numbers: the country's length and form, and the check digits modulo 97.

How numbers of persons are written, by the module of python-stdnum that knows their check digits. Data only.

Numbers that a state gives to a person, by form and check digits; where those are weak, only beside a word for them.

The check digits are python-stdnum's, of which a country's module is imported when a text first has its form.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import pairwise

BEFORE = r"(?:(?<![A-Za-z0-9]{0})|(?<=\\[nrt]{0}))(?<!\d\.{0})(?<![^\w\r\n\[(,]0,{0})"
"""To stand after a number's first character, whose class is {0}: it begins there, and is not the end of a word or
of a decimal. In JSON that was not decoded, a line end is the two characters \\n. A comma may part the fields of a line
or a list; behind 0 it does so where 0 is a field as well."""
AFTER = r"(?![A-Za-z0-9])"

_NOT_DIGITS = str.maketrans("", "", " \t\r\n.-_/()")


def compact(text: str) -> str:
    """The number without its separators."""
    return text.translate(_NOT_DIGITS)


def near(text: str, start: int, end: int, words: re.Pattern[str], *, before: int = 60, after: int = 30) -> bool:
    """Whether one of some words stands close to start..end."""
    around = text[max(0, start - before) : start] + "\n" + text[end : end + after]
    return words.search(around) is not None


_RUN = re.compile(r"\d++(?:(?:[ \t\r\n.\-_]{1,2}| ?[-/] ?)\d++)*+")
"""Groups of digits, and what may be between two of one number."""
_GROUP = re.compile(r"\d+")
_WIDE = re.compile(r"...|.*/")
_BREAK = re.compile(r"[\t\r\n]")
_START = re.compile("[2-6]" + BEFORE.format("[2-6]"))
_GLUED = re.compile(r"(?i)(?:card|karte|carte|tarjeta|cart[aã]o|visa|master|maestro|kaart|amex|discover|diners|cc)$")
_GLUED_CHARS = 8
_AFTER_CARD = re.compile(AFTER)
_ISSUERS = tuple(
    (re.compile(prefix), frozenset(lengths))
    for prefix, lengths in (
        (r"4", (16, 19)),
        (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),
        (r"3[47]", (15,)),
        (r"30[0-59]|3[689]", (14, 16, 17, 18, 19)),
        (r"35[2-8]", (16, 17, 18, 19)),
        (r"6011|64[4-9]|65|62|60|220[0-4]", (16, 17, 18, 19)),
        (r"50|5[6-8]|6[37]", (16, 18, 19)),
    )
)
_WORDS = re.compile(r"(?i)card|karte|carte|tarjeta|cart[aã]o|visa|maestro|kaart|kart[ay]|\bpan\b|卡|カード")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_LEAST, _MOST = 12, 19
_SHORT = 2
"""Digits; groups of so few are as often the cells of a table."""
_NEAR = 60
"""Characters, of a word to the numbers behind it and of these to the number."""

_Span = tuple[int, int]


def find_cards(text: str) -> Iterator[_Span]:
    """(start, end) of each card number."""
    done = 0
    for start, end in candidates(text):
        number = compact(text[start:end])
        if start >= done and luhn(number) and _issued(number, text, start, end):
            yield start, end
            done = end


def candidates(text: str) -> Iterator[_Span]:
    """(start, end) of each run of digits that is written as a card number may be, the longest first of those that
    begin at one place. Few of them, however many numbers there are: a table's rows and columns make next to none, but
    right behind a word for a card."""
    for run in _RUN.finditer(text):
        if run.end() - run.start() < _LEAST:
            continue
        groups = [match.span() for match in _GROUP.finditer(text, *run.span())]
        said = _WORDS.search(text, max(0, run.start() - _NEAR), run.start())
        for place, (start, _) in enumerate(groups):
            named = said is not None and start - run.start() < _NEAR
            if text[start] in "23456" and (named or _opens(text, groups, place)) and _begins(text, start):
                ends = [end for end in _ends(text, groups, place, named=named) if _AFTER_CARD.match(text, end)]
                yield from ((start, end) for end in reversed(ends))


def luhn(number: str) -> bool:
    """Whether the last digit is the check digit of those before it."""
    return not (sum(map(int, number[-1::-2])) + sum(_DOUBLED[int(digit)] for digit in number[-2::-2])) % 10


def _begins(text: str, start: int) -> bool:
    """Whether no word or decimal ends where a number begins, but for one that says what it is (VISA4111…)."""
    return bool(_START.match(text, start) or _GLUED.search(text, max(0, start - _GLUED_CHARS), start))


def _opens(text: str, groups: Sequence[_Span], place: int) -> bool:
    """Whether a group may be a number's first: of short groups of one width, only the first of its line, or the first
    of several with the same between them, and something else before."""
    start, end = groups[place]
    if not place or end - start > _SHORT or _broken(text, groups, place):
        return True
    before, until = groups[place - 1]
    if until - before != end - start:
        return True
    gaps = [text[one:other] for (_, one), (other, _) in pairwise(groups[place : place + 3])]
    return len(gaps) > 1 and gaps[0] == gaps[1] != text[until:start] and not _BREAK.search(gaps[0])


def _broken(text: str, groups: Sequence[_Span], place: int) -> bool:
    """Whether a tab or a line end stands between a group and the one before it."""
    return 0 < place < len(groups) and bool(_BREAK.search(text, groups[place - 1][1], groups[place][0]))


def _ends(text: str, groups: Sequence[_Span], place: int, *, named: bool) -> Iterator[int]:
    """Where a number may end which begins with a group, of 12 to 19 digits, by length.

    Its groups are single digits, or all of several. Slashes, dashes between spaces and line ends
    part groups of three or more, the former in one way. A number in several lines or cells stands alone (no other
    touches it there), behind a word for a card, or has one line end among other gaps.
    """
    own = groups[place : place + _MOST]
    (start, end), digits, breaks = own[0], own[0][1] - own[0][0], 0
    if _LEAST <= digits <= _MOST:
        yield end
    if len(own) == 1:
        return
    shortest, single, first = digits, own[1][1] - own[1][0] == 1, text[end : own[1][0]]
    if single != (digits == 1):
        return
    for index, ((_, until), (start, end)) in enumerate(pairwise(own), place + 1):
        gap = text[until:start]
        digits, shortest = digits + end - start, min(shortest, end - start)
        wide = _WIDE.match(gap) or _WIDE.match(first)
        if digits > _MOST or (end - start == 1) != single or (wide and (gap != first or shortest <= _SHORT)):
            return
        breaks += _broken(text, groups, index)
        wrapped = breaks == 1 and index > place + 1 and shortest > _SHORT
        alone = not (_broken(text, groups, place) or _broken(text, groups, index + 1))
        if digits >= _LEAST and (not breaks or named or wrapped or alone):
            yield end


def _issued(number: str, text: str, start: int, end: int) -> bool:
    if any(prefix.match(number) and len(number) in lengths for prefix, lengths in _ISSUERS):
        return len(set(number)) > 1
    # shorter and older lengths are also those of articles and of accounts
    return number[0] in "456" and near(text, start, end, _WORDS)


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
_IBAN_DIGITS = re.compile(r"\d(?:(?<=[A-Za-z]{2}\d)|(?<=[A-Za-z]{2}[ .\-_/]\d))[ .\-_/]?\d")
"""The check digits, after the country's letters."""
_IBAN_START = re.compile(r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=[Ii][Bb][Aa][Nn])|(?<=[Kk][Oo][Nn][Tt][Oo]))")
_REST = re.compile(r"(?:(?:[ \t\r\n.\-_/]{0,2}| - )[A-Za-z0-9]){11,32}")
_SIGN = re.compile(r"[A-Za-z0-9]")
_AFTER_IBAN = re.compile(AFTER)


def find_ibans(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each IBAN."""
    for match in _IBAN_DIGITS.finditer(text):
        start = match.start() - (2 if text[match.start() - 1].isalpha() else 3)
        country = text[start : start + 2].upper()
        length = _LENGTHS.get(country)
        rest = _REST.match(text, match.end()) if length and _IBAN_START.match(text, start) else None
        if length is None or rest is None:
            continue
        signs = list(_SIGN.finditer(rest[0]))[: length - 4]
        end = rest.start() + signs[-1].end()
        number = country + compact(match[0]) + "".join(sign[0].upper() for sign in signs)
        if len(signs) == length - 4 and _AFTER_IBAN.match(text, end) and checks(number):
            yield start, end


def checks(number: str) -> bool:
    """Whether a compact IBAN in capitals has the right check digits (ISO 7064, modulo 97)."""
    return int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1


# `us` and `gb` have none, the last has no module: the words say what it is
BARE: tuple[tuple[str, str], ...] = (
    # by themselves: a form that little else has, or two check digits
    ("us", r"\d{3}-\d{2}-\d{4}"),
    ("gb", r"(?i:[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?\d{2}[ -]?\d{2}[ -]?\d{2}[ -]?[A-D])"),
    ("de.idnr", r"[1-9]\d[ .-]\d{3}[ .-]\d{3}[ .-]\d{3}"),
    ("fr.nir", r"[12][ .-]?\d{2}[ .-]?\d{2}[ .-]?(?:\d{2}|2[ABab])[ .-]?\d{3}[ .-]?\d{3}[ .-]?\d{2}"),
    ("es.dni", r"\d{2}\.?\d{3}\.?\d{3}[ -]?[A-Za-z]"),
    ("es.nie", r"[XYZxyz][ -]?\d{7}[ -]?[A-Za-z]"),
    (
        "it.codicefiscale",
        (
            r"(?i:[A-Z]{3}[ -]?[A-Z]{3}[ -]?[\dL-NP-V]{2}[ -]?[A-EHLMPR-T][ -]?[\dL-NP-V]{2}[ -]?"
            r"[A-Z][ -]?[\dL-NP-V]{3}[ -]?[A-Z])"
        ),
    ),
    ("br.cpf", r"\d{3}\.\d{3}\.\d{3}-\d{2}"),
    ("se.personnummer", r"(?:19|20)?\d{6}[-+]\d{4}"),
    ("no.fodselsnummer", r"\d{6}[ -]?\d{5}"),
    ("fi.hetu", r"(?i:\d{6}[-+ABCDEFYXWVU]\d{3}[0-9A-Y])"),
    ("be.nn", r"\d{2}\.\d{2}\.\d{2}[-.]\d{3}[-.]\d{2}"),
    ("ch.ssn", r"756[. ]?\d{4}[. ]?\d{4}[. ]?\d{2}"),
    ("cn.ric", r"[1-9]\d{5}(?:19|20)\d{9}[\dXx]"),
    ("kr.rrn", r"\d{6}-[1-8]\d{6}"),
    ("mx.curp", r"[A-Za-z]{4}\d{6}[HMhm][A-Za-z]{5}[A-Za-z0-9]\d"),
    ("in_.pan", r"[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]"),
    ("ar.cuit", r"\d{2}-\d{8}-\d"),
    ("cl.rut", r"\d{1,2}\.\d{3}\.\d{3}-[\dKk]"),
    ("cz.rc", r"\d{6}/\d{3,4}"),
    ("my.nric", r"\d{6}-\d{2}-\d{4}"),
    ("th.pin", r"[1-8]-\d{4}-\d{5}-\d{2}-\d"),
)
SAID: tuple[tuple[str, str, str], ...] = (
    ("us", r"\d{3}[ .-]?\d{2}[ .-]?\d{4}", r"(?i)\bssn\b|social[ -]security|\bss ?(?:#|no\b|num)"),
    ("us.itin", r"9\d{2}[ .-]?\d{2}[ .-]?\d{4}", r"(?i)\bitin\b|taxpayer"),
    ("gb.nhs", r"\d{3}[ -]?\d{3}[ -]?\d{4}", r"(?i)\bnhs\b|national health"),
    ("de.idnr", r"[1-9]\d{10}", r"(?i)steuer|id-?nr|\btin\b|tax (?:id|number)|\bidentifikationsnummer"),
    ("nl.bsn", r"\d{3,4}[ .-]?\d{2,3}[ .-]?\d{3}", r"(?i)\bbsn\b|burgerservice|\bsofi"),
    ("pl.pesel", r"\d{11}", r"(?i)pesel"),
    ("br.cpf", r"\d{3}[ .]?\d{3}[ .]?\d{3}[ -]?\d{2}", r"(?i)\bcpf\b"),
    ("in_.aadhaar", r"[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}", r"(?i)aadh?aa?r|\buid(?:ai)?\b|आधार"),
    ("se.personnummer", r"(?:19|20)?\d{6}[-+]?\d{4}", r"(?i)personn(?:umme)?r|samordningsn|\bpnr\b"),
    ("dk.cpr", r"\d{6}[ -]?\d{4}", r"(?i)\bcpr\b|personnummer"),
    (
        "be.nn",
        r"\d{2}[ .]?\d{2}[ .]?\d{2}[ .-]?\d{3}[ .-]?\d{2}",
        r"(?i)rijksregister|registre national|national number|num[ée]ro national|\bnn\b|\bniss\b|\binsz\b",
    ),
    ("pt.nif", r"(?:PT[ -]?)?\d{3}[ .]?\d{3}[ .]?\d{3}", r"(?i)\bnif\b|contribuinte"),
    ("at.vnr", r"\d{4}[ -]?\d{6}", r"(?i)sv-?nr|sozialversicherung|versicherungsnummer"),
    ("ca.sin", r"\d{3}[ -]?\d{3}[ -]?\d{3}", r"(?i)\bsin\b|social insurance|assurance sociale"),
    ("au.tfn", r"\d{3}[ -]?\d{3}[ -]?\d{2,3}", r"(?i)\btfn\b|tax file"),
    ("za.idnr", r"\d{13}|\d{6}[ -]\d{4}[ -]\d{3}", r"(?i)\bid\b|identity"),
    ("tr.tckimlik", r"[1-9]\d{10}", r"(?i)\btc\b|t\.c\.|kimlik|tckn"),
    ("ro.cnp", r"\d{13}", r"(?i)\bcnp\b|cod numeric"),
    ("bg.egn", r"\d{10}", r"(?i)\begn\b|егн"),
    ("hr.oib", r"\d{11}", r"(?i)\boib\b"),
    ("gr.amka", r"\d{11}", r"(?i)\bamka\b|αμκα"),
    ("ie.pps", r"\d{7}[ -]?[A-Wa-w][A-IWa-iw]?", r"(?i)\bpps"),
    ("id.nik", r"\d{16}", r"(?i)\bnik\b|\bktp\b"),
    ("th.pin", r"\d{13}", r"(?i)thai|\bid\b|บัตรประชาชน"),
    ("il.idnr", r"\d{9}", r"(?i)teudat|israeli|\bid\b|ת\.?ז"),
    ("ar.cuit", r"\d{2}[ -]?\d{8}[ -]?\d", r"(?i)\bcui[lt]\b"),
    ("cl.rut", r"\d{1,2}\.?\d{3}\.?\d{3}[ -]?[\dKk]", r"(?i)\brut\b|(?-i:\bRUN\b)|rol [úu]nico"),
    ("cz.rc", r"\d{6}[ /]?\d{3,4}", r"(?i)rodn[ée].{0,2} [čc][íi]s|\br\. ?[čc]\b|\brč\b"),
    ("my.nric", r"\d{6}[ -]?\d{2}[ -]?\d{4}", r"(?i)\bnric\b|mykad|(?-i:\bIC\b)|kad pengenalan|identity card"),
    (
        "",
        # digits behind a letter or two; or both mixed, at least two of them digits
        r"[A-Za-z]{0,2}\d{6,9}|[A-Z]{1,2}[ -]\d{6,8}|(?=(?:[A-Z]*\d){2})[A-Z0-9]{8,9}|(?=(?:[a-z]*\d){4})[a-z0-9]{8,9}",
        r"(?i)passport|reisepass|passeport|pasaporte|passaporto|paspoort|paszport|pass-?n(?:umme)?r|паспорт|护照|旅券",
    ),
)


_FORMS: tuple[tuple[str, re.Pattern[str], re.Pattern[str] | None], ...] = (
    *((name, re.compile(f"(?:{form}){AFTER}"), None) for name, form in BARE),
    *((name, re.compile(f"(?:{form}){AFTER}"), re.compile(words)) for name, form, words in SAID),
)
_ANY = re.compile("(?:" + "|".join(form for _, form, *_ in (*BARE, *SAID)) + ")" + AFTER)
_NATIONAL_DIGITS = re.compile(r"\d(?<!\d\d)(?:(?<=[A-Za-z]\d)|(?=(?:[ ./+-]?[A-Za-z0-9]){5}))")
"""The first of some: behind a letter, or before as many as the shortest form of digits has."""
_LETTERS = re.compile(r"(?:(?P<first>[A-Za-z]{3})[ -])?(?P<last>[A-Za-z]{1,6})[ -]?$")
"""Before the first digit, perhaps in two groups."""
_NATIONAL_START = re.compile(r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))")
_SIGNED = frozenset({"se.personnummer", "fi.hetu"})
"""Whose sign between the groups says the century. Of others, the library may not know all separators in use."""
_NO_NINO = frozenset({"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"})


def find_national(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each number. The same digits may be found twice."""
    for digit in _NATIONAL_DIGITS.finditer(text):
        place = digit.start()
        lettered = any(map(str.isalpha, text[max(0, place - 2) : place]))
        before = _LETTERS.search(text, max(0, place - 8), place) if lettered else None
        starts = {before.start(), before.start("last")} if before else set()
        for start in (place, *starts):
            if _NATIONAL_START.match(text, start) and _ANY.match(text, start):
                yield from _number(text, start)


def _number(text: str, start: int) -> Iterator[tuple[int, int]]:
    for name, form, words in _FORMS:
        match = form.match(text, start)
        if match and (words is None or near(text, *match.span(), words)) and _holds(name, match[0]):
            yield match.span()


def _holds(name: str, number: str) -> bool:
    own: dict[str, Callable[[str], bool]] = {"": lambda _: True, "us": _ssn, "gb": _nino}
    if name in own:
        return own[name](compact(number))
    return bool(import_module(f"stdnum.{name}").is_valid(number if name in _SIGNED else compact(number)))


def _ssn(number: str) -> bool:
    """Numbers that the US Social Security Administration does not give out."""
    return number[:3] not in ("000", "666") and number[0] != "9" and number[3:5] != "00" and number[5:] != "0000"


def _nino(number: str) -> bool:
    return number[:2].upper() not in _NO_NINO
