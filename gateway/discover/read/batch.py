"""Lines of batches, joined by `custom_id` once all files are read. It is unique within one batch only."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

Line = Mapping[str, Any]

_NO_REQUEST: Final = "batch answers without their request: name the batch's input file too"
_NO_RESPONSE: Final = "batch requests without their answer: name the batch's output file too"
_AMBIGUOUS: Final = (
    "batch answers whose custom_id stands in more than one batch: read one batch at a time, or give each its own ids"
)


class Batches:
    """The lines so far, each waiting for its other half."""

    def __init__(self) -> None:
        self._asked: dict[str, list[Line]] = defaultdict(list)
        self._answered: dict[str, dict[str, tuple[str, Line]]] = defaultdict(dict)

    def take(self, place: str, line: Line) -> None:
        """A line of an input or an output file. An answer that is there again, in a copy of its file, counts once."""
        name = str(line["custom_id"])
        if "body" in line:
            self._asked[name].append(line)
        else:
            self._answered[name].setdefault(json.dumps(line, sort_keys=True), (place, line))

    def joined(self, skipped: Counter[str]) -> Iterator[tuple[str, Line, Line]]:
        """(the answer's place, request, answer) of all that certainly belong together; skipped counts the others."""
        for name, answers in self._answered.items():
            requests = self._asked.get(name, [])
            if not requests:
                skipped[_NO_REQUEST] += len(answers)
            elif len(answers) > len(requests) or any(one != requests[0] for one in requests):
                skipped[_AMBIGUOUS] += len(answers)
            else:
                yield from ((place, requests[0], answer) for place, answer in answers.values())
        if unanswered := len(self._asked.keys() - self._answered.keys()):
            skipped[_NO_RESPONSE] += unanswered
