import os
import re
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from classifiers.errors import ArtifactError, TrainingError
from classifiers.policy import Policy
from classifiers.training import data
from classifiers.training.clean import digest, known_by
from classifiers.training.data import files_of, read_calls, read_rows, reviewed_digest
from classifiers.training.rows import LabelledCall, Row

TABLES = yaml.safe_load((Path(__file__).parents[2] / "tables" / "rows.yaml").read_text(encoding="utf-8"))
SLOTS = {
    "version": 1,
    "name": "t",
    "kind": "slots",
    "about": "bookings",
    "slots": {"time": {"means": "when", "type": "time"}},
}


@pytest.fixture
def intent(make_policy: Callable[..., Policy]) -> Policy:
    return make_policy()


def test_rows_of_files(make_policy: Callable[..., Policy], tmp_path: Path) -> None:
    wrong = {}
    for kind, name, content, expected in TABLES["read"]:
        (tmp_path / name).write_bytes(content.encode())
        rows = read_rows(make_policy(kind), [tmp_path / name])
        found = [[row.text, list(row.labels)] for row in rows if row.source == "data"]
        if found != expected:
            wrong[content] = found
    assert wrong == {}


def test_problems_of_files(make_policy: Callable[..., Policy], tmp_path: Path) -> None:
    wrong = {}
    for kind, name, content, message in [
        *TABLES["refused"],
        ("intent", "a.csv", f'text,label\nhi,other\n"{"a" * 10_000_001}', r"a\.csv:3: not valid CSV.*field limit"),
        ("intent", "a.jsonl", '{"text": "a", "label": "other"}\n' + "[" * 100_000, r"a\.jsonl:2: not valid JSON"),
    ]:
        (tmp_path / name).write_text(content)
        with pytest.raises(TrainingError) as caught:
            read_rows(make_policy(kind), [tmp_path / name])
        if not re.search(message, str(caught.value)):
            wrong[content] = str(caught.value)
    assert wrong == {}


def test_rows_of_one_prompt_are_one_group(make_policy: Callable[..., Policy], tmp_path: Path) -> None:
    path, reads = tmp_path / "a.csv", make_policy("safety", reads_system=True)
    path.write_text("text,system,label,group\na, one ,none,\nb,two,none,\nc,one,none,\nd,one,none,mine\ne,,none,mine\n")
    rows = read_rows(reads, [path])
    assert [row.system for row in rows] == ["one", "two", "one", "one", ""]
    first, second, third, fourth, fifth = (row.group for row in rows)
    assert first == third
    assert fourth == fifth
    assert len({first, second, fourth}) == 3
    with pytest.raises(TrainingError, match=r"a\.csv:2: gives a system prompt, .* reads_system: true"):
        read_rows(make_policy("safety"), [path])
    assert read_rows(make_policy("safety"), [path], unread=True) == rows


