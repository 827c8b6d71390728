"""Streams that pass sentence by sentence: nothing that was not read, and an end of their own where a rule blocks."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.config.problems import ConfigError
from gateway.ledger.call_store import TextStore
from gateway.protocols import sse
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.embeddings import COMPLETIONS
from gateway.protocols.messages_answers import MESSAGES
from gateway.protocols.responses_answers import RESPONSES
from gateway.protocols.wire import ReplyContent, TokenCounts, Wire
from gateway.upstreams.base import Answer
from tests.given import table, table_text

BASE = table_text("given/gateway-conftest-base.yaml")
RULES = table_text("given/gateway-release-rules.yaml")
SENTENCES = ["It is the first of all sentences. ", "The second one has a jailbreak in it. ", "The third has a mark! "]
BLOCKED = "But the fourth is about violence. "
REST = "And there is a fifth one behind it."
STREAMS = table("released.yaml")
TEXTS = re.compile(r'"(?:content|text|thinking|arguments|partial_json|delta)":("(?:[^"\\]|\\.)*")')
MAIL, CARD = "joe@example.com", "4111 1111\n1111 1111"
BOTH = pytest.mark.parametrize("served", [CHAT, COMPLETIONS], ids=lambda each: each.endpoint)


def event(served: Wire, text: str, **more: Any) -> bytes:
    choice = {"delta": {"content": text}} if served is CHAT else {"text": text}
    return sse.event(json.dumps({"id": "x1", "model": "m", "choices": [{"index": 0, **choice, **more}]}).encode())


def stream(served: Wire, *texts: str) -> list[bytes]:
    pieces = [piece for text in texts for piece in text.partition(" ") if piece]
    return [*(event(served, piece) for piece in pieces), event(served, "", finish_reason="stop"), sse.DONE]


def body(served: Wire, text: str = "hello", **fields: Any) -> bytes:
    asked = {"messages": [{"role": "user", "content": text}]} if served is CHAT else {"prompt": text}
    return json.dumps({"model": "dear", "stream": True, **asked, **fields}).encode()


def choices(raw: bytes) -> list[dict[str, Any]]:
    datas = [sse.data_of(one) for one in sse.Splitter().feed(raw)]
    return [json.loads(data)["choices"][0] for data in datas if data not in (None, b"[DONE]")]


def said(raw: bytes) -> str:
    return "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices(raw))


@pytest.fixture
def gateway(wire: Callable[..., Any], fake_upstream: Any, make_answer: Callable[..., Answer]) -> Callable[..., Any]:
    """gateway(events, rules, served): with one upstream whose chunks these are."""

    def make(events: Sequence[bytes], text: str = RULES, served: Wire = CHAT, **more: Any) -> Any:
        upstream = fake_upstream([make_answer(events=events)])
        return wire(text, upstreams={"one": upstream, "two": upstream}, served=served, **more)

    return make


def written(raw: bytes, *, again: bool = False) -> list[str]:
    """What a stream's deltas write, or what its other events write again, in any format, with the edits undone."""
    lines = [line for line in raw.decode().splitlines() if ('.done"' in line or '.completed"' in line) is again]
    texts = [json.loads(text) for line in lines for text in TEXTS.findall(line)]
    return [text.replace(MAIL, "[EMAIL_1]").replace("[CARD_1]", CARD) for text in texts]


