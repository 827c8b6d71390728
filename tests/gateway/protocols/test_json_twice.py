import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.json import key_twice


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b'{"a":1,"a":2}', "a"),
        (b'[{"a":{"b":[{"c":1,"d":2,"c":1}]}}]', "c"),
        (b'{"a":1,"\\u0061":1}', "a"),
        (b'{"a":{"a":{"a":"{\\"a\\":1,\\"a\\":2}"}}}', None),
        (b'{"a":1,"A":2}', None),
        (b"7", None),
    ],
)
def test_a_key_stands_twice_where_one_object_has_it_twice(data: bytes, key: str | None) -> None:
    assert key_twice(data) == key


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, st.booleans())
def test_what_python_writes_has_no_key_twice(value: Any, ascii_only: bool) -> None:
    assert key_twice(json.dumps(value, ensure_ascii=ascii_only).encode()) is None


@pytest.mark.parametrize("data", [b"", b"{", b'{"a":\xff}'])
def test_what_is_no_json(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        key_twice(data)
