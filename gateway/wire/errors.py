"""Errors in OpenAI's shape."""

import msgspec

from gateway.errors import ApiError


class ErrorBody(msgspec.Struct):
    """All four keys are always there."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(msgspec.Struct):
    """`{"error": …}`."""

    error: ErrorBody


def error_body(error: ApiError) -> bytes:
    """The JSON body for an error."""
    return msgspec.json.encode(ErrorAnswer(ErrorBody(error.message, error.type, error.param, error.code)))
