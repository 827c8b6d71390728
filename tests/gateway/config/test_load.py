"""gateway.yaml and policies as a whole: what refers to what, secrets, addresses, files next to them."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from classifiers.policy import Policy
from gateway.config.load import Loaded, is_loopback, load_gateway, load_policy, split_listen
from gateway.config.problems import ConfigError
from gateway.serving.snapshot import rule_problems
from tests.given import table_text

from .tables import unexpected

BASE = """\
version: 1
upstreams:
  one: {kind: echo}
models:
  gpt-4o: one
  cheap: {upstream: one, internal: true}
"""
RULE = """\
rules:
  - name: r
    classifier: bank
"""
Load = Callable[..., Loaded]


@pytest.fixture
def refused(load: Load) -> Callable[..., list[str]]:
    """The problems of a text, without the file's folder."""

    def make(text: str, **env: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text, env)
        return [str(problem).rpartition("gateway.yaml:")[2] for problem in caught.value.problems]

    return make


def test_paths_are_relative_to_the_file(load: Load, tmp_path: Path) -> None:
    loaded = load(BASE + "models_dir: ../models\nledger: here.db\n")
    assert loaded.models_dir == tmp_path.parent / "models"
    assert loaded.ledger == tmp_path / "here.db"
    assert loaded.prices is None
    assert load(BASE + "prices: my.yaml\n").prices == tmp_path / "my.yaml"


def test_answer_files_that_hold_no_answer(refused: Callable[..., list[str]], tmp_path: Path) -> None:
    (tmp_path / "latin.md").write_bytes(b"caf\xe9")
    (tmp_path / "empty.md").write_text(" \n")
    text = (
        BASE
        + RULE
        + "    when: {system: none}\n    then:\n      a: {answer_file: gone.md}\n      b: {answer_file: latin.md}\n"
    )
    text += "      c: {answer_file: empty.md}\n"
    assert refused(text) == [
        "12:11: rules[0].then.a.answer_file: gone.md: No such file or directory",
        "13:11: rules[0].then.b.answer_file: latin.md: is not UTF-8",
        "14:11: rules[0].then.c.answer_file: empty.md: is empty",
    ]


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:8080", "192.168.1.2:80", "[::]:80", "::1234:80", "localhost.evil.com:80", "127.evil.com:80"]
)
def test_any_other_address_needs_a_key(refused: Callable[..., list[str]], load: Load, listen: str) -> None:
    text = BASE + f'listen: "{listen}"\n'
    assert refused(text) == [
        '7:1: listen: only loopback may be listened on without an access key; set access_key: "${OFFRAMP_KEY}"'
    ]
    assert refused(text + 'access_key: "${OFFRAMP_KEY:-}"\n')[0].startswith("7:1: listen: only loopback")
    assert load(text + 'access_key: "${K}"\n', {"K": "secret"}).settings.access_key == "secret"


def test_loopback_is_an_address_not_a_prefix() -> None:
    assert all(is_loopback(host) for host in ("localhost", "LOCALHOST", "127.0.0.1", "127.255.0.9", "::1", "[::1]"))
    others = ("127.evil.com", "127.0.0.1.nip.io", "127.0.0.1.", "localhost.com", "::12", "0.0.0.0", "", "127.1", "[::1")
    assert [host for host in others if is_loopback(host)] in ([], ["[::1"])


