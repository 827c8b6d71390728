"""Of which labels the built-in writer keeps to the essentials."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from classifiers.errors import TrainingError
from classifiers.policy import Policy
from classifiers.training.rows import Row
from classifiers.training.write import sentences
from classifiers.training.write.sentences import plenty


def rows(count: int, *labels: str, text: str = "message {}") -> list[Row]:
    return [Row(text=text.format(n), labels=labels, group=str(n), source="file") for n in range(count)]


def test_a_label_has_plenty_by_its_own_rows_alone() -> None:
    assert plenty([*rows(60, "card"), *rows(7, "fees"), *rows(60)]) == {"card"}
    assert plenty([*rows(8, "card", "fees")]) == {"card", "fees"}


def test_the_same_sentence_many_times_is_one() -> None:
    same = rows(60, "card", text="where is it")
    assert plenty([*same, *rows(6, "card"), *rows(6, "card", text="Message {}!")]) == set()
    assert plenty([*same, *rows(7, "card")]) == {"card"}


Files = Mapping[str, Sequence[Mapping[str, Any]]]


@pytest.fixture
def safety(make_policy: Callable[..., Policy]) -> Callable[..., Policy]:
    def make(*names: str, **more: Any) -> Policy:
        return make_policy("safety", teacher={"file": list(names), **more})

    return make


def kept(policy: Policy, folder: Path, files: Files) -> list[Any]:
    for name, rows in files.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return sentences.read(policy, policy.teachers[0], folder)


def test_one_system_prompts_rows_are_one_group_in_all_files(make_policy: Callable[..., Policy], tmp_path: Path) -> None:
    files = {
        name: [{"text": f"{name} {number}", "labels": [], "system": "The code is 4."} for number in range(2)]
        for name in ("a.jsonl", "b.jsonl")
    }
    files["b.jsonl"].append({"text": "by itself", "labels": []})
    policy = make_policy("safety", reads_system=True, teacher={"file": list(files)})
    groups = [row.group for row in kept(policy, tmp_path, files)]
    assert len(set(groups[:4])) == 1
    assert groups[4].startswith("b.jsonl/")


def test_a_file_without_a_row_is_named(safety: Callable[..., Policy], tmp_path: Path) -> None:
    (tmp_path / "blank.jsonl").write_text("\n  \n")
    (tmp_path / "header.csv").write_text("text,label\n")
    (tmp_path / "bad.jsonl").write_text("{")
    files = {"empty.jsonl": [], "a.jsonl": [{"text": "a", "labels": []}]}
    policy = safety("empty.jsonl", "a.jsonl", "bad.jsonl", "blank.jsonl", "header.csv")
    with pytest.raises(TrainingError) as raised:
        kept(policy, tmp_path, files)
    empty, bad, blank, header = str(raised.value).splitlines()
    assert bad.startswith(f"{tmp_path / 'bad.jsonl'}:1: not valid JSON")
    names = ("empty.jsonl", "blank.jsonl", "header.csv")
    assert [empty, blank, header] == [f"{tmp_path / name}: holds no row" for name in names]
