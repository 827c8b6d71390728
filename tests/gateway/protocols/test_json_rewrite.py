import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.json import Path, rewrite

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


def test_what_is_not_on_the_way_keeps_its_bytes() -> None:
    data = b'{"a" : [1.00, {"b": "x", "c": [ 1e2 ]}], "d":  {"k" : 1} }'
    assert rewrite(data, {("a", 1, "b"): b'"y"'}) == b'{"a":[1.00,{"b":"y","c":[ 1e2 ]}],"d":{"k" : 1}}'
    assert rewrite(data, {}) == data
    assert rewrite(data, {(): b"1"}) == b"1"


def test_of_a_key_that_stands_twice_the_one_that_was_read_is_kept() -> None:
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


def test_a_key_that_is_no_text_is_no_obstacle() -> None:
    assert rewrite(b'{"a\xff":1,"b":2}', {("b",): b"3"}) == '{"a\ufffd":1,"b":3}'.encode()
