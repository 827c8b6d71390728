"""A request keeps its fields' bytes for the forward; only the model's name and the wish for usage may change."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.context import UpstreamModel
from gateway.errors import BadRequest
from gateway.protocols.chat_answers import CHAT

SAME = UpstreamModel("m")
OTHER = UpstreamModel("other")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
UNKNOWN = st.dictionaries(
    st.text(min_size=1).filter(
        lambda key: key.lower() not in ("model", "messages", "stream", "stream_options", "response_format", "n")
    ),
    JSON,
    max_size=5,
)


def body(**fields: object) -> bytes:
    return json.dumps({"model": "m", "messages": [], **fields}).encode()


LONG = "A" * 100_000


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{LONG}"}},
        {"type": "input_audio", "input_audio": {"data": LONG, "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{LONG}"}},
    ],
)
def test_what_is_attached_counts_as_no_text(part: dict[str, object]) -> None:
    text = {"type": "text", "text": "what is this?"}
    request = CHAT.parse(body(messages=[{"role": "user", "content": [text, part]}]))
    size, attaches = request.prompt_size()
    assert attaches
    assert 60 < size < 200
    linked = CHAT.parse(
        body(messages=[{"role": "user", "content": [text, {"image_url": {"url": "https://a.example"}}]}])
    )
    assert linked.prompt_size()[1]


def test_text_that_looks_like_an_attachment_counts_as_text() -> None:
    for text in (f'{{"file": {{"file_data": "{LONG}"}}}}', f'"image_url": <img src="data:image/png;base64,{LONG}">'):
        request = CHAT.parse(body(messages=[{"role": "user", "content": text}]))
        size, attaches = request.prompt_size()
        assert not attaches
        assert size > len(LONG)
        beside = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": "https://a.example"}}]
        assert CHAT.parse(body(messages=[{"role": "user", "content": beside}])).prompt_size()[0] > len(LONG)


def test_unknown_fields_are_kept_byte_for_byte_when_the_model_is_renamed() -> None:
    odd = b'[ 1.0 , 1e5,\t-0.0 , "\\u00e9\\/" , {"b" : 1, "a":2 , "b":3} , 123456789012345678901234567890 ]'
    sent = b'{"odd":' + odd + b',"model":"m","messages":[ {"role" : "user","extra":1.50} ]}'
    request = CHAT.parse(sent)
    assert request.body_for(OTHER, ask_usage=True) == sent.replace(b'"model":"m"', b'"model":"other"')


@given(UNKNOWN, st.booleans())
def test_any_unknown_fields_arrive_as_they_were_sent(unknown: dict[str, object], stream: bool) -> None:
    sent = {"model": "m", "messages": [], "stream": stream, **unknown}
    request = CHAT.parse(json.dumps(sent).encode())
    forwarded = json.loads(request.body_for(OTHER, ask_usage=True))
    asked = {"stream_options": {"include_usage": True}} if stream else {}
    assert forwarded == {**sent, "model": "other", **asked}


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (None, b'{"include_usage":true}'),
        ('{"include_usage":false}', b'{"include_usage":true}'),
        ('{"include_obfuscation": 1.50}', b'{"include_obfuscation":1.50,"include_usage":true}'),
        ('{"include_usage": true}', b'{"include_usage": true}'),
    ],
)
def test_usage_is_asked_for_where_the_client_did_not(options: str | None, sent: bytes) -> None:
    extra = f',"stream_options":{options}' if options else ""
    request = CHAT.parse(f'{{"model":"m","messages":[],"stream":true{extra}}}'.encode())
    forwarded = msgspec.json.decode(request.body_for(SAME, ask_usage=True), type=dict[str, msgspec.Raw])
    assert bytes(forwarded["stream_options"]) == sent


def test_usage_is_asked_for_in_streams_of_upstreams_that_take_the_field() -> None:
    assert b"stream_options" not in CHAT.parse(body()).body_for(SAME, ask_usage=True)
    assert b"stream_options" not in CHAT.parse(body(stream=True)).body_for(SAME, ask_usage=False)


def test_of_a_field_given_twice_the_one_that_was_read_is_sent() -> None:
    request = CHAT.parse(b'{"model":"a","model":"m","messages":[1],"messages":[]}')
    assert request.model == "m"
    assert json.loads(request.body_for(OTHER, ask_usage=False)) == {"model": "other", "messages": []}
    assert request.body_for(SAME, ask_usage=False).count(b"messages") == 1


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": "x" * 257}, "model"),
        ({"model": None}, "model"),
        ({"messages": {}}, "messages"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"stream": 1}, "stream"),
    ],
)
def test_what_is_wrong_names_its_field(fields: dict[str, object], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        CHAT.parse(body(**fields))
    assert caught.value.param == param
    assert len(caught.value.message) < 200


FIELDS = st.sampled_from(["model", "messages", "stream", "stream_options", "response_format", "n"])


@given(st.binary(max_size=200) | st.dictionaries(FIELDS, JSON, max_size=6).map(lambda fields: body(**fields)))
def test_no_body_brings_anything_but_a_bad_request(sent: bytes) -> None:
    try:
        request = CHAT.parse(sent)
    except BadRequest:
        return
    assert json.loads(request.body_for(OTHER, ask_usage=True))["model"] == "other"


@pytest.mark.parametrize("key", ["Messages", "MODEL", "Stream", "N", "me\u017f\u017fages"])
def test_a_key_that_only_other_servers_would_read_is_refused(key: str) -> None:
    sent = b'{"model":"m","messages":[],"' + key.encode() + b'":1}'
    with pytest.raises(BadRequest) as caught:
        CHAT.parse(sent)
    assert caught.value.param == key
