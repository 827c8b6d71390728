from collections.abc import Callable

import msgspec
import pytest

from gateway.errors import BadRequest
from gateway.protocols import chat
from gateway.protocols.json import decoded, of_upstream


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (b"", "not JSON", None),
        (b"{", "not JSON", None),
        (b'{"messages":[]}', "model: is missing", "model"),
        (b'{"model":"m"}', "messages: is missing", "messages"),
        (b'{"model":7,"messages":[]}', "model: Expected `str`, got `int`", "model"),
        (b'{"model":"m","messages":[],"stream":"yes"}', "stream: Expected `bool", "stream"),
        (b'{"model":"m","messages":[],"stream_options":[]}', "stream_options: Expected", "stream_options"),
        (
            b'{"model":"m","messages":[],"stream_options":{"include_usage":1}}',
            "include_usage",
            "stream_options.include_usage",
        ),
        (b'{"model":"m","messages":[],"response_format":"json"}', "response_format: Expected", "response_format"),
        (b'{"model":"m","messages":[],"n":"two"}', "n: Expected `int", "n"),
        (b"[]", "the body: Expected `object`, got `array`", None),
        (b"null", "the body: Expected `object`, got `null`", None),
        (b'{"model":"m","messages":[],"x":NaN}', "not JSON", None),
        (b'{"model":"m","messages":[],"x":Infinity}', "not JSON", None),
        (b'{"model":"m","messages":[]} trailing', "not JSON", None),
        (b'{"model":"\xff","messages":[]}', "not UTF-8 (byte 10)", None),
        (
            b'{"model":"m","messages":[],"x":"\\ud800"}',
            "not JSON: JSON is malformed: unexpected end of hex escape",
            None,
        ),
        (b'{"model":"m","messages":["\\ude00"]}', "not JSON: JSON is malformed: invalid utf-16 surrogate pair", None),
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


def test_what_fits_is_decoded() -> None:
    request = decoded(chat.decode_request, b'{"model":"m","messages":[1],"stream":null,"extra":{}}')
    assert request.model == "m"
    assert request.messages == msgspec.Raw(b"[1]")
    assert request.stream is None


def test_what_an_upstream_says_is_read_though_it_is_not_all_text() -> None:
    assert of_upstream(chat.decode_meta, b'{"model":"m\xff"}').model == "m\ufffd"
    with pytest.raises(msgspec.DecodeError):
        of_upstream(chat.decode_meta, b'{"model":"m\xff"')


def _as_msgspec_0_20(data: bytes) -> str:
    data.decode()
    return str(msgspec.json.decode(data))


def _as_msgspec_0_23(data: bytes) -> str:
    try:
        return _as_msgspec_0_20(data)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError("Invalid UTF-8 encoded string") from error


@pytest.mark.parametrize("decode", [_as_msgspec_0_20, _as_msgspec_0_23])
def test_bytes_that_are_not_utf_8_are_read_whichever_error_msgspec_raises(decode: Callable[[bytes], str]) -> None:
    assert of_upstream(decode, b'"m\xff"') == "m\ufffd"
    with pytest.raises(msgspec.DecodeError, match="truncated"):
        of_upstream(decode, b'"m\xff')
    with pytest.raises(msgspec.DecodeError, match="truncated"):
        of_upstream(decode, b'"m')
