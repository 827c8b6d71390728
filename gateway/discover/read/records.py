"""A log's file as records with their lines: one JSON object a line, one list, or an object that holds a list."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_LIST: Final = re.compile(r'"(?:data|logs|requests|results)"\s*:\s*\[')
_BLANK: Final = re.compile(r"[\s,]*")
_DECODER: Final = json.JSONDecoder()


def records(path: Path) -> Iterator[tuple[int, Any]]:
    """(line, record) of each; of what is no JSON (line, a ValueError that says why). Raises OSError."""
    with path.open("rb") as file:
        start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        yield from _listed(path.read_text("utf-8-sig", errors="replace"), 0)
        return
    if start and not _is_json(start.split(b"\n", 1)[0]) and len(start.split(b"\n", 1)) > 1:
        text = path.read_text("utf-8-sig", errors="replace")
        found = _LIST.search(text)
        if found and _is_json(text):
            yield from _listed(text, found.end() - 1)
            return
    yield from _lines(path)


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text = line.decode("utf-8-sig" if number == 1 else "utf-8", errors="replace").strip()
            if not text:
                continue
            try:
                found = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield number, ValueError(str(error))
                continue
            inner = _inner(found)
            yield from ((number, one) for one in (inner if inner is not None else [found]))


def _inner(record: Any) -> list[Any] | None:
    """The list of an answer of an API that stands on one line."""
    if isinstance(record, list):
        return record
    if isinstance(record, dict) and isinstance(record.get("data"), list) and "messages" not in record:
        found: list[Any] = record["data"]
        return found
    return None


def _listed(text: str, bracket: int) -> Iterator[tuple[int, Any]]:
    """The items of the list that begins at a bracket."""
    at, line, counted = bracket + 1, 1, 0
    while True:
        at = _BLANK.match(text, at).end()  # type: ignore[union-attr]
        line, counted = line + text.count("\n", counted, at), at
        if at >= len(text):
            yield line, ValueError("the list does not end; the file may be cut off")
            return
        if text[at] == "]":
            return
        try:
            found, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            yield line, ValueError(str(error))
            return
        yield line, found


def _is_json(text: bytes | str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