@pytest.mark.parametrize("served", [CHAT, COMPLETIONS, RESPONSES, MESSAGES], ids=lambda each: each.endpoint)
async def test_wherever_a_stream_is_cut_nothing_leaves_unread(
    served: Wire, gateway: Any, make_answer: Any, ask: Any
) -> None:
    request, raw = (STREAMS[served.endpoint][key].encode() for key in ("request", "stream"))
    whole, wired, bodies = "".join(written(raw)), gateway([], served=served), set()
    asked, passed = wired.classify.asked, bytearray()

    def on_part(part: bytes) -> None:
        passed.extend(part)
        read = [text for reading in asked for text in reading.texts if text in whole]
        may = whole[: max((whole.index(text) + len(text) for text in read), default=0)]
        assert may.startswith("".join(written(passed)))
        assert all(text in may for text in written(passed, again=True))

    cuts = [[raw], [raw[place : place + 1] for place in range(len(raw))]]
    for chunks in (*cuts, *([raw[:place], raw[place:]] for place in range(1, len(raw)))):
        asked.clear()
        passed.clear()
        wired.upstreams["one"].answers[:] = [make_answer(events=chunks)]
        bodies.add((await ask(wired.app, request, on_part=on_part)).body)
    [body] = bodies
    assert ("".join(written(body)), MAIL.encode() in body, b"1111" in body) == (whole, True, False)


@BOTH
async def test_what_passed_before_a_block_stays_and_the_stream_ends(served: Wire, gateway: Any, ask: Any) -> None:
    raw = b"".join(stream(served, *SENTENCES, BLOCKED, REST))
    for size in (1, 50, 400):
        wired = gateway([raw[place : place + size] for place in range(0, len(raw), size)], served=served)
        answer = await ask(wired.app, body(served))
        assert said(answer.body) == "".join(SENTENCES)
        assert choices(answer.body)[-1]["finish_reason"] == "content_filter"
        assert answer.body.endswith(sse.DONE)
        assert b'"id":"x1"' in answer.parts[-2]
        record = wired.records()[-1]
        assert (record.decision, record.rule, record.label, record.flags) == (
            "block",
            "safe",
            "violence",
            "safe:jailbreak",
        )
        # the question, then the sentences of the answer that a rule flags or blocks
        made = [part.split(":")[1] for part in record.verdicts.split(",")]
        assert made == ["violence", "payment", "jailbreak", "violence"]


def responses_events(*texts: str) -> list[tuple[str, dict[str, Any]]]:
    request = RESPONSES.parse(b'{"model":"dear","input":"hello"}')
    content = ReplyContent(text="".join(texts))
    events: list[tuple[str, dict[str, Any]]] = []
    for written in RESPONSES.replies.events(request, content, "x1", TokenCounts(3, 4)):
        fields = json.loads(sse.data_of(written) or b"")
        pieces = [piece for text in texts for piece in text.partition(" ") if piece]
        for piece in pieces if fields["type"].endswith(".delta") else [None]:
            own = fields if piece is None else {**fields, "delta": piece}
            events.append((fields["type"], {**own, "sequence_number": len(events)}))
    return events


def named(events: Sequence[tuple[str, dict[str, Any]]]) -> list[bytes]:
    return [sse.named(kind, json.dumps(fields).encode()) for kind, fields in events]


async def test_of_a_response_all_that_was_open_is_done_with_what_has_passed(gateway: Any, ask: Any) -> None:
    begun = responses_events(*SENTENCES, BLOCKED, REST)
    wired = gateway(named(begun), served=RESPONSES)
    answer = await ask(wired.app, b'{"model":"dear","input":"hello","stream":true}')
    events = [json.loads(sse.data_of(each) or b"") for each in sse.Splitter().feed(answer.body)]
    text = "".join(SENTENCES)
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    assert "".join(each["delta"] for each in events if each["type"].endswith(".delta")) == text
    done, part, item, end = events[-4:]
    assert [each["type"].removeprefix("response.") for each in events[-4:]] == [
        *("output_text.done", "content_part.done", "output_item.done", "incomplete")
    ]
    assert (done["text"], part["part"]["text"], done["item_id"]) == (text, text, "msg_x1")
    assert (item["item"]["status"], item["item"]["content"]) == ("incomplete", [part["part"]])
    assert (end["response"]["id"], end["response"]["output"]) == ("resp_x1", [item["item"]])
    assert end["response"]["incomplete_details"] == {"reason": "content_filter"}


