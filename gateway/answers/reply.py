"""Replies of rules, an answer or a block, as the request's wire format writes them: whole or streamed."""

from gateway.answers.build import LocalAnswer
from gateway.context import Reply
from gateway.errors import ApiError, Blocked, Overloaded, TextTooLong
from gateway.protocols import sse
from gateway.protocols.wire import ReplyContent, Request, TokenCounts
from gateway.record import Record
from gateway.rules.rule import Act, Action

_JSON = [(b"content-type", b"application/json")]


def label(record: Record, request: Request, local: LocalAnswer) -> Reply:
    """A local answer with its label."""
    logprobs = None if local.call else local.logprobs
    return _reply(record, request, ReplyContent(text=local.content, call=local.call, logprobs=logprobs))


def carry_out(record: Record, request: Request, action: Action, *, wait_s: float = 0.0) -> Reply:
    """An answer with the action's text, or a block with its message.

    Raises Blocked where the rule asks for an HTTP error, or nothing is answered in the wire format; TextTooLong where
    it blocks for a text's length; Overloaded where there was no time to judge. wait_s: after which there may be.
    """
    if action.act is Act.ERROR:
        raise Overloaded(wait_s)
    if action.act is not Act.BLOCK:
        return _reply(record, request, ReplyContent(text=action.text))
    if action.shape == "error" or (action.shape == "message" and not request.wire.local):
        raise Blocked(action.text)
    if action.shape == "too_long":
        raise TextTooLong("a text is too long to be read whole (limits.text in gateway.yaml); send it in parts")
    return _reply(record, request, ReplyContent(text=action.text, blocked=True, refusal=request.wants_schema))


def _reply(record: Record, request: Request, content: ReplyContent) -> Reply:
    """What is content, with the tokens that the call used, or would have used."""
    given = record.input_tokens or record.saved_input_tokens
    generated = record.output_tokens or record.saved_output_tokens
    writer, name = request.wire.replies, record.request_id.removeprefix("req_")
    parts = (request, content, name, TokenCounts(given, generated))
    if request.remember is not None:
        request.remember(writer.whole(*parts))
    if request.stream:
        return Reply(headers=list(sse.HEADERS), chunks=sse.each(writer.events(*parts)))
    return Reply(headers=list(_JSON), body=writer.whole(*parts))


def broken_off(record: Record, request: Request, error: ApiError) -> Reply:
    """An error as an event, for a stream whose status has been sent already."""
    event = request.wire.replies.error_event(error, record.request_id)
    return Reply(headers=list(sse.HEADERS), chunks=sse.each([event]))
