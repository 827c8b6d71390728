"""YAML text → plain words and their places."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import source
from gateway.config.problems import ConfigError
from gateway.config.source import Document


def parse(text: str, **env: str) -> Document:
    return source.parse(text, "f.yaml", env)


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("a:", None), ("a: ~", None), ("a: null", None), ("a: ''", ""), ("a: 'null'", "null"), ('a: "~"', "~")],
)
def test_only_empty_tilde_and_null_are_nothing(text: str, value: str | None) -> None:
    assert parse(text).data == {"a": value}


@pytest.mark.parametrize(
    ("text", "data", "problems"),
    [
        (
            "a: 1\nb:\n  x: 1\n  y: 2\n  x: 3\na: 4\n",
            {"a": "1", "b": {"x": "1", "y": "2"}},
            ["5:3: b.x: stands twice; the first is on line 3", "6:1: a: stands twice; the first is on line 1"],
        ),
        ('a: "b\\0c"\n', {"a": "bc"}, ["1:4: a: holds a NUL character"]),
        ("? [a, b]\n: 1\nc: 2\n", {"c": "2"}, ["1:3: a key must be a word"]),
        (
            "a: !!python/object/apply:os.system ['true']\nb: !!! I am sick",
            {"a": ["true"], "b": "I am sick"},
            [f"{at}: begins with !, which YAML reads as a tag; put the text in quotes" for at in ("1:4: a", "2:4: b")],
        ),
        (
            "a:\n  - b\n  - ${GONE}\n",
            {"a": ["b", ""]},
            ["3:5: a[1]: the environment variable GONE is not set; set it, or write ${GONE:-default}"],
        ),
    ],
)
def test_problems_come_with_their_place(text: str, data: object, problems: list[str]) -> None:
    document = parse(text)
    assert document.data == data
    assert [str(problem).removeprefix("f.yaml:") for problem in document.problems] == problems


BOMB = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)
)


@pytest.mark.parametrize(
    "text", [BOMB, "a: &a [*a]", "a: &a {b: *a}", "a: " + "[" * 50 + "]" * 50, "[" * 100_000, "- " * 5_000 + "x"]
)
def test_deep_nesting_is_refused(text: str) -> None:
    assert "deep" in refused(text) or "depth" in refused(text)


def test_text_of_a_list_that_a_comment_cuts_is_a_problem() -> None:
    document = parse('- room #5 is cold\n- open  # a comment\n- "desk #6"\n- a#1\n- #7\n')
    assert document.data == ["room", "open", "desk #6", "a#1", None]
    assert [str(problem) for problem in document.problems] == [
        "f.yaml:1:3: [0]: ends before the #; put the text in quotes, or a space behind # for a comment"
    ]


def test_text_of_a_key_that_a_comment_cuts_is_a_problem() -> None:
    text = "means: asks about\n  order #5\nblock: no #five\nabout: see rule  # 3\nd: 5 s #usual\ntext: 'see rule #3'\n"
    document = parse(text + "answer: {a: x y} #z\nother: [x y] #z\n")
    assert document.data["means"] == "asks about order"
    assert [str(problem) for problem in document.problems] == [
        "f.yaml:1:8: means: ends before the #; put the text in quotes, or a space behind # for a comment"
    ]


def test_variables_are_filled_once_from_the_environment() -> None:
    document = parse('a: "${ONE}"\nb: x-${TWO:-two}-${ONE}\nc: "${NONE:-}"\n${ONE}: ${RAW}\n', ONE="1", RAW="${ONE}")
    assert document.data == {"a": "1", "b": "x-two-1", "c": "", "${ONE}": "${ONE}"}
    assert not document.problems


def test_from_env_is_what_holds_no_words_of_the_file() -> None:
    document = parse("a: ${ONE}\nb: ${ONE:-}\nc: ${ONE:-x}\nd: x${ONE}\ne: ${ONE}${ONE}\nf: x", ONE="1")
    assert document.from_env == {("a",), ("b",), ("e",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml:1:1: is empty"),
        ("# only a comment\n", "f.yaml:1:1: is empty"),
        ("a:\n\tb: 1\n", "f.yaml:2:1: is not valid YAML: found character that cannot start any token; indent with"),
        ("a:\n  - @boss hi\n", "f.yaml:2:5: is not valid YAML: found character that cannot start any token; put the w"),
        ("a:\n  - 'I'd like'\n", "put the whole text in quotes, a quote within it in the other kind"),
        ('a: "b" c\n', "put the whole text in quotes"),
        ("a: [1,\n", "is not valid YAML"),
        ("a: *nobody\n", "f.yaml:1:4: is not valid YAML"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: is not valid YAML"),
        ("a: b: c\n", "f.yaml:1:5: is not valid YAML"),
        ("a: \x00\n", "is not valid YAML"),
        ("a: x\nb: 'open\nc: d\n", "f.yaml:2:4: is not valid YAML: a quote is opened here and not closed; close it"),
    ],
)
def test_what_is_no_yaml_is_said_with_its_place(text: str, message: str) -> None:
    assert message in refused(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def reading(path: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            source.read(path, {})
        return str(caught.value)

    assert "gone.yaml: cannot be read: No such file" in reading(tmp_path / "gone.yaml")
    assert "cannot be read: Is a directory" in reading(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: caf\xe9\n")
    assert "latin.yaml:1:7: is not UTF-8; save the file as UTF-8" in reading(latin)


@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"%@#?, \n\t~$"), max_size=60))
def test_no_text_brings_it_down(text: str) -> None:
    with suppress(ConfigError):
        assert parse(text).marks


WORDS = st.text(alphabet="abz019-_é", min_size=1, max_size=8)


@given(st.dictionaries(WORDS, st.one_of(WORDS, st.lists(WORDS, max_size=4)), min_size=1, max_size=6))
def test_what_is_written_is_read(data: dict[str, str | list[str]]) -> None:
    lines = []
    for key, value in data.items():
        shown = f"'{value}'" if isinstance(value, str) else "[" + ", ".join(f"'{item}'" for item in value) + "]"
        lines.append(f"'{key}': {shown}")
    document = parse("\n".join(lines))
    assert document.data == data
    assert [document.marks[key,].line for key in data] == list(range(1, len(data) + 1))
