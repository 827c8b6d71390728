"""The data as it is published, a tag a word, and as a policy is given it, with its slots marked."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from classifiers.policy import Policy
from classifiers.slots.tags import SlotMark

_HERE = Path(__file__).parent
SENTENCES = _HERE / "sentences.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """words: lower-case, as the data has them; tags: `O`, `B-…`, `I-…`, one for each; intent: its label."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    intent: str

    @property
    def text(self) -> str:
        """The words with a space between them."""
        return " ".join(self.words)

    @property
    def spans(self) -> set[tuple[str, int, int]]:
        """(slot, first word, last word), as conlleval reads tags: a tag that goes on with nothing begins."""
        found: list[tuple[str, int, int]] = []
        for index, tag in enumerate(self.tags):
            begun, _, name = tag.partition("-")
            if not name:
                continue
            if begun == "I" and found and found[-1][0] == name and found[-1][2] == index - 1:
                found[-1] = (name, found[-1][1], index)
            else:
                found.append((name, index, index))
        return set(found)

    @property
    def marked(self) -> str:
        """As training reads it: `a table at [7 pm](timeRange)`."""
        words = list(self.words)
        for name, first, last in self.spans:
            words[first] = "[" + words[first]
            words[last] += f"]({name})"
        return " ".join(words)

    def covered(self, marks: Sequence[SlotMark]) -> set[tuple[str, int, int]]:
        """The words that places in its text cover, in part or whole."""
        places = self._places()
        return {
            (mark.name, inside[0], inside[-1])
            for mark in marks
            if (inside := [at for at, (start, end) in enumerate(places) if start < mark.end and end > mark.start])
        }

    def _places(self) -> list[tuple[int, int]]:
        places, start = [], 0
        for word in self.words:
            places.append((start, start + len(word)))
            start += len(word) + 1
        return places


def read(folder: Path) -> list[Utterance]:
    """A split. Raises OSError where a file is missing, ValueError where lines do not match."""
    lines = ((folder / name).read_text(encoding="utf-8").splitlines() for name in ("seq.in", "seq.out", "label"))
    found = [
        Utterance(words=tuple(words.split()), tags=tuple(tags.split()), intent=intent.strip())
        for words, tags, intent in zip(*lines, strict=True)
    ]
    uneven = next((index for index, one in enumerate(found, 1) if len(one.words) != len(one.tags)), None)
    if uneven:
        raise ValueError(f"{folder}:{uneven}: as many tags as words are needed")
    return found


def described() -> Policy:
    """What an author says of the intents and slots, without any sentence."""
    return Policy.model_validate(yaml.safe_load((_HERE / "policy.yaml").read_text(encoding="utf-8")))


def written() -> list[tuple[str, str]]:
    """(sentence with its slots marked, intent), as a teacher would write them from the description."""
    lines = SENTENCES.read_text(encoding="utf-8").splitlines()
    return [(row["text"], row["label"]) for row in map(json.loads, lines)]


def with_rows(policy: Policy, name: str, rows: Sequence[tuple[str, str]], role: str, folder: Path) -> Policy:
    """The policy under another name with rows beside it, written into `folder`. role: `data`, or `teacher`."""
    values = json.loads(policy.model_dump_json(by_alias=True)) | {"name": name}
    if rows:
        file = folder / f"{name}.jsonl"
        file.write_text("".join(_lines(rows)), encoding="utf-8")
        values |= {"data": [file.name]} if role == "data" else {"teacher": {"file": file.name}}
    return Policy.model_validate(values)


def _lines(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    for text, label in rows:
        yield json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n"