def test_every_problem_is_named_once_with_its_line(intent: Policy, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(
        '{"text": "a", "label": "card_arival"}\n{broken\n{"text": "  ", "label": "lost_card"}\n[1]\n'
        '{"text": "b"}\n{"text": "c", "label": ["lost_card", "card_arrival"]}\n{"text": "d", "label": "card_arival"}'
    )
    with pytest.raises(TrainingError) as caught:
        read_rows(intent, [path, tmp_path / "missing.csv"])
    lines = str(caught.value).splitlines()
    assert [line.removeprefix(f"{path}:").split(":")[0] for line in lines[:6]] == ["1", "2", "3", "4", "5", "6"]
    assert lines[0].endswith("did you mean 'card_arrival'? where no label holds, write other (1 more of such rows)")
    assert "cannot be read" in lines[6]


def test_a_csv_of_slots_of_one_label_needs_no_label(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\na table at [7 pm](time)\n")
    (row,) = read_rows(Policy.model_validate(SLOTS), [tmp_path / "a.csv"])
    assert (row.text, row.labels) == ("a table at 7 pm", ("t",))


def test_a_pipe_is_read_once(intent: Policy) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"\xef\xbb\xbf" + '{"text": "ok", "label": "other"}\n{"text": "café"}\n'.encode("latin-1"))
    os.close(writer)
    with os.fdopen(reader), pytest.raises(TrainingError, match=rf"fd/{reader}:2: not UTF-8"):
        read_rows(intent, [Path(f"/dev/fd/{reader}")])


def test_calls_are_read_as_they_came_and_what_is_no_row_is_left_out() -> None:
    policy = Policy.model_validate(SLOTS | {"labels": {name: {"means": name} for name in ("book", "cancel")}})
    texts = ("a table at 7 pm", "see [our menu](https://x.example), at 7 pm", "a [x](time) table", "half \ud83d")
    calls = [*((text, "book") for text in texts), (" \n", "book"), ("back", "refund"), ("back", "")]
    found = read_calls(policy, [LabelledCall(text=text, label=label, weight=2.0) for text, label in calls])
    rows = [row for row in found[:4] if row]
    assert found[4:] == [None] * 3
    assert [row.text for row in rows] == [*texts[:3], "half \ufffd"]
    assert {row.calls for row in rows} == {2.0}
    assert {(row.labels, row.marks, row.source, bool(row.digest)) for row in rows} == {(("book",), None, "data", True)}
    assert len({row.group for row in rows}) == len(rows)


ROWS = (
    Row(text="hello\u2028there", labels=("greeting",), group="g1", source="file", writer="teacher.jsonl"),
    Row(text="مرحبا", labels=(), group="g2", source="data"),
    Row(text="backwards?", labels=("leak",), group="g3", source="data", system="the code is 4"),
)


def keep(folder: Path, *rows: Row) -> Path:
    with data.archived_rows(folder, "tiny", rows) as publish:
        return publish("v")


def test_rows_are_kept_and_of_calls_no_text_is(tmp_path: Path) -> None:
    spoken = "call Ada on 555"
    call = Row(text=spoken, labels=("call",), group="call:1", source="data", digest=digest(spoken))
    path = keep(tmp_path, *ROWS, call)
    assert [file.name for file in (tmp_path / "tiny" / "training").iterdir()] == ["v.jsonl"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "Ada" not in path.read_text("utf-8") + call.shown
    assert data.load(tmp_path, "tiny", "v") == (*ROWS, replace(call, text=""))
    assert known_by(replace(call, text="")) == known_by(replace(call, digest="", text="Call Ada on 555!"))


def test_what_cannot_be_written_or_is_put_nowhere_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        keep(tmp_path, *ROWS, replace(ROWS[0], text="half \ud83d"))
    with data.archived_rows(tmp_path, "tiny", ROWS):
        pass
    assert list((tmp_path / "tiny" / "training").iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b'{"text": "a"}', b'{"text": "a", "labels": [3], "group": "g", "source": "data"}']
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    keep(tmp_path, *ROWS).write_bytes(content)
    with pytest.raises(ArtifactError, match=r"training/v\.jsonl does not hold training rows \(.*\); delete it$"):
        data.load(tmp_path, "tiny", "v")


def test_reviewed_rows_are_a_file_of_the_policy(make_policy: Callable[..., Policy], tmp_path: Path) -> None:
    """Once, whether or not it is named; an empty one is none."""
    policy = make_policy("intent")
    reviewed = tmp_path / f"{policy.name}.reviewed.jsonl"
    assert (files_of(policy, tmp_path), reviewed_digest(policy, tmp_path)) == ([], "")
    reviewed.touch()
    assert files_of(policy, tmp_path) == []
    reviewed.write_text("{}")
    assert files_of(policy, tmp_path) == [reviewed]
    named = policy.model_copy(update={"data": ("a.csv", f"./{reviewed.name}")})
    assert files_of(named, tmp_path) == [tmp_path / "a.csv", reviewed]
    assert reviewed_digest(policy, tmp_path) == reviewed_digest(named, tmp_path) != ""
