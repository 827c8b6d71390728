from dataclasses import fields, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from classifiers.runtime.memory import VerdictMemory
from classifiers.runtime.runtime import Runtime
from classifiers.verdict import Abstention, Passage, Reading, SlotValue, Verdict

READING = Reading(classifier="safe", texts=("a", "b"), system="s")
VERDICT = Verdict(classifier="safe", version="v1", scores={"harm": 0.1}, windows_read=2)


def runtime(**versions: str) -> Runtime:
    loaded = {name: SimpleNamespace(version=version) for name, version in versions.items()}
    return cast("Runtime", SimpleNamespace(classifiers=loaded))


LOADED = runtime(safe="v1", other="v1")
OTHERWISE: dict[str, Any] = {
    "classifier": "other", "texts": ("ab",), "max_windows": 3, "system": "t", "alone": frozenset({"b"}),
    "incomplete": True, "cut": True, "every_slot": True, "last_stage": True, "other_languages": "other",
}  # fmt: skip


def test_the_key_is_all_that_a_reading_holds_and_all_versions() -> None:
    memory = VerdictMemory()
    assert {field.name for field in fields(Reading)} == {*OTHERWISE, "now"}
    readings = [READING, *(replace(READING, **{name: value}) for name, value in OTHERWISE.items())]
    keys = {memory.key(LOADED, reading) for reading in readings}
    # the second classifier's version, too
    keys |= {memory.key(runtime(safe="v1", other="v2"), readings[-1]), memory.key(runtime(safe="v2"), READING)}
    assert len(keys) == len(readings) + 2
    assert memory.key(LOADED, replace(READING)) in keys
    assert VerdictMemory().key(LOADED, READING) not in keys
    never = (replace(READING, now=datetime.now().astimezone()), replace(READING, texts=("x" * 100_001,)))
    keys = {memory.key(LOADED, reading) for reading in never}
    assert keys | {memory.key(runtime(), READING), memory.key(runtime(safe=""), READING)} == {None}


SPAN = Passage(label="harm", kind="email", start=0, end=1)
SLOT = SlotValue(slot="day", start=0, end=1, raw="a", value=None, confidence=1.0)


@pytest.mark.parametrize(
    ("held", "kept"),
    [
        ({"abstention": Abstention.UNSURE}, True),
        ({"abstention": Abstention.LATE}, False),
        ({"abstention": Abstention.UNSURE, "doubts": (Abstention.BROKEN,)}, False),
        ({"spans": (SPAN,)}, False),
        ({"slots": (SLOT,)}, False),
        ({"missing": ("day",)}, False),
        ({"parts": (VERDICT, replace(VERDICT, slots=(SLOT,)))}, False),
    ],
)
def test_what_is_late_or_broken_or_of_a_text_is_not_kept(held: dict[str, Any], kept: bool) -> None:
    memory, verdict = VerdictMemory(), replace(VERDICT, **held)
    key = memory.key(LOADED, READING)
    memory.put(key, verdict)
    assert memory.get(key) == (verdict if kept else None)
    assert memory.windows == 2 * kept


def test_there_are_at_most_ten_thousand_entries() -> None:
    memory = VerdictMemory()
    keys = [memory.key(LOADED, replace(READING, system=str(number))) for number in range(10_001)]
    for key in keys:
        memory.put(key, VERDICT)
    assert [memory.get(key) is not None for key in (keys[0], keys[1], keys[-1])] == [False, True, True]