@pytest.mark.parametrize(
    "listen",
    [
        "8080", "localhost", "localhost:", ":80", "[]:80", "127..0.0.1:80", "localhost:http", "localhost:65536",
        "localhost:-1",
    ],
)  # fmt: skip
def test_an_address_is_host_and_port(refused: Callable[..., list[str]], listen: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        split_listen(listen)
    (line,) = refused(BASE + f'listen: "{listen}"\n')
    assert "is not host:port, such as 127.0.0.1:8080" in line


UPSTREAM = "version: 1\nupstreams:\n  one:\n    kind: openai\n    base_url: http://127.0.0.1:1/v1\n    api_key: {}\n"


@pytest.mark.parametrize(
    "key", ["sk-secret", '"sk-secret"', '"sk-${NAME}"', '"${NAME}x"', '"${GONE:-sk-secret}"', "{a: b}"]
)
def test_a_literal_secret_is_refused_and_not_repeated(refused: Callable[..., list[str]], key: str) -> None:
    lines = refused(UPSTREAM.format(key), NAME="filled")
    assert '6:5: upstreams.one.api_key: a secret must come from the environment; write it as "${NAME}"' in lines
    assert "secret" not in " ".join(lines).replace("a secret must", "")
    assert "filled" not in " ".join(lines)


def test_with_an_upstream_for_other_models_a_rule_may_name_any(load: Load) -> None:
    text = f"{BASE}  other: one\n{RULE}    when: {{model: gpt-5}}\n    then: {{a: flag}}\n"
    assert load(text).settings.rules[0].when.model == ("gpt-5",)


@pytest.mark.parametrize(
    "rule",
    [
        "when: {system: 'be brief*', any_end: true}, then: {a: {answer: x}}",
        "when: {system: ['be * brief.', '[*]be brief[*]']}, then: {a: {answer: x}}",
        "when: {system: 'be brief*'}, contract: true, then: {a: {answer: label}}",
        "when: {system: '*'}, then: {a: block}",
    ],
)
def test_open_globs_are_for_rules_that_compare_or_do_not_answer(load: Load, rule: str) -> None:
    load(f"{BASE}rules: [{{name: r, classifier: bank, {rule}}}]\n")


def test_a_name_from_the_environment_is_not_repeated(refused: Callable[..., list[str]]) -> None:
    text = BASE.replace("gpt-4o: one", 'gpt-4o: {upstream: "${UP}"}') + 'listen: "${AT}"\n'
    lines = refused(text, UP="hunter2", AT="me:hunter2")
    assert "5:12: models.gpt-4o.upstream: no upstream ${UP} (known: one)" in lines
    assert "7:1: listen: '${AT}' is not host:port, such as 127.0.0.1:8080" in lines
    (meant,) = refused(text, UP="ones", AT="127.0.0.1:1")
    assert meant == '5:12: models.gpt-4o.upstream: no upstream ${UP}; did you mean "one"?'


@pytest.mark.parametrize("key", ["sk-1\r\nsk-2", "sk-\t1", "sk\0-1"])
def test_a_secret_that_no_header_can_carry_is_refused_and_not_repeated(
    refused: Callable[..., list[str]], key: str
) -> None:
    text = UPSTREAM.format('"${NAME}"') + 'access_key: "${NAME}"\n'
    what = "holds a line end or another character that cannot be sent"
    assert refused(text, NAME=key) == [f"6:5: upstreams.one.api_key: {what}", f"7:1: access_key: {what}"]


@pytest.mark.parametrize(("given", "what"), [({}, "is not set"), ({"K": ""}, "is empty"), ({"K": " \n"}, "is empty")])
def test_a_secret_without_a_value_is_a_problem(
    refused: Callable[..., list[str]], tmp_path: Path, given: dict[str, str], what: str
) -> None:
    text = UPSTREAM.format('"${K}"') + 'access_key: "${K}"\n'
    mend = f"the environment variable K {what}; set it, or write ${{K:-}} to go without"
    # what becomes of calls without a key, without_key: says
    upstreams = [] if given else [f"upstreams.one.api_key: {mend}"]
    lines = [*upstreams, f"access_key: {mend}"]
    assert [line.partition(": ")[2] for line in refused(text, **given)] == lines
    # whoever only looks at the file needs none
    file = tmp_path / "gateway.yaml"
    file.write_text(text + 'listen: "0.0.0.0:80"\n')
    loaded = load_gateway(file, given, secrets=False)
    assert [str(problem).partition(": ")[2] for problem in loaded.lacking] == lines
    assert loaded.ledger.name == "offramp.db"


def test_a_teachers_key_is_needed_to_train_alone(policy_file: Callable[[str], Path]) -> None:
    file = policy_file(POLICY + 'teacher: {model: m, api_key: "${NAME}"}\n')
    with pytest.raises(ConfigError, match="the environment variable NAME is not set"):
        load_policy(file, {})
    assert load_policy(file, {}, secrets=False).teachers[0].model == "m"
    assert not load_policy(file, {"NAME": ""}).teachers[0].api_key


def test_an_upstream_that_refuses_to_be_without_a_key(
    refused: Callable[..., list[str]], load: Load, tmp_path: Path
) -> None:
    text = UPSTREAM.format('"${K:-}"') + "    without_key: refuse\n"
    message = "6:5: upstreams.one.api_key: is empty, and without_key: refuse asks for one"
    assert refused(text) == [message]
    file = tmp_path / "gateway.yaml"
    file.write_text(UPSTREAM.format('"${K}"') + "    without_key: refuse\n")
    with pytest.raises(ConfigError, match="without_key: refuse asks for one"):
        load_gateway(file, {"K": ""}, secrets=False)
    load(text, {"K": "sk-1"})


def test_what_no_upstream_can_pass_on_is_found(refused: Callable[..., list[str]], load: Load) -> None:
    one = "version: 1\nupstreams:\n  one: {{kind: openai, base_url: http://h/v1, {}}}\n"

    def problems(text: str) -> str:
        try:
            load(one.format(text))
        except ConfigError:
            return " ".join(refused(one.format(text)))
        return ""

    assert unexpected("passing", problems) == []
    two = "  two: {kind: openai, base_url: http://h/v1, passthrough: [files]}\n"
    [problem] = refused(one.format("passthrough: all") + two)
    assert "upstreams.two.passthrough: one has it: a path without a model goes to one upstream" in problem


def test_what_refers_to_nothing_is_found(refused: Callable[..., list[str]]) -> None:
    assert unexpected("references", lambda text: " ".join(refused(BASE + text))) == []


def test_what_does_not_fit_the_trained_policies_is_found(load: Load, policies: dict[str, Policy]) -> None:
    values = {"version": 1, "name": "when", "kind": "slots", "about": "when", "slots": {"at": {"means": "when"}}}
    when = Policy.model_validate({**values, "labels": {"at": {"means": "says when"}}})
    copies = (("where", when, "de"), ("wide", policies["safe"], "de"), ("odd", policies["data"], "any"))
    others = {name: one.model_copy(update={"name": name, "languages": (known,)}) for name, one, known in copies}
    trained = {**policies, "when": when, **others}
    base = BASE.replace("{kind: echo}", '{kind: openai, base_url: "http://127.0.0.1:9/v1"}')

    def problems(text: str) -> str:
        return " ".join(map(str, rule_problems(load(base + text), trained)))

    assert unexpected("trained", problems) == []


POLICY = table_text("given/gateway-config-load-policy.yaml")


@pytest.fixture
def policy_file(tmp_path: Path) -> Callable[[str], Path]:
    """A policy file of that text."""

    def make(text: str) -> Path:
        file = tmp_path / "policy.yaml"
        file.write_text(dedent(text), "utf-8")
        return file

    return make


def test_what_is_wrong_in_a_policy_is_found(policy_file: Callable[[str], Path]) -> None:
    def problem(text: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load_policy(policy_file(text), {})
        return str(caught.value)

    assert unexpected("policies", problem) == []


def test_a_gateway_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_gateway(tmp_path / "gone.yaml", {})
