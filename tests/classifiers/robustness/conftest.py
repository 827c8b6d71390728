"""Text of every odd kind, and training runs on rows that are odd in some way."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from classifiers.policy import Policy
from classifiers.training.run import Outcome, train

_MEGABYTE = 1_000_000
TEXTS: Mapping[str, str] = {
    "empty": "",
    "white space": " \n\t\u2028 ",
    "one word": "hi",
    "one letter": "a",
    "marks only": "?!",
    "control characters": "\x00\x01\x1b",
    "half of a surrogate pair": "card \ud83d arrived",
    "emoji": "😀🎉👍🏽👨‍👩‍👧🏳️‍🌈",
    "right to left": "كم سعر الصرف اليوم؟ متى تصل بطاقتي الجديدة؟",
    "mixed scripts": "please отмена my карта 我的卡 card كارت",
    "stacked marks": "a" + "\u0301" * 5000,
    "a megabyte of words": "where is my new card " * (_MEGABYTE // 21),
    "a megabyte without a space": "x" * _MEGABYTE,
    "a megabyte of emoji": "😀" * (_MEGABYTE // 4),
    "a megabyte right to left": "كم سعر " * (_MEGABYTE // 12),
    "a megabyte of nothing": "\u200b" * (_MEGABYTE // 3),
    "a megabyte of spaces": " " * _MEGABYTE,
    "a megabyte of base64": "QUJDZGVm" * (_MEGABYTE // 8),
    "a megabyte of lines": "a\n" * (_MEGABYTE // 2),
}
"""By what is odd about them."""

SUBJECTS = ("card", "refund", "exchange rate", "lost phone", "new address", "limit")
Train = Callable[..., Outcome]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `odd` is run on each of the texts."""
    if "odd" in metafunc.fixturenames:
        metafunc.parametrize("odd", TEXTS, ids=list(TEXTS))


def described(count: int, examples: int = 2) -> dict[str, Any]:
    """Labels, each with a description and examples of its own."""
    return {
        f"label {index}": {
            "means": f"asks about the {SUBJECTS[index % len(SUBJECTS)]} number {index}",
            "examples": [
                f"{ask} {SUBJECTS[index % len(SUBJECTS)]} {index}" for ask in ("where is my", "tell me of the")
            ][:examples],
        }
        for index in range(count)
    }


@pytest.fixture(scope="session")
def odd_texts() -> Mapping[str, str]:
    """By what is odd about them."""
    return TEXTS


@pytest.fixture(scope="session")
def labels() -> Callable[..., dict[str, Any]]:
    """labels(count, examples=2): as `described` gives them."""
    return described


@pytest.fixture
def run(models_dir: Path, tmp_path: Path) -> Train:
    """run(kind, labels, rows, **policy): trains on rows of (text, label)."""

    def go(kind: str, labels: Mapping[str, Any], rows: Sequence[tuple[str, str]] = (), **more: Any) -> Outcome:
        policy = {"version": 1, "name": "odd", "kind": kind, "about": "messages to a bank", "labels": labels, **more}
        if rows:
            lines = (json.dumps({"text": text, "label": label}) for text, label in rows)
            (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
            policy["data"] = "rows.jsonl"
        return train(Policy.model_validate(policy), base_dir=tmp_path, models_dir=models_dir, threads=1)

    return go
