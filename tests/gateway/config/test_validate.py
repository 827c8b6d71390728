"""Whatever is wrong in gateway.yaml comes at once, at its line and column, with the word that was meant."""

from textwrap import dedent

import pytest

from gateway.config import source
from gateway.config.problems import Position, Problem
from gateway.config.settings import Settings
from gateway.config.validate import validate

from .tables import unexpected

BASE = """\
version: 1
upstreams:
  one: {kind: echo}
"""


def problems(text: str) -> list[str]:
    document = source.parse(dedent(text), "f", {})
    assert validate(document, Settings) is None
    return sorted(str(problem) for problem in document.problems)


def problem(text: str) -> str:
    (only,) = problems(text)
    return only


def with_base(text: str) -> str:
    return BASE + dedent(text)


def test_all_problems_come_at_once() -> None:
    assert problems(
        """\
        version: 2
        lissten: 127.0.0.1:1
        upstreams:
          one: {kind: ecko}
          two:
            kind: openai
            base_ur: http://x
        limits:
          body: 10
        """
    ) == [
        "f:1:1: version: '2' is not known here (known: 1)",
        'f:2:1: lissten: no such key; did you mean "listen"?',
        "f:4:3: upstreams.one: 'ecko' is not known here; did you mean \"echo\"?",
        "f:5:3: upstreams.two: needs base_url:",
        'f:7:5: upstreams.two.base_ur: no such key; did you mean "base_url"?',
        "f:9:3: limits.body: '10' is not a size such as 512KiB or 2MiB (units: B, kB, KiB, MB, MiB, GB, GiB)",
    ]


def test_a_wrong_value_is_found_at_its_place() -> None:
    assert unexpected("values", lambda text: problem(with_base(text))) == []


RULE = """\
rules:
  - name: r
    classifier: c
    {}
"""


def test_a_wrong_rule_is_found_at_its_place() -> None:
    assert unexpected("rules", lambda text: problem(with_base(RULE.format(text)))) == []


def test_an_address_that_cannot_be_called_is_refused() -> None:
    upstream = 'version: 1\nupstreams:\n  one:\n    kind: openai\n    base_url: "{}"\n'
    assert unexpected("addresses", lambda url: problem(upstream.format(url))) == []
    assert "hunter2" not in problem(upstream.format("user:hunter2@api.example.com/v1"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("content: {keep: '${V}'}", "content.keep: '${V}' is not a duration such as 250ms"),
        ("content: {keep: 'x${V}'}", "content.keep: 'x${V}' is not a duration such as 250ms"),
        ("rules: [{name: '${V}', classifier: c, then: {a: flag}}]", "rules[0].name: '${V}' must be lower-case"),
        ("rules: [{name: r, classifier: c, then: {a: flag}, reads: {turns: '${V}'}}]", "turns: '${V}' is not known"),
        ("rules: [{name: r, classifier: c, then: {a: flag}, reads: {roles: ['${V}']}}]", "[0]: '${V}' is not known"),
        ("models: {a: {upstream: one, internal: '${V}'}}", "models.a.internal: '${V}' is neither true nor false"),
    ],
)
@pytest.mark.parametrize("value", ["Hunter 2", 'it\'s "Hunter" 2', "Hunter\n2 "])
def test_what_the_environment_gives_is_not_repeated(text: str, message: str, value: str) -> None:
    document = source.parse(BASE + text, "f", {"V": value})
    assert validate(document, Settings) is None
    lines = " ".join(map(str, document.problems))
    assert message in lines
    assert "Hunter" not in lines


@pytest.mark.parametrize("text", ["just a word", "- a\n- b", "~"])
def test_a_file_that_is_no_mapping(text: str) -> None:
    assert problem(text) == "f:1:1: must be a mapping of keys to values"


def test_a_problem_says_file_line_column_path_and_message() -> None:
    assert str(Problem("f", Position(2, 3), ("a", 0), "is wrong")) == "f:2:3: a[0]: is wrong"
    assert str(Problem("f", None, (), "is wrong")) == "f: is wrong"
