import json
import os
import re
import stat
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from classifiers.errors import ArtifactError, TrainingError
from classifiers.policy import OTHER, Policy
from classifiers.training import data
from classifiers.training.clean import digest, known_by
from classifiers.training.data import read_calls, read_rows
from classifiers.training.rows import Row

TABLES = yaml.safe_load((Path(__file__).parents[2] / "tables" / "rows.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def intent(make_policy: Callable[..., Policy]) -> Policy:
    return make_policy()


@pytest.fixture
def safety(make_policy: Callable[..., Policy]) -> Policy:
    return make_policy("safety")


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
    for kind, name, content, message in TABLES["refused"]:
        (tmp_path / name).write_text(content)
        with pytest.raises(TrainingError) as caught:
            read_rows(make_policy(kind), [tmp_path / name])
        if not re.search(message, str(caught.value)):
            wrong[content] = str(caught.value)
    assert wrong == {}


def test_a_row_may_say_its_system_prompt_where_that_is_read(
    make_policy: Callable[..., Policy], safety: Policy, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"text": "a", "system": " The code is 4. ", "label": "violence"}\n{"text": "b", "label": "none"}\n'
    )
    reads = make_policy("safety", reads_system=True)
    assert [row.system for row in read_rows(reads, [path])] == ["The code is 4.", ""]
    with pytest.raises(TrainingError, match=r"a\.jsonl:1: gives a system prompt, .* reads_system: true"):
        read_rows(safety, [path])
    assert [row.system for row in read_rows(safety, [path], unread=True)] == ["The code is 4.", ""]
    path.write_text('{"text": "a", "system": ["x"], "label": "violence"}\n')
    with pytest.raises(TrainingError, match=r"a\.jsonl:1: system is not text"):
        read_rows(reads, [path])


@pytest.mark.parametrize("before", ["", "text,label\nhi,other\n"])
def test_an_endless_field_is_named_with_its_place(intent: Policy, tmp_path: Path, before: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'{before}"{"a" * 10_000_001}')
    place = before.count("\n") + 1
    with pytest.raises(TrainingError, match=rf"a.csv:{place}: a field of more than 10,000,000 characters; is a quote"):
        read_rows(intent, [path])


def test_rows_of_one_prompt_are_one_group(make_policy: Callable[..., Policy], tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,system,label,group\na,one,none,\nb,two,none,\nc,one,none,\nd,one,none,mine\ne,,none,\n")
    groups = [row.group for row in read_rows(make_policy("safety", reads_system=True), [path])]
    assert groups[0] == groups[2]
    assert len(set(groups)) == 4


def test_a_group_column_keeps_rows_together(intent: Policy, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label,group\na,lost_card,7\nb,lost_card,7\nc,lost_card,\n")
    first, second, third = read_rows(intent, [path])
    assert first.group == second.group != third.group
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": "other", "group": 0}\n' * 2)
    first, second = read_rows(intent, [tmp_path / "a.jsonl"])
    assert first.group == second.group


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_label_may_spell_its_accents_either_way(
    make_policy: Callable[..., Policy], tmp_path: Path, form: str
) -> None:
    """Text that was typed on one machine and read on another need not have the same form."""
    policy = make_policy(labels={name: {"means": "x"} for name in ("R\u00fcckgabe", "Gebu\u0308hr", "fees")})
    rows = [{"text": "x", "label": unicodedata.normalize(form, name)} for name in policy.labels]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in rows))
    assert [row.labels for row in read_rows(policy, [path])] == [(name,) for name in policy.labels]


def test_every_problem_is_named_with_its_line(intent: Policy, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(
        '{"text": "a", "label": "card_arival"}\n{broken\n{"text": "  ", "label": "lost_card"}\n[1]\n'
        '{"text": "b"}\n{"text": "c", "label": ["lost_card", "card_arrival"]}\n'
    )
    with pytest.raises(TrainingError) as caught:
        read_rows(intent, [path, tmp_path / "missing.csv"])
    lines = str(caught.value).splitlines()
    assert [line.removeprefix(f"{path}:").split(":")[0] for line in lines[:6]] == ["1", "2", "3", "4", "5", "6"]
    assert "did you mean 'card_arrival'?" in lines[0]
    assert "cannot be read" in lines[6]


def test_a_name_that_is_no_label_is_told_once_and_what_stands_for_none(
    intent: Policy, safety: Policy, tmp_path: Path
) -> None:
    rows = ("text,label", "a,ham", "b,violence", "c,ham", "d,Violence", "e,ham")
    (tmp_path / "a.csv").write_text("\n".join(rows))
    with pytest.raises(TrainingError) as caught:
        read_rows(safety, [tmp_path / "a.csv"])
    named = f"in the policy {safety.name}"
    assert str(caught.value).replace(str(tmp_path), "").splitlines() == [
        f"/a.csv:2: no label 'ham' {named} (2 more rows have it); where no label holds, write none",
        f"/a.csv:5: no label 'Violence' {named}; did you mean 'violence'? where no label holds, write none",
    ]
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": "zzz"}\n' * 2)
    with pytest.raises(TrainingError, match=r"jsonl:1: no label 'zzz' .* \(1 more row has it\); .*, write other$"):
        read_rows(intent, [tmp_path / "a.jsonl"])


def test_json_that_is_nested_too_deeply_is_named(intent: Policy, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": "other"}\n' + "[" * 100_000 + "\n")
    with pytest.raises(TrainingError, match=r"a\.jsonl:2: not valid JSON"):
        read_rows(intent, [tmp_path / "a.jsonl"])


def test_a_csv_of_slots_of_one_label_needs_no_label(tmp_path: Path) -> None:
    slots = {"time": {"means": "when", "type": "time"}}
    policy = Policy.model_validate({"version": 1, "name": "t", "kind": "slots", "about": "bookings", "slots": slots})
    (tmp_path / "a.csv").write_text("text\na table at [7 pm](time)\n")
    (row,) = read_rows(policy, [tmp_path / "a.csv"])
    assert (row.text, row.labels) == ("a table at 7 pm", ("t",))


def test_a_pipe_is_read_once(intent: Policy) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"\xef\xbb\xbf" + '{"text": "ok", "label": "other"}\n{"text": "café"}\n'.encode("latin-1"))
    os.close(writer)
    with os.fdopen(reader), pytest.raises(TrainingError, match=rf"fd/{reader}:2: not UTF-8"):
        read_rows(intent, [Path(f"/dev/fd/{reader}")])


def test_calls_are_read_as_they_came_and_what_is_no_row_is_left_out(intent: Policy) -> None:
    slots = {"time": {"means": "when", "type": "time"}}
    labels = {name: {"means": name} for name in ("book", "cancel")}
    told = {"version": 1, "name": "t", "kind": "slots", "about": "bookings", "slots": slots, "labels": labels}
    texts = ("a table at 7 pm", "see [our menu](https://x.example), at 7 pm", "a [x](time) table", "half \ud83d")
    calls = [*((text, "book") for text in texts), (" \n", "book"), ("back", "refund"), ("back", "")]
    rows = read_calls(Policy.model_validate(told), calls)
    assert [row.text for row in rows] == [*texts[:3], "half \ufffd"]
    assert {(row.labels, row.marks, row.source, bool(row.digest)) for row in rows} == {(("book",), None, "data", True)}
    assert len({row.group for row in rows}) == len(rows)
    assert [row.labels for row in read_calls(intent, [("hello", "other")])] == [(OTHER,)]


ROWS = (
    Row(text="hello\u2028there", labels=("greeting",), group="g1", source="file", writer="teacher.jsonl"),
    Row(text="مرحبا", labels=(), group="g2", source="data"),
    Row(text="backwards?", labels=("leak",), group="g3", source="data", system="the code is 4"),
)


def test_rows_are_kept_beside_the_version_and_read_again(tmp_path: Path) -> None:
    path = data.keep(tmp_path, "tiny", "20260101-000000-01234567", ROWS)
    assert path == tmp_path / "tiny" / "training" / "20260101-000000-01234567.jsonl"
    assert data.load(tmp_path, "tiny", "20260101-000000-01234567") == ROWS
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_of_calls_no_text_is_kept(tmp_path: Path) -> None:
    call = Row(
        text="call Ada on 555", labels=("call",), group="call:1", source="data", digest=digest("call Ada on 555")
    )
    path = data.keep(tmp_path, "tiny", "v", (*ROWS, call))
    assert "Ada" not in path.read_text("utf-8")
    assert data.load(tmp_path, "tiny", "v") == (*ROWS, replace(call, text=""))
    assert known_by(replace(call, text="")) == known_by(replace(call, digest="", text="Call Ada on 555!"))
    assert "Ada" not in call.shown


def test_what_cannot_be_written_or_is_put_nowhere_leaves_nothing_behind(tmp_path: Path) -> None:
    half = replace(ROWS[0], text="half \ud83d")
    with pytest.raises(UnicodeEncodeError):
        data.keep(tmp_path, "tiny", "v", (*ROWS, half))
    with data.archived_rows(tmp_path, "tiny", ROWS):
        pass
    assert list((tmp_path / "tiny" / "training").iterdir()) == []


def test_only_whoever_trained_may_read_them(tmp_path: Path) -> None:
    assert stat.S_IMODE(data.keep(tmp_path, "tiny", "v", ROWS).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"3",
        b"\xff",
        b'{"text": "a"}',
        b'{"labels": []}',
        b'{"labels": [], "x": 1}',
        b'{"text": null, "labels": [], "group": "g", "source": "data"}',
        b'{"text": "a", "labels": [3], "group": "g", "source": "data"}',
        b'{"digest": 3, "labels": [], "group": "g", "source": "data"}',
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = data.keep(tmp_path, "tiny", "v", ROWS)
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"training/v\.jsonl does not hold training rows \(.*\); delete it$"):
        data.load(tmp_path, "tiny", "v")
