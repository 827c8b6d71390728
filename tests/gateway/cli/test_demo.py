"""The gateway of `offramp demo`: its own, whoever else holds the port; and what is asked of it."""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.cli.demo import MESSAGES, _gateway, _model_of, _result, _send, _train, demo
from gateway.cli.output import Exit
from gateway.server import bind


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.yaml"
    file.write_text("version: 1\nlisten: 127.0.0.2:1\nupstreams: {one: {kind: echo}}\nmodels: {dear: one}\n")
    return file


def policy(config: Path, name: str, more: str = "") -> Path:
    """A policy beside a gateway's file that has a rule for it."""
    config.write_text(config.read_text() + f'rules: [{{name: r, classifier: {name}, then: {{"*": flag}}}}]\n')
    file = config.parent / "policies" / f"{name}.yaml"
    file.parent.mkdir()
    file.write_text(f"version: 1\nname: {name}\nkind: intent\nabout: x\nlabels: {{a: {{means: a}}}}\nother: b\n{more}")
    return file


def test_a_port_that_another_program_holds_ends_the_demo(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(bind("127.0.0.1", 0)) as other:
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(typer.Exit) as ended, _gateway(config, port):
            pytest.fail("the demo would talk to another program")
    assert ended.value.exit_code == Exit.ENVIRONMENT
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


def test_a_busy_port_ends_the_demo_before_anything_is_made(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(bind("127.0.0.1", 0)) as other:
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(typer.Exit) as ended:
            demo(once=True, port=port)
    assert ended.value.exit_code == Exit.ENVIRONMENT
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use; --port takes another" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_one_run_on_a_free_port(
    config: Path, bank_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through no proxy, with a rule that blocks in the shape of an error, and a call that fails at the end."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    block = "{block: {message: Not here., shape: error}}"
    rules = f'rules: [{{name: r, classifier: bank, then: {{"*": {block}}}}}]\n'
    config.write_text(f"{config.read_text()}models_dir: {bank_dir}\n{rules}")
    started = time.time()
    with _gateway(config, 0) as address:
        sent = asyncio.run(_send(address, _model_of(config)))
        with pytest.raises(typer.Exit) as ended:
            asyncio.run(_send(address, "nope"))
        time.sleep(0.5)
        _result(config, sent, started, address, as_json=True)
        _result(config, sent, started, address, as_json=False)
    assert ended.value.exit_code == Exit.UPSTREAM
    out, err = capsys.readouterr()
    assert "The model 'nope' does not exist here" in err
    answers = {(message["decision"], message["answer"]) for message in sent}
    assert ("block", "Not here.") in answers
    assert {decision for decision, _ in answers} == {"block", "forward"}
    shown, end = json.JSONDecoder().raw_decode(out)
    assert [one["text"] for one in shown["messages"]] == list(MESSAGES)
    assert "What happened" in out[end:]
    with socket.socket() as gone, pytest.raises(OSError, match="refused"):
        gone.connect(("127.0.0.1", int(address.rpartition(":")[2])))


ECHO = "{kind: echo}"
PAID = "{kind: openai, base_url: 'http://127.0.0.1:9/v1'}"
STARTER = "{kind: openai, base_url: 'http://127.0.0.1:9/v1', api_key: '${OPENAI_API_KEY:-}', without_key: echo}"


@pytest.mark.parametrize(
    ("two", "models", "acts", "model"),
    [
        (ECHO, "dear: one", "flag", "dear"),
        (ECHO, "dear: one, other: one", "flag", "gpt-4o"),
        (STARTER, "dear: two", "flag", "dear"),
        (PAID, "dear: two", "flag", None),
        ("{kind: litellm, provider: anthropic, api_key: '${KEY}'}", "dear: two", "flag", None),
        (PAID, "dear: {upstream: one, fallbacks: [two/x]}", "flag", None),
        (PAID, "dear: one, paid: {upstream: two, internal: true}", "{forward: paid}", None),
        (PAID, "dear: one, paid: {upstream: two, internal: true}", "flag}, when_unsure: {ask: paid", None),
        (ECHO, "", "flag", None),
    ],
)
def test_only_models_that_cost_nothing_are_asked(
    config: Path, monkeypatch: pytest.MonkeyPatch, two: str, models: str, acts: str, model: str | None
) -> None:
    monkeypatch.setenv("KEY", "sk-1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    rules = f'rules: [{{name: r, classifier: bank, then: {{"*": {acts}}}}}]\n'
    config.write_text(f"version: 1\nupstreams: {{one: {ECHO}, two: {two}}}\nmodels: {{{models}}}\n{rules}")
    if model:
        assert _model_of(config) == model
    else:
        with pytest.raises(typer.Exit) as ended:
            _model_of(config)
        assert ended.value.exit_code == Exit.USAGE


def test_no_paid_model_writes_sentences(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy(config, "mail", "teacher: {model: dear, base_url: 'http://127.0.0.1:9/v1'}\n")
    with pytest.raises(typer.Exit) as ended:
        _train(config)
    assert ended.value.exit_code == Exit.USAGE
    assert "mail.yaml has dear write sentences, which may cost money" in capsys.readouterr().err.replace("\n", " ")


def test_its_client_is_looked_for_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offramp: Callable[..., Any]
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.chdir(tmp_path)
    done = offramp("demo")
    assert done.exit_code == Exit.USAGE
    assert "pip install 'offramp[demo]'" in done.output
    assert not list(tmp_path.iterdir())


def test_a_version_that_is_gone_is_trained_again(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr("gateway.cli.demo._run", lambda *arguments: ran.append(arguments))
    file, home = policy(config, "tiny"), config.parent / "models" / "tiny"
    home.mkdir(parents=True)
    (home / "current").write_text("20260101-000000-00000000\n")
    _train(config)
    assert ran == [("train", "--models", str(home.parent), str(file))]
