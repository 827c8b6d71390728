"""Keys, tokens and passwords: by the marks their issuers put in front, by what is assigned, by their armour."""

import re
from collections.abc import Iterator
from string import punctuation

_START = r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt]))"
"""In JSON that was not decoded, a line end is the two characters \\n."""
_ISSUED = tuple(
    (mark, re.compile(_START + re.escape(mark) + rest))
    for mark, rest in (
        ("sk-", r"(?:proj-|ant-|or-|svcacct-|admin-)?[A-Za-z0-9_-]{16,}"),
        ("sk_live_", r"[A-Za-z0-9]{10,}"),
        ("sk_test_", r"[A-Za-z0-9]{10,}"),
        ("rk_live_", r"[A-Za-z0-9]{10,}"),
        ("whsec_", r"[A-Za-z0-9]{16,}"),
        ("AKIA", r"[0-9A-Z]{16}(?![0-9A-Za-z])"),
        ("ASIA", r"[0-9A-Z]{16}(?![0-9A-Za-z])"),
        ("ghp_", r"[A-Za-z0-9]{30,}"),
        ("gho_", r"[A-Za-z0-9]{30,}"),
        ("ghu_", r"[A-Za-z0-9]{30,}"),
        ("ghs_", r"[A-Za-z0-9]{30,}"),
        ("ghr_", r"[A-Za-z0-9]{30,}"),
        ("github_pat_", r"[A-Za-z0-9_]{30,}"),
        ("glpat-", r"[A-Za-z0-9_-]{16,}"),
        ("xoxb-", r"[A-Za-z0-9-]{16,}"),
        ("xoxp-", r"[A-Za-z0-9-]{16,}"),
        ("xoxa-", r"[A-Za-z0-9-]{16,}"),
        ("xoxs-", r"[A-Za-z0-9-]{16,}"),
        ("xapp-", r"[A-Za-z0-9-]{16,}"),
        ("AIza", r"[A-Za-z0-9_-]{35}"),
        ("ya29.", r"[A-Za-z0-9_-]{20,}"),
        ("GOCSPX-", r"[A-Za-z0-9_-]{20,}"),
        ("npm_", r"[A-Za-z0-9]{30,}"),
        ("pypi-", r"AgE[A-Za-z0-9_-]{30,}"),
        ("hf_", r"[A-Za-z0-9]{30,}"),
        ("SG.", r"[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
        ("dop_v1_", r"[a-f0-9]{40,}"),
        ("eyJ", r"[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{5,}"),
    )
)
_WORDS = ("passw", "pwd", "passphrase", "passcode", "mot de passe", "contrase", "senha", "wachtwoord", "haslo", "hasło")
_NAMES = ("key", "token", "secret", "bearer")
_QUOTE = r"(?:\\{0,4}[\"'`])?"
"""In JSON within JSON, backslashes stand before it."""
_ASSIGNED = re.compile(
    rf"(?P<rest>\w{{0,6}}){_QUOTE}"
    r"(?:[ \t]{0,3}(?P<sign>=>|[:=])[ \t]{0,3}|[ \t]{1,3}(?:is|ist|est|es|to|é)[ \t]{1,3}|[ \t]{1,3})"
    rf"(?P<quote>{_QUOTE})"
    r"(?P<value>(?!\$)[^\s\"'`,;<>(){}\[\]]{6,512})"
)
"""What follows such a word or name: its rest, a sign or a word between, and a value."""
_REST = re.compile(r"(?i)(?:d|or[dt]|[ñn]a)?\d?")
"""The rest of a word that means one password (password2 as well), and neither several nor something about them."""
_INSIDE = re.compile(r"[!@#$^*]|%(?![a-z]\b)|&(?![\w-]{0,64}=)")
"""A sign that neither prose nor code often has within a word; %s and &name= are code's."""
_ELSE = re.compile(r"/|&&|!\.|\.#|[.:>]\$|^[\w.:-]+#[a-z][\w-]*$|^[\w.+-]{2,}@[\w.-]+$|@[\w-]+\.[\w.-]+$")
"""In paths, code, links and addresses."""
_ENTITY = re.compile(r"&#?\w{1,31}$")
_IN_URL = re.compile(r"://[^\s:/@]{0,64}:(?P<value>[^\s:/@]{3,128})@")
_BEGIN = re.compile(r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END [A-Z ]{0,32}PRIVATE KEY(?: BLOCK)?-----")


def find(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each secret that stands in one line."""
    for mark, pattern in _ISSUED:
        if mark in text:
            yield from (match.span() for match in pattern.finditer(text))
    # the one letter that becomes two, so that places would not be those of the text
    lower = text.replace("\u0130", "I").lower()
    for match in _assigned(text, lower, _WORDS):
        if _random(match["value"], 6) or _chosen(match):
            yield _span(match)
    for match in _assigned(text, lower, _NAMES):
        if _random(match["value"], 16):
            yield _span(match)
    if "://" in text:
        yield from (match.span("value") for match in _IN_URL.finditer(text))


def _assigned(text: str, lower: str, words: tuple[str, ...]) -> Iterator[re.Match[str]]:
    for word in words:
        place = lower.find(word)
        while place >= 0:
            place += len(word)
            match = _ASSIGNED.match(text, place)
            if match:
                yield match
            place = lower.find(word, place)


def _span(match: re.Match[str]) -> tuple[int, int]:
    """Where its value stands. Backslashes between it and a quote belong to the quote."""
    start, end = match.span("value")
    if match.string[end : end + 1] in ('"', "'", "`"):
        end = start + len(match["value"].rstrip("\\"))
    return start, end


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


def _chosen(match: re.Match[str]) -> bool:
    """Whether what is set as a password is one though it has not both letters and digits: digits only, or a sign
    within letters."""
    if not match["sign"] or not _REST.fullmatch(match["rest"]):
        return False
    value = match["value"]
    if match.string.startswith(";", match.end("value")):
        value = _ENTITY.sub("", value)
    if match["sign"] == "=" and not match["quote"]:
        value = value.partition("&")[0]
    core = value.strip(punctuation)
    return len(core) >= 6 and (core.isdigit() or (_INSIDE.search(core) is not None and not _ELSE.search(core)))
