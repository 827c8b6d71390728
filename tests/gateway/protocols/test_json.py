import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.protocols import chat
from gateway.protocols.json import Path, decoded, of_upstream, rewrite, strict_json


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (b"{", "not JSON", None),
        (b'{"messages":[]}', "model: is missing", "model"),
        (b'{"model":7,"messages":[]}', "model: Expected `str`, got `int`", "model"),
        (b'{"model":"m","messages":[],"stream":"yes"}', "stream: Expected `bool", "stream"),
        (
            b'{"model":"m","messages":[],"stream_options":{"include_usage":1}}',
            "include_usage",
            "stream_options.include_usage",
        ),
        (b"[]", "the body: Expected `object`, got `array`", None),
        (b'{"model":"m","messages":[],"x":NaN}', "not JSON", None),
        (b'{"model":"m","messages":[]} trailing', "not JSON", None),
        (b'{"model":"\xff","messages":[]}', "not UTF-8 (byte 10)", None),
        (b" ", "the body is empty", None),
        (b'{"model":"m","x":"hi \\ud800"}', "holds \\ud800, half of a surrogate pair (byte 21); cut", None),
        (b'{"x":"\\ud83d\\ude00 \\\\ud800 \\uDE00"}', "holds \\uDE00, half of a surrogate pair (byte 27)", None),
        (b'{"x":"\\ud83d\\u0041"}', "holds \\ud83d, half of a surrogate pair (byte 6)", None),
        (b'{"x":"\\ud83d\\ude00 \\\\ud800"', "not JSON: Input data was truncated", None),
        (b'{"model":"m","messages":["hi', "not JSON: Input data was truncated", None),
        (b'{"model":"m","messages":' + b"[" * 100_000, "nested too deeply", None),
        (b'{"model":"m","messages":[],"x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "nested too deeply", None),
    ],
)
def test_what_does_not_fit_is_said_with_its_field(body: bytes, message: str, param: str | None) -> None:
    with pytest.raises(BadRequest) as caught:
        decoded(chat.decode_request, body)
    assert message in caught.value.message
    assert caught.value.param == param


def test_what_an_upstream_says_is_read_though_it_is_not_all_text() -> None:
    assert of_upstream(chat.decode_meta, b'{"model":"m\xff"}').model == "m\ufffd"
    with pytest.raises(msgspec.DecodeError):
        of_upstream(chat.decode_meta, b'{"model":"m\xff"')


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b'{"a":1,"a":2}', "a"),
        (b'[{"a":{"b":[{"c":1,"d":2,"c":1}]}}]', "c"),
        (b'{"a":1,"\\u0061":1}', "a"),
        (b'{"' + b"k" * 50 + b'":1,"' + b"k" * 50 + b'":2}', "k" * 40),
    ],
)
def test_a_key_that_one_object_has_twice_is_refused(data: bytes, key: str) -> None:
    with pytest.raises(ValueError, match=f"the key '{key}' stands twice"):
        strict_json(data)


@pytest.mark.parametrize("data", [b'{"a":{"a":{"a":"{\\"a\\":1,\\"a\\":2}"}}}', b'{"a":1,"A":2}', b"7"])
def test_keys_alike_are_not_the_same_key(data: bytes) -> None:
    strict_json(data)


@pytest.mark.parametrize("data", [b"", b"{", b'{"a":\xff}'])
def test_strict_json_refuses_what_is_no_json(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        strict_json(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.just(0) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


@given(JSON, st.booleans())
def test_strict_json_decodes_what_python_writes(value: Any, ascii_only: bool) -> None:
    assert strict_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


def test_a_rewrite_keeps_the_other_bytes_and_of_a_key_that_stands_twice_the_last() -> None:
    data = b'{"a" : [1.00, {"b": "x", "c": [ 1e2 ]}], "d":  {"k" : 1} }'
    assert rewrite(data, {("a", 1, "b"): b'"y"'}) == b'{"a":[1.00,{"b":"y","c":[ 1e2 ]}],"d":{"k" : 1}}'
    assert rewrite(data, {}) == data
    assert rewrite(data, {(): b"1"}) == b"1"
    assert rewrite(b'{"a":{"b":"raw","b":"read"}}', {("a", "b"): b'"new"'}) == b'{"a":{"b":"new"}}'


@pytest.mark.parametrize("path", [("x",), (0,), ("a", 5), ("a", "b"), ("n", "b")])
def test_a_path_that_leads_nowhere_is_an_error(path: Path) -> None:
    with pytest.raises((KeyError, IndexError, msgspec.DecodeError)):
        rewrite(b'{"a":[1],"n":7}', {path: b"1"})


def places(value: Any, path: Path = ()) -> list[Path]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


@given(JSON, st.data())
def test_only_the_value_at_the_path_changes(value: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(places(value)))
    after = json.loads(rewrite(json.dumps(value).encode(), {path: b'"new"'}))
    holder = {"": json.loads(json.dumps(value))}
    inside: Any = holder
    way = ("", *path)
    for key in way[:-1]:
        inside = inside[key]
    inside[way[-1]] = "new"
    assert after == holder[""]
