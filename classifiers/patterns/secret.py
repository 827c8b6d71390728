"""Keys, tokens and passwords: by the marks their issuers put in front, by what is assigned, by their armour."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from string import punctuation
from typing import TypeAlias

from classifiers import data

_START = r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt]))"
"""In JSON that was not decoded, a line end is the two characters \\n."""
_WORDS = ("passw", "pwd", "passphrase", "passcode", "mot de passe", "contrase", "senha", "wachtwoord", "haslo", "hasło")
_STRANGE_WORDS = ("пароль", "密码", "密碼", "パスワード", "비밀번호")
"""Behind which words of their script may stand without a space, so that only ASCII is a password."""
_BRIEF = ("pw", "pass")
_NAMES = ("key", "token", "secret", "bearer")
_QUOTE = r"(?:\\{0,4}[\"'`])?"
"""In JSON within JSON, backslashes stand before it."""
_ASSIGNED = re.compile(
    rf"(?P<rest>\w{{0,6}}){_QUOTE}"
    r"(?:[ \t]{0,3}(?P<sign>=>|[:=])[ \t]{0,3}|[ \t]{1,3}(?:is|ist|lautet|est|es|to|é)[ \t]{1,3}"
    r"|[是为為は][ \t]{0,3}|[ \t]{1,3})"
    rf"(?P<quote>{_QUOTE})(?!\$)"
)
"""What follows such a word or name: its rest, a sign or a word between, and what may open a value."""
_CLOSE = r"\s\"'`,;<>(){}\[\]\u3001\u3002\u300c\u300d"
_VALUE = re.compile(rf"[^{_CLOSE}]{{6,512}}")
"""A value, or as much of a longer one as tells what it is."""
_CLOSES = re.compile(f"[{_CLOSE}]")
_QUOTED = {
    (quote, escaped): re.compile(
        rf"[^\s{quote}]{{6,512}}(?={quote})" if escaped else rf"(?:\\\S|[^\s{quote}\\]){{6,512}}+(?={quote})"
    )
    for quote in "\"'`"
    for escaped in (False, True)
}
"""A value up to the quote that closes it; escaped: whether backslashes stand before the opening one."""
_NO_VALUE = re.compile(
    # between two strings
    r"[,;:.)\]}>+]|.*[(\[{<,=+:]$"
    # a call, a member, a blank to be filled in
    r"|\W{0,2}[\w.]*[(\[{<].*[)\]}>]s?$|.*[)\]]\.[A-Za-z_]|.*(?:[{$#%]\{|\{\w+\})|&lt;.*&gt;$"
    # what a password must look like: an expression, a class of characters, a rule
    r"|\^.*\$$|/.*/[a-z]*$|.*\[[^\[\]]*[aA01]-[fFzZ9]"
    r"|.*\b(?:regex:|(?:(?:min|max|exact)(?:_?length)?|length|between)[:=(\[]\d)"
)
"""Code, templates and rules, which quotes hold too."""
_REST = re.compile(r"(?i)(?:d|or[dt]|[ñn]a)?\d?")
"""The rest of a word that means one password (password2 as well), and neither several nor something about them."""
_ALONE = re.compile(r"(?<![A-Za-z])(?:pw|PW|Pw|[Pp]ass)$")
_PATH = re.compile(r"[_/.(]")
_INSIDE = re.compile(r"[!@#$^*]|%(?![a-z]\b)|&(?![\w-]{0,64}=)")
"""A sign that neither prose nor code often has within a word; %s and &name= are code's."""
_ELSE = re.compile(r"/|&&|!\.|\.#|[.:>]\$|^[\w.:-]+#[a-z][\w-]*$|^[\w.+-]{2,}@[\w.-]+$|@[\w-]+\.[\w.-]+$")
"""In paths, code, links and addresses."""
_ENTITY = re.compile(r"&#?\w{1,31};")
_IN_URL = re.compile(r"://[^\s:/@]{0,64}:(?P<value>[^\s:/@]{3,128})@")
_BEGIN = re.compile(r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END [A-Z ]{0,32}PRIVATE KEY(?: BLOCK)?-----")

_Holds: TypeAlias = Callable[[re.Match[str], str], bool]
"""Whether a value behind an assignment is a secret."""


@cache
def _issued() -> Sequence[tuple[str, re.Pattern[str]]]:
    """Marks that issuers put in front of keys and tokens, and what these look like."""
    rows = (line.split("\t") for line in data.lines("issued_secrets.txt") if not line.startswith("#"))
    return [(mark, re.compile(_START + re.escape(mark) + rest)) for mark, rest in rows]


def find(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each secret that stands in one line."""
    for mark, pattern in _issued():
        if mark in text:
            yield from (match.span() for match in pattern.finditer(text))
    # the one letter that becomes two, so that places would not be those of the text
    lower = text.replace("\u0130", "I").lower()
    yield from _assigned(text, lower, _WORDS, _password)
    yield from _assigned(text, lower, _STRANGE_WORDS, _in_ascii)
    yield from _assigned(text, lower, _BRIEF, _briefly)
    yield from _assigned(text, lower, _NAMES, _key)
    if "://" in text:
        yield from (match.span("value") for match in _IN_URL.finditer(text))


def _assigned(text: str, lower: str, words: tuple[str, ...], holds: _Holds) -> Iterator[tuple[int, int]]:
    for word in words:
        place, end = lower.find(word), 0
        while place >= 0:
            place += len(word)
            match = _ASSIGNED.match(text, place)
            if match and (stop := _end(match, holds, end)):
                yield match.end(), stop
                end = stop
            place = lower.find(word, place)


def _end(match: re.Match[str], holds: _Holds, before: int) -> int:
    """Where the secret behind an assignment ends; 0 where there is none. before: where the one before it ends, which
    may hold this one: then nothing is searched twice."""
    text, start, quote = match.string, match.end(), match["quote"]
    value = _VALUE.match(text, start)
    quoted = _QUOTED[quote[-1], len(quote) > 1].match(text, start) if quote else None
    if value and holds(match, value[0]):
        end = quoted.end() if quoted else before if before > value.end() else _close(text, value.end())
    elif quoted and _may_be_secret(quoted[0]) and holds(match, _ENTITY.sub("", quoted[0])):
        end = quoted.end()
    else:
        return 0
    # backslashes before a quote belong to it
    while text[end : end + 1] in ('"', "'", "`", "\\") and text[end - 1] == "\\":
        end -= 1
    return end


def _close(text: str, place: int) -> int:
    closing = _CLOSES.search(text, place)
    return closing.start() if closing else len(text)


def _may_be_secret(quoted: str) -> bool:
    """Whether what stands in quotes with signs that end a value elsewhere can be one."""
    return quoted.isascii() and not _NO_VALUE.match(quoted.rstrip("\\"))


def _password(assigned: re.Match[str], value: str) -> bool:
    return _random(value, 6) or _chosen(assigned, value)


def _in_ascii(assigned: re.Match[str], value: str) -> bool:
    return value.isascii() and _password(assigned, value)


def _briefly(assigned: re.Match[str], value: str) -> bool:
    """pw: and pass:, which tests and tickets say as well (PASS: test_12, boarding pass)."""
    start, core = assigned.start(), value.rstrip(".!?:")
    alone = _ALONE.search(assigned.string, max(0, start - len("_pass")), start)
    return bool(alone and assigned["sign"] and not assigned["rest"]) and _random(core, 8) and not _PATH.search(core)


def _key(_: re.Match[str], value: str) -> bool:
    return _random(value, 16) and not _CLOSES.search(value)


def blocks(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each private key in its armour; one without an end goes on to the text's."""
    place = 0
    while begin := _BEGIN.search(text, place):
        end = _END.search(text, begin.end())
        place = end.end() if end else len(text)
        yield begin.start(), place


def _random(value: str, least: int) -> bool:
    """Whether a value of so many characters has both letters and digits, as words of a language have not."""
    core = value.rstrip(".!?:")
    letters = any(map(str.isalpha, core))
    return len(core) >= least and letters and any(map(str.isdigit, core))


def _chosen(assigned: re.Match[str], value: str) -> bool:
    """Whether a password may lack letters or digits: it has digits only, or a sign within letters."""
    if not assigned["sign"] or not _REST.fullmatch(assigned["rest"]):
        return False
    if assigned.string.startswith(";", assigned.end() + len(value)):
        value = _ENTITY.sub("", value + ";")
    if assigned["sign"] == "=" and not assigned["quote"]:
        value = value.partition("&")[0]
    core = value.strip(punctuation)
    return len(core) >= 6 and (core.isdigit() or (_INSIDE.search(core) is not None and not _ELSE.search(core)))
