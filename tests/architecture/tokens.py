"""Counts the tokens of Python code: `python tests/architecture/tokens.py [FILE OR FOLDER …]`, a row for each room.

Comments, docstrings and the ends of lines do not count. A string in which values stand (an f-string) counts by its
parts, as Python 3.12 and later read it: its start, each stretch of text, each brace and token between braces, its end.
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

UNCOUNTED = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def count(source: str) -> int:
    """The tokens of a file's text."""
    docstrings = {place for node in ast.walk(ast.parse(source)) for place in _docstrings(node)}
    total = 0
    inside = False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.STRING and token.start in docstrings:
            inside = True
        elif token.type in (tokenize.NEWLINE, tokenize.NL):
            inside = inside and token.type == tokenize.NL
        elif token.type not in UNCOUNTED and token.string and not inside:
            total += _parts(token.string) if token.type == tokenize.STRING else 1
    return total


def _docstrings(node: ast.AST) -> Iterator[tuple[int, int]]:
    """Where a string is a statement of its own: docstrings of modules, classes, functions and of the name above."""
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            yield node.lineno, node.col_offset


def _parts(literal: str) -> int:
    """How many tokens a literal string is: 1, and of an f-string that Python before 3.12 reads as one, its parts."""
    prefix = literal[: len(literal) - len(literal.lstrip("rRfFbBuU"))]
    if "f" not in prefix.lower():
        return 1
    body = literal[len(prefix) :]
    quotes = 3 if body[:3] in ('"""', "'''") else 1
    return 2 + _stretches(body[quotes:-quotes])


def _stretches(text: str, *, spec: bool = False) -> int:
    """The parts between an f-string's quotes, or of what stands behind the colon within its braces."""
    total, at, plain = 0, 0, False
    while at < len(text):
        if text[at : at + 2] in ("{{", "}}") and not spec:
            # a doubled brace ends a stretch of text, as Python's own reading has it
            total, at, plain = total + 1, at + 2, False
        elif text[at] == "{":
            end = _closing(text, at)
            total, at, plain = total + plain + _value(text[at + 1 : end]) + 2, end + 1, False
        else:
            at, plain = at + 1, True
    return total + plain


def _closing(text: str, at: int) -> int:
    """The place of the brace that closes the one at `at`."""
    depth, quote = 0, ""
    for place in range(at, len(text)):
        letter = text[place]
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "{[(":
            depth += 1
        elif letter in "}])":
            depth -= 1
            if not depth:
                return place
    raise ValueError(text)


def _value(text: str) -> int:
    """The tokens of what stands within braces: the expression, its conversion and its format."""
    depth, quote = 0, ""
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "{[(":
            depth += 1
        elif letter in "}])":
            depth -= 1
        elif letter == ":" and not depth:
            return _expression(text[:place]) + 1 + _stretches(text[place + 1 :], spec=True)
    return _expression(text)


def _expression(text: str) -> int:
    tokens = list(tokenize.generate_tokens(io.StringIO(f"({text})").readline))
    return (
        sum(
            _parts(token.string) if token.type == tokenize.STRING else 1
            for token in tokens
            if token.type not in UNCOUNTED
        )
        - 2
    )


def rooms(files: list[Path]) -> Counter[str]:
    """Tokens by folder."""
    found: Counter[str] = Counter()
    for file in files:
        found[str(file.parent)] += count(file.read_text("utf-8"))
    return found


def main() -> None:
    paths = [Path(given) for given in sys.argv[1:]] or [Path("gateway"), Path("classifiers")]
    files = [file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*.py")))]
    found = rooms(files)
    for room, tokens in sorted(found.items()):
        sys.stdout.write(f"{tokens:>9,}  {room}\n")
    sys.stdout.write(f"{found.total():>9,}  together\n")


if __name__ == "__main__":
    main()
