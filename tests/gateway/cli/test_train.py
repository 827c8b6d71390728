"""`offramp train` of several policies, of which one cannot be trained; teachers that cost money; calls on stdin."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import typer
from click.testing import Result

from classifiers.errors import TrainingError
from classifiers.model.registry import Registry
from classifiers.training.rows import LabelledCall
from gateway.cli.inputs import read
from gateway.cli.output import Exit
from gateway.config.problems import ConfigError
from gateway.serving.retrain import this_program
from tests.given import table_text

PATTERNS = """\
version: 1
name: one
kind: safety
about: messages
labels: {contact: {means: x, patterns: email}}
"""
MISSED = "tests: [{text: no address, expect: contact}]\n"
TAUGHT = table_text("given/gateway-cli-train-taught.yaml")
TEACHER = "teacher: {model: qwen3-4b, base_url: 'http://127.0.0.1:9/v1'}\n"
DECLINED = "taught: NOT trained: its teacher qwen3-4b was not to be asked"

Train = Callable[..., Result]


@pytest.fixture
def train(models_dir: Path, tmp_path: Path, offramp: Train) -> Train:
    """train(**policies): trains them in their order. answer: whether to go on, as on a terminal; None: no terminal."""

    def run(*flags: str, answer: str | None = None, **policies: str) -> Result:
        files = []
        for name, text in policies.items():
            files.append(tmp_path / f"{name}.yaml")
            files[-1].write_text(text)
        terminal = {"FORCE_COLOR": None if answer is None else "1"}
        return offramp("train", *files, "--models", models_dir, *flags, stdin=answer or "", env=terminal)

    return run


def shown(done: Result) -> list[dict[str, Any]]:
    """The JSON on stdout, where the runner shows the answers that were typed as well."""
    found: list[dict[str, Any]] = json.loads(done.stdout[done.stdout.index("[") :])
    return found


def test_a_published_version_is_shown_though_the_next_policy_fails(
    train: Train, models_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "hello", "label": "nothing"}\n')
    policies = {"one": PATTERNS, "bad": f"{TAUGHT}data: rows.jsonl\n", "two": PATTERNS.replace("one", "two")}
    done = train("--json", **policies)
    assert isinstance(done.exception, TrainingError)
    first, second = shown(done)
    assert (first["name"], first["accepted"], first["error"]) == ("one", True, None)
    assert first["version"] == Registry(models_dir).current("one")
    assert (second["name"], second["accepted"], second["version"]) == ("taught", False, None)
    assert "rows.jsonl:1" in second["error"] == str(done.exception)
    assert set(first) == set(second)
    assert Registry(models_dir).names() == ["one"]
    assert "one: published as" in train(**policies).stdout


@pytest.mark.parametrize(
    ("other", "name", "message"),
    [("version: 1\nname: bad\n", None, "needs kind:"), (PATTERNS, None, "copy.yaml: name: one is the name in ")],
)
def test_policies_that_do_not_fit_are_refused_before_any_is_trained(
    train: Train, models_dir: Path, other: str, name: str | None, message: str
) -> None:
    done = train("--json", one=PATTERNS, copy=other)
    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)
    assert [(one["name"], one["accepted"], one["error"]) for one in shown(done)] == [(name, False, str(done.exception))]
    assert Registry(models_dir).names() == []


@pytest.mark.parametrize("last", ["", MISSED])
def test_the_other_policies_are_trained_where_a_teacher_is_declined(train: Train, models_dir: Path, last: str) -> None:
    done = train("--json", answer="n\n", taught=TAUGHT + TEACHER, one=PATTERNS + last)
    assert done.exit_code == Exit.UPSTREAM
    first, second = shown(done)
    assert (first["accepted"], first["error"]) == (False, "its teacher qwen3-4b was not to be asked")
    assert (second["name"], second["accepted"], second["error"]) == ("one", not last, None)
    assert DECLINED in done.stderr
    assert Registry(models_dir).names() == ([] if last else ["one"])


def test_only_yes_hires_a_teacher_where_standard_input_holds_calls_or_nothing(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = '{"text": "hello", "label": "greeting"}\n'
    for flags, answer, why in ((["--calls"], calls, "holds calls"), ([], "", "is at its end")):
        done = train(*flags, answer=answer, taught=TAUGHT + TEACHER)
        assert done.exit_code == Exit.UPSTREAM
        assert f"standard input {why}, so nobody can say yes; --yes does" in done.stderr
        assert DECLINED in done.stderr
    monkeypatch.setattr("gateway.cli.teacher.AskTeacher.__call__", Mock(side_effect=TrainingError("asked")))
    assert str(train("--calls", "--yes", answer=calls, taught=TAUGHT + TEACHER).exception) == "asked"


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[" * 100_000, "maximum recursion depth exceeded"),
        ('["secret"]', "Expected `object`, got `array`"),
        ('{"text": "secret"}', "Object missing required field `label`"),
        ('{"text": "secret", "label": {"secret": 1}}', "Expected `str`, got `object` - at `$.label`"),
        ('{"text": "secret", "label": "a", "weight": 0}', "Expected `float` > 0.0 - at `$.weight`"),
        ('{"text": "secret", "label": "a", "vector": "secret"}', "Invalid base64 encoded string - at `$.vector`"),
    ],
)
def test_a_line_that_is_no_call_is_refused(line: str, wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as stopped:
        read(['{"text": "hi", "label": "contact", "weight": 20, "vector": "aGk="}', "", line])
    assert stopped.value.exit_code == Exit.USAGE
    error = capsys.readouterr().err
    assert f"stdin:3: {wrong}" in error
    assert error.endswith('; write {"text": "...", "label": "..."}, one call a line\n')
    assert "secret" not in error


def test_calls_come_from_standard_input(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def stop(_: Any, calls: Any) -> Any:
        given.extend(calls)
        raise TrainingError("enough")

    monkeypatch.setattr("classifiers.training.run.read_calls", stop)
    lines = '{"text": "hello\\ud83d", "label": "greeting"}\n\n{"text": "", "label": "refund", "weight": 20, '
    lines += '"vector": "aGk="}\r\n \r\n'
    assert str(train("--calls", answer=lines, taught=TAUGHT).exception) == "enough"
    assert given == [
        LabelledCall(text="hello\ud83d", label="greeting"),
        LabelledCall(text="", label="refund", weight=20, vector=b"hi"),
    ]


def test_a_training_that_is_stopped_takes_back_what_it_began(models_dir: Path, tmp_path: Path) -> None:
    policy = tmp_path / "taught.yaml"
    # so many that fitting is not over before it is stopped
    labels = (f"  at_{number}: {{means: says {number}, examples: [number {number}]}}\n" for number in range(60))
    policy.write_text(TAUGHT + "".join(labels))
    command = [*this_program(), "train", str(policy), "--models", str(models_dir)]
    # whoever starts this in the background may have it ignore Ctrl-C, which children inherit
    stoppable = {"preexec_fn": partial(signal.signal, signal.SIGINT, signal.default_int_handler)}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, **stoppable) as process:
        while not list(models_dir.glob(".tuned-*")):
            assert process.poll() is None
            time.sleep(0.001)
        # past the call that made it, and held still: it is not over before there is much to take back
        time.sleep(0.05)
        process.send_signal(signal.SIGSTOP)
        [made] = models_dir.glob(".tuned-*")
        for number in range(1_000):
            (made / str(number)).touch()
        for one in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(one)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.01)
    # a shell calls both 130; Python ends with the latter where it was hit within an exec, as imports have
    assert process.returncode in (130, -signal.SIGINT)
    assert [one.name for one in models_dir.iterdir() if one.name != "encoders"] == []


def test_a_version_is_not_published_where_its_rows_cannot_be_kept(train: Train, models_dir: Path) -> None:
    (models_dir / "one").mkdir(parents=True)
    (models_dir / "one" / "training").write_text("no folder")
    done = train("--json", one=PATTERNS)
    assert isinstance(done.exception, OSError)
    assert shown(done)[0]["accepted"] is False
    assert Registry(models_dir).names() == []


GUARDED = table_text("given/gateway-cli-train-guarded.yaml")


def test_a_guard_that_the_hub_does_not_give_is_named_where_it_is_written(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", Mock(side_effect=OSError("no route to host")))
    error = train(chat=GUARDED).exception
    assert isinstance(error, ConfigError)
    assert f"{tmp_path / 'chat.yaml'}:7:3: guard.model: guard hub:org/guard could not be fetched" in str(error)
    assert "(OSError: no route to host). Without the network, take folder:PATH" in str(error)


def test_a_larger_encoder_is_for_guards(train: Train) -> None:
    refused = train("--larger", "package:all-mpnet-base-v2", taught=TAUGHT)
    assert isinstance(refused.exception, ConfigError)
    assert "--larger is for kind safety, and taught is of kind intent" in str(refused.exception)
