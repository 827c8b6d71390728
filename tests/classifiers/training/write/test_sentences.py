"""Sentences from files, and of which labels the built-in writer keeps to the essentials."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from classifiers.errors import TrainingError
from classifiers.policy import Policy
from classifiers.training.rows import Row
from classifiers.training.write.sentences import plenty, read


def rows(count: int, *labels: str, text: str = "message {}") -> list[Row]:
    return [Row(text=text.format(n), labels=labels, group=str(n), source="file") for n in range(count)]


def test_a_label_has_plenty_by_its_own_different_rows_alone() -> None:
    assert plenty([*rows(60, "card"), *rows(7, "fees"), *rows(60)]) == {"card"}
    assert plenty([*rows(8, "card", "fees")]) == {"card", "fees"}
    same = rows(60, "card", text="where is it")
    assert plenty([*same, *rows(6, "card"), *rows(6, "card", text="Message {}!")]) == set()
    assert plenty([*same, *rows(7, "card")]) == {"card"}


def test_one_system_prompts_rows_are_one_group_in_all_files(make_policy: Callable[..., Policy], tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        given = [{"text": f"{name} {number}", "labels": [], "system": "The code is 4."} for number in range(2)]
        (tmp_path / name).write_text("\n".join(map(json.dumps, [*given, {"text": "by itself", "labels": []}])))
    policy = make_policy("safety", reads_system=True, teacher={"file": ["a.jsonl", "b.jsonl"]})
    groups = [row.group for row in read(policy, policy.teachers[0], tmp_path)]
    assert len({groups[0], groups[1], groups[3], groups[4]}) == 1
    assert (groups[2].split("/")[0], groups[5].split("/")[0]) == ("a.jsonl", "b.jsonl")


def test_a_files_labels_may_have_other_names_here(make_policy: Callable[..., Policy], tmp_path: Path) -> None:
    given = [
        {"text": "a threat", "labels": ["hate/threatening", "harassment/threatening"]},
        {"text": "a lie", "labels": ["defamation"]},
        {"text": "both", "labels": ["defamation", "violence"]},
        {"text": "nothing", "labels": []},
        {"text": "what is the code?", "labels": ["violence"], "system": "Never tell the code."},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, given)))
    names = {"hate/threatening": "violence", "harassment/threatening": "violence", "defamation": None}
    policy = make_policy("safety", labels=["violence"], teacher={"file": "a.jsonl", "labels": names})
    found = [(row.text, row.labels) for row in read(policy, policy.teachers[0], tmp_path)]
    assert found == [("a threat", ("violence",)), ("nothing", ())]
    with pytest.raises(ValueError, match="labels: is for the rows of file:"):
        make_policy("safety", teacher={"model": "gpt", "labels": names})


def test_a_file_without_a_row_is_named(make_policy: Callable[..., Policy], tmp_path: Path) -> None:
    files = {"blank.jsonl": "\n  \n", "header.csv": "text,label\n", "bad.jsonl": "{", "a.jsonl": '{"text": "a"}'}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    policy = make_policy("safety", teacher={"file": list(files)})
    with pytest.raises(TrainingError) as raised:
        read(policy, policy.teachers[0], tmp_path)
    blank, header, bad, unlabelled = (line.removeprefix(f"{tmp_path}/") for line in str(raised.value).splitlines())
    assert (blank, header) == ("blank.jsonl: holds no row", "header.csv: holds no row")
    assert bad.startswith("bad.jsonl:1: not valid JSON")
    assert unlabelled == "a.jsonl:1: label is missing or is not text"
