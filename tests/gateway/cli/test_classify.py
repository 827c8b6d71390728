"""`offramp classify`: where its texts come from, and what is no text."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from classifiers import Runtime
from classifiers.model.registry import Registry
from classifiers.training import data
from classifiers.training.rows import Row
from gateway.cli.classify import slot_value
from gateway.cli.inputs import lines
from gateway.cli.output import Exit

Classify = Callable[..., Any]


@pytest.fixture
def classify(offramp: Callable[..., Any], bank_dir: Path) -> Classify:
    """classify(*arguments, stdin=…): what the command came to."""
    return lambda *arguments, stdin=b"": offramp("classify", "bank", "--models", bank_dir, *arguments, stdin=stdin)


STDIN: list[tuple[bytes, list[str] | int]] = [
    (b"hi\r\n\r\nthere\r\n", ["hi", "", "there"]),
    (b"\n \n", ["", " "]),
    (b"a\rb\x0cc\xe2\x80\xa8d\n", ["a\rb\x0cc\u2028d"]),
    ("\ufeffgrößer 😀\n\ufeffhi\n".encode(), ["größer 😀", "\ufeffhi"]),
    (b"", []),
    (b"hi\n\ncaf\xe9", 3),
    (b"\xff\xfeh\0i\0\n\0", 1),
    (b"\xed\xa0\xbd\n", 1),
]


def test_each_line_of_stdin_is_a_text_in_utf_8(capsys: pytest.CaptureFixture[str]) -> None:
    for stdin, texts in STDIN:
        if isinstance(texts, list):
            assert lines(io.BytesIO(stdin)) == texts
        else:
            with pytest.raises(typer.Exit) as stopped:
                lines(io.BytesIO(stdin))
            assert stopped.value.exit_code == Exit.USAGE
            assert capsys.readouterr().err == f"stdin:{texts}: not UTF-8\n"


def test_many_texts_are_not_held_at_once(classify: Classify, monkeypatch: pytest.MonkeyPatch) -> None:
    held, ask = [], Runtime.classify

    def counted(runtime: Runtime, readings: Any, *more: Any) -> Any:
        held.append(len(readings))
        return ask(runtime, readings, *more)

    monkeypatch.setattr(Runtime, "classify", counted)
    texts = [f"hi {number % 3}" for number in range(600)]
    shown = json.loads(classify("--json", stdin="\n".join(texts).encode()).stdout)
    assert [one["text"] for one in shown] == texts
    assert max(held) == 256


def test_a_slots_value_moves_no_cursor() -> None:
    assert slot_value({"value": "\x1b[2J \u202e", "currency": None}) == r"\x1b[2J \u202e"


@pytest.mark.parametrize("arguments", [["hi", "caf\udce9"], ["hi", "--system", "caf\udce9"]])
def test_an_argument_that_is_not_utf_8_is_wrong_usage(classify: Classify, arguments: list[str]) -> None:
    done = classify(*arguments)
    assert (done.exit_code, done.stdout) == (Exit.USAGE, "")
    assert "not UTF-8" in done.stderr


def test_the_nearest_training_sentences_are_shown_on_request(
    classify: Classify, bank_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = classify("--nearest", "1", "hi")
    version = Registry(bank_dir).resolve("bank").name
    assert (done.exit_code, done.stdout) == (Exit.USAGE, "")
    assert f"{version}.jsonl is not there" in done.stderr
    texts = {"where is my new card": "card_arrival", "what is the exchange rate": "exchange_rate"}
    rows = [Row(text=text, labels=(label,), group=text, source="data") for text, label in texts.items()]
    monkeypatch.setattr(data, "load", lambda *_: rows)
    asked = ["My new card, where is it?", "exchange rates"]
    shown = json.loads(classify("--json", "--nearest", "1", *asked).stdout)
    nearest = [[(row["text"], row["labels"]) for row in one["nearest"]] for one in shown]
    assert nearest == [[(text, [label])] for text, label in texts.items()]
    near = [line.split() for line in classify("--nearest", "2", asked[0]).stdout.splitlines() if "  near " in line]
    assert [line[2] for line in near] == ["card_arrival:", "exchange_rate:"]


def test_arguments_are_utf_8_whatever_the_locale(bank_dir: Path) -> None:
    command = [sys.executable, "-m", "gateway", "classify", "bank", "--models", str(bank_dir), "--json"]
    texts = ["péter …".encode(), b"--system", "größer 😀".encode()]
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run([*command, *texts], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (Exit.DONE, b"")
    assert [one["text"] for one in json.loads(done.stdout)] == ["péter …"]
