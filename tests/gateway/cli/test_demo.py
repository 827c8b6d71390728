"""The gateway of `offramp demo`: its own, whoever else holds the port; and what is asked of it."""

import asyncio
import json
import socket
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gateway.cli.demo import MESSAGES, _asked_for, _gateway, _send, _show, _train
from gateway.cli.main import app
from gateway.cli.output import Exit
from gateway.server import bind


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.yaml"
    file.write_text("version: 1\nlisten: 127.0.0.2:1\nupstreams: {one: {kind: echo}}\nmodels: {dear: one}\n")
    return file


def test_a_port_that_another_program_holds_ends_the_demo(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(bind("127.0.0.1", 0)) as other:
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(typer.Exit) as ended, _gateway(config, port, real=False):
            pytest.fail("the demo would talk to another program")
    assert ended.value.exit_code == Exit.ENVIRONMENT
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


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
    with _gateway(config, 0, real=False) as address:
        sent = asyncio.run(_send(address, _asked_for(config, real=False)))
        with pytest.raises(typer.Exit) as ended:
            asyncio.run(_send(address, "nope"))
        time.sleep(0.5)
        _show(config, sent, started, address, as_json=True)
        _show(config, sent, started, address, as_json=False)
    assert ended.value.exit_code == Exit.UPSTREAM
    out, err = capsys.readouterr()
    assert "The model 'nope' does not exist here" in err
    answers = {(message["decision"], message["answer"]) for message in sent}
    assert ("block", "Not here.") in answers
    assert {decision for decision, _ in answers} == {"block", "forward"}
    told, end = json.JSONDecoder().raw_decode(out)
    assert [one["text"] for one in told["messages"]] == list(MESSAGES)
    assert "What happened" in out[end:]
    with socket.socket() as gone, pytest.raises(OSError, match="refused"):
        gone.connect(("127.0.0.1", int(address.rpartition(":")[2])))


def test_the_model_asked_for_is_one_that_the_file_opens(config: Path) -> None:
    assert _asked_for(config, real=False) == "dear"
    config.write_text(config.read_text().replace("dear: one", "dear: one, other: one"))
    assert _asked_for(config, real=False) == "gpt-4o"
    config.write_text("version: 1\nupstreams: {one: {kind: echo}}\n")
    with pytest.raises(typer.Exit) as ended:
        _asked_for(config, real=False)
    assert ended.value.exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("upstream", "models", "paid"),
    [
        ("{kind: echo}", "dear: one", False),
        ("{kind: openai, base_url: 'http://127.0.0.1:9/v1'}", "dear: one", True),
        ("{kind: litellm, provider: anthropic, api_key: '${KEY}'}", "dear: one", True),
        ("{kind: litellm, provider: anthropic, api_key: '${KEY}'}", "dear: {upstream: two, fallbacks: [one/x]}", True),
        (
            "{kind: openai, base_url: 'http://127.0.0.1:9/v1', api_key: '${OPENAI_API_KEY:-}', without_key: echo}",
            "dear: one",
            False,
        ),
    ],
)
def test_only_real_asks_what_may_cost_money(
    upstream: str, models: str, paid: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "sk-1")
    monkeypatch.setenv("OPENAI_API_KEY", "")
    file = tmp_path / "gateway.yaml"
    file.write_text(f"version: 1\nupstreams: {{one: {upstream}, two: {{kind: echo}}}}\nmodels: {{{models}}}\n")
    assert _asked_for(file, real=paid) == "dear"
    with pytest.raises(typer.Exit) as ended:
        _asked_for(file, real=not paid)
    assert ended.value.exit_code == Exit.USAGE


@pytest.mark.parametrize("acts", ['then: {"*": {forward: dear}}', 'then: {"*": flag}, when_unsure: {ask: dear}'])
def test_only_real_lets_rules_ask_what_may_cost_money(
    config: Path, capsys: pytest.CaptureFixture[str], acts: str
) -> None:
    config.write_text(
        "version: 1\nupstreams: {one: {kind: echo}, two: {kind: openai, base_url: 'http://127.0.0.1:9/v1'}}\n"
        "models: {free: one, dear: {upstream: two, internal: true}}\n"
        f"rules: [{{name: r, classifier: bank, {acts}}}]\n"
    )
    with pytest.raises(typer.Exit):
        _asked_for(config, real=False)
    assert "sends dear to two, which may cost money; --real does so" in capsys.readouterr().err.replace("\n", " ")


def test_only_real_has_a_model_write_sentences(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text() + 'rules: [{name: r, classifier: mail, then: {"*": flag}}]\n')
    policy = config.parent / "policies" / "mail.yaml"
    policy.parent.mkdir()
    policy.write_text(
        "version: 1\nname: mail\nkind: topic\nabout: mail\nlabels: {a: {means: a}, b: {means: b}}\n"
        "teacher: {model: dear, base_url: 'http://127.0.0.1:9/v1'}\n"
    )
    with pytest.raises(typer.Exit) as ended:
        _train(config, real=False)
    assert ended.value.exit_code == Exit.USAGE
    assert "mail.yaml has dear write sentences, which may cost money" in capsys.readouterr().err.replace("\n", " ")


def test_what_it_sends_with_is_looked_for_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["demo"])
    assert done.exit_code == Exit.USAGE
    assert "pip install 'offramp[demo]'" in done.output
    assert not list(tmp_path.iterdir())


def test_a_version_that_is_gone_is_trained_again(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr("gateway.cli.demo._run", lambda *arguments: ran.append(arguments))
    policy, home = config.parent / "policies" / "tiny.yaml", config.parent / "models" / "tiny"
    for folder in (policy.parent, home):
        folder.mkdir(parents=True)
    policy.write_text("version: 1\nname: tiny\nkind: intent\nabout: x\nlabels: {a: {means: a}}\nother: b\n")
    config.write_text(config.read_text() + "rules: [{name: r, classifier: tiny, then: {a: forward}}]\n")
    (home / "current").write_text("20260101-000000-00000000\n")
    _train(config, real=False)
    assert ran == [("train", "--models", str(home.parent), str(policy))]
