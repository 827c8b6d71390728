"""Errors of requests in OpenAI's shape.

ApiError
├── BadRequest          400 invalid_request_error
├── InvalidKey          401 invalid_api_key
├── NotFound            404 not_found
│   └── ModelNotFound   404 model_not_found
├── MethodNotAllowed    405
├── BodyTooLarge        413 request_too_large
├── Blocked             400 content_filter
├── InternalError       500 internal_error
├── UpstreamFailed      502 upstream_failed
│   └── AnswerLost      502 upstream_answer_lost
│       └── CallDropped 502 upstream_answer_lost
├── Unavailable         503 unavailable
└── UpstreamTimeout     504 upstream_timeout
    └── AnswerStalled   504 upstream_timeout

Only an ApiError's own message reaches a client; anything else becomes InternalError with the request's id.
"""

from collections.abc import Mapping
from typing import ClassVar

import msgspec


class ApiError(Exception):
    """An error in OpenAI's shape. `param` names the field at fault; `should_retry` tells clients' own retries."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str | None] = None
    should_retry: ClassVar[bool | None] = None

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param

    def headers(self) -> Mapping[str, str]:
        """Headers that go with the error."""
        if self.should_retry is None:
            return {}
        return {"x-should-retry": "true" if self.should_retry else "false"}


class BadRequest(ApiError):
    """The request is not what the API takes."""

    status = 400
    type = "invalid_request_error"


class InvalidKey(ApiError):
    """No access key, or a wrong one."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class NotFound(ApiError):
    """No such path or object."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"


class ModelNotFound(NotFound):
    """A model that the gateway does not serve."""

    code = "model_not_found"


class MethodNotAllowed(ApiError):
    """The path exists, the method does not."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"

    def headers(self) -> Mapping[str, str]:
        return {"allow": "POST"}


class BodyTooLarge(ApiError):
    """The body is over `limits.body`."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"
    should_retry = False


class Blocked(ApiError):
    """A rule blocked the request and asks for an HTTP error."""

    status = 400
    type = "invalid_request_error"
    code = "content_filter"
    should_retry = False


class InternalError(ApiError):
    """A fault in the gateway."""

    code = "internal_error"


class UpstreamFailed(ApiError):
    """The upstream could not be reached, or broke off."""

    status = 502
    code = "upstream_failed"


class AnswerLost(UpstreamFailed):
    """The answer broke off, or is too long to be held. The call was made and is probably billed."""

    code = "upstream_answer_lost"


class CallDropped(AnswerLost):
    """The upstream may have taken the call, and closed the connection before its answer began."""


class Unavailable(ApiError):
    """The gateway cannot take the request just now."""

    status = 503
    code = "unavailable"


def stopping(what: str = "had no answer yet") -> Unavailable:
    """The error of a request that the drain does not wait for. what: the gateway leaves undone."""
    return Unavailable(f"the gateway is stopping and {what}; send the request again")


class UpstreamTimeout(ApiError):
    """The upstream did not answer in time."""

    status = 504
    code = "upstream_timeout"


class AnswerStalled(UpstreamTimeout):
    """The upstream stopped in the middle of its answer. The call was made and is probably billed."""


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