async def test_what_a_response_says_again_follows_what_passed(gateway: Any, ask: Any) -> None:
    texts = ["Write to joe@example.com about all of it. ", "He knows what is to be done."]
    wired = gateway(named(responses_events(*texts)), served=RESPONSES)
    answer = await ask(wired.app, b'{"model":"dear","input":"hello","stream":true}')
    assert b"joe@" not in answer.body
    assert answer.body.count(b"Write to [EMAIL_1] about all of it. He knows what is to be done.") == 4
    assert len(answer.parts) > 3


async def test_of_a_blocked_stream_what_rules_read_is_kept_redacted(gateway: Any, ask: Any, tmp_path: Path) -> None:
    texts = ["Write to joe@example.com about all of it. ", "It is violence to ann@example.com. "]
    wired = gateway(stream(CHAT, *texts, REST), models="content: {blocked: 30d}\n")
    await ask(wired.app, body(CHAT))
    wired.review_log.close()
    with closing(TextStore(tmp_path / "contracts.db", read_only=True)) as store:
        [kept] = store.texts()
    assert (kept.kept_as, kept.rule, kept.label) == ("blocked", "safe", "violence")
    assert kept.text == "Write to [EMAIL_1] about all of it. It is violence to [EMAIL_2]. "
    assert wired.classify.asked[-1].texts == ("".join(texts),)


async def test_a_block_before_anything_has_passed_is_said_as_ever(gateway: Any, ask: Any) -> None:
    answer = await ask(gateway(stream(CHAT, BLOCKED, REST)).app, body(CHAT))
    assert said(answer.body) == "This request was declined by the policy of this service."
    assert choices(answer.body)[-1]["finish_reason"] == "content_filter"


@pytest.mark.parametrize(
    ("then", "blocked", "code"),
    [("{block: {shape: error}}", BLOCKED, "content_filter"), ("block", "But this comes too late. ", "overloaded")],
)
@pytest.mark.parametrize("before", [SENTENCES, []])
async def test_an_error_ends_a_stream_that_has_begun(
    then: str, blocked: str, code: str, before: list[str], gateway: Any, ask: Any
) -> None:
    wired = gateway(stream(CHAT, *before, blocked, REST), RULES.replace("violence: block", f"violence: {then}"))
    answer = await ask(wired.app, body(CHAT))
    *passed, end = sse.Splitter().feed(answer.body)
    assert said(b"".join(passed)) == "".join(before)
    assert json.loads(sse.data_of(end) or b"")["error"]["code"] == code


async def test_a_sentence_passes_while_the_upstream_still_writes(wire: Any, fake_upstream: Any, ask: Any) -> None:
    first, *others = stream(CHAT, *SENTENCES, REST)
    goes_on = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"".join([first, *others[:2]])
        await goes_on.wait()
        yield b"".join(others[2:])

    upstream = fake_upstream([Answer(status=200, headers=[], chunks=chunks())])
    wired = wire(RULES, upstreams={"one": upstream, "two": upstream})
    # it ends only if the first sentence has come before the rest was written
    answer = await asyncio.wait_for(ask(wired.app, body(CHAT), on_part=lambda _: goes_on.set()), 5)
    assert said(answer.parts[0]) == SENTENCES[0]
    assert said(answer.body) == "".join([*SENTENCES, REST])


@BOTH
async def test_values_are_restored_and_others_redacted(served: Wire, gateway: Any, ask: Any) -> None:
    pieces = [
        "I wrote to [EMA",
        "IL_1] as you said",
        ". And to ann@exa",
        "mple.com too. The card is 4111 11",
        "11 1111 1111.",
    ]
    events = [event(served, piece, logprobs={"tokens": [piece]}) for piece in pieces]
    wired = gateway([*events, event(served, "", finish_reason="stop"), sse.DONE], served=served)
    answer = await ask(wired.app, body(served, "I am joe@example.com"))
    expected = "I wrote to joe@example.com as you said. And to [EMAIL_2] too. The card is [CARD_1]."
    assert said(answer.body) == expected
    assert [choice.get("logprobs") for choice in choices(answer.body)] == [None] * 6
    assert wired.record().redacted == "card:1,email:2"


async def test_values_of_two_sentences_have_placeholders_of_their_own(gateway: Any, ask: Any) -> None:
    texts = [
        "Write to joe@example.com about it. ",
        "If he is away, ann@example.com knows. ",
        "Then joe@example.com again.",
    ]
    answer = await ask(gateway(stream(CHAT, *texts)).app, body(CHAT))
    assert said(answer.body) == "Write to [EMAIL_1] about it. If he is away, [EMAIL_2] knows. Then [EMAIL_1] again."


async def test_reasoning_passes_before_the_answer(gateway: Any, ask: Any) -> None:
    thought = sse.event(b'{"choices":[{"index":0,"delta":{"reasoning_content":"The user wants it. Let me see"}}]}')
    events = [thought, *stream(CHAT, *SENTENCES)]
    wired = gateway(events)
    answer = await ask(wired.app, body(CHAT))
    assert answer.body == b"".join(events)
    assert len(answer.parts) > 3


CALL = {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": '{"to": "It is for joe. And ann."}'}}]}


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({"response_format": {"type": "json_object"}}, {}),
        ({"n": 2}, {}),
        ({"tools": [{"function": {"name": "f"}}]}, {"delta": CALL}),
        ({}, {"delta": {"content": '{"a": "It is the first of all sentences. And'}}),
        ({}, {"delta": {"audio": {"transcript": "What nobody reads. Nor this."}}}),
    ],
)
async def test_what_is_read_as_a_whole_is_held(
    fields: dict[str, Any], choice: dict[str, Any], gateway: Any, ask: Any
) -> None:
    events = [event(CHAT, "", **choice), *stream(CHAT, *SENTENCES)]
    answer = await ask(
        gateway(events, RULES.replace("reads:", "when_broken: forward\n    reads:")).app, body(CHAT, **fields)
    )
    assert (len(answer.parts), answer.body) == (2, b"".join(events))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("reads: {output: true, release: sentence}\n    then: {contact", "reads: {output: true}\n    then: {contact"),
        ("then: {violence: block", "when_unsure: {ask: cheap}\n    then: {violence: block"),
    ],
)
async def test_one_rule_that_needs_the_whole_holds_all(old: str, new: str, gateway: Any, ask: Any) -> None:
    base = BASE.replace("two: {kind: echo}", "two: {kind: openai, base_url: http://127.0.0.1:1/v1}")
    answer = await ask(gateway(stream(CHAT, *SENTENCES), RULES.replace(old, new), base=base).app, body(CHAT))
    assert (len(answer.parts), said(answer.body)) == (2, "".join(SENTENCES))


async def test_a_stream_that_breaks_off_passes_what_was_read_and_says_so(
    wire: Any, fake_upstream: Any, make_answer: Any, ask: Any
) -> None:
    upstream = fake_upstream([make_answer(events=stream(CHAT, *SENTENCES)[:-2])])
    answer = await ask(wire(RULES, upstreams={"one": upstream, "two": upstream}).app, body(CHAT))
    *passed, end = sse.Splitter().feed(answer.body)
    assert said(b"".join(passed)) == "".join(SENTENCES)
    assert json.loads(sse.data_of(end) or b"")["error"]["code"] == "upstream_failed"


def test_release_is_for_rules_that_read_or_restore(load: Any) -> None:
    rule = "rules: [{name: safe, classifier: safe, reads: {release: sentence}, then: {violence: block}}]"
    with pytest.raises(ConfigError, match="release: sentence is for a rule that reads output: true, or has redact"):
        load(BASE + rule)
