"""Errors of requests in OpenAI's shape.

ApiError
├── BadRequest          400 invalid_request_error
├── InvalidKey          401 invalid_api_key
├── NotFound            404 not_found
│   └── ModelNotFound   404 model_not_found
├── MethodNotAllowed    405
├── WebSocketRefused    426 upgrade_required
├── BodyTooLarge        413 request_too_large
├── TextTooLong         413 text_too_long
├── Blocked             400 content_filter
├── InternalError       500 internal_error
├── UpstreamFailed      502 upstream_failed
│   └── AnswerLost      502 upstream_answer_lost
│       └── CallDropped 502 upstream_answer_lost
├── Unavailable         503 unavailable
│   └── Overloaded      503 overloaded
└── UpstreamTimeout     504 upstream_timeout
    └── AnswerStalled   504 upstream_timeout

Only an ApiError's own message reaches a client; anything else becomes InternalError with the request's id.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

CLIENT_CLOSED: Final = 499
"""The status in the records of requests whose client went away."""
_INVALID: Final = "invalid_request_error"
_LONGEST_WAIT_S: Final = 30
"""In Retry-After: the queue may be shorter by then."""


class ApiError(Exception):
    """An error in OpenAI's shape. `param` names the field at fault; `should_retry` tells clients' own retries. A
    subclass gives as class arguments what differs from its base."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str | None] = None
    should_retry: ClassVar[bool | None] = None

    def __init_subclass__(cls, **attributes: Any) -> None:
        """attributes: status, type, code and should_retry."""
        for name, value in attributes.items():
            setattr(cls, name, value)

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param

    def headers(self) -> Mapping[str, str]:
        if self.should_retry is None:
            return {}
        return {"x-should-retry": "true" if self.should_retry else "false"}


class BadRequest(ApiError, status=400, type=_INVALID):
    """The request is not what the API takes."""


class InvalidKey(ApiError, status=401, type=_INVALID, code="invalid_api_key"):
    """No access key, or a wrong one."""


class NotFound(ApiError, status=404, type=_INVALID, code="not_found"):
    """No such path or object."""


class ModelNotFound(NotFound, code="model_not_found"):
    """A model that the gateway does not serve."""


class MethodNotAllowed(ApiError, status=405, type=_INVALID, code="method_not_allowed"):
    """The path exists, the method does not."""

    def headers(self) -> Mapping[str, str]:
        return {"allow": "POST"}


class WebSocketRefused(ApiError, status=426, type=_INVALID, code="upgrade_required"):
    """A WebSocket where HTTP alone is served. Codex goes on by HTTP at once; after another status it tries for 6 s."""


class BodyTooLarge(ApiError, status=413, type=_INVALID, code="request_too_large", should_retry=False):
    """The body is over `limits.body`."""


class TextTooLong(ApiError, status=413, type=_INVALID, code="text_too_long", should_retry=False):
    """A text is over `limits.text`, and a rule must not let it pass unread."""


class Blocked(ApiError, status=400, type=_INVALID, code="content_filter", should_retry=False):
    """A rule blocked the request and asks for an HTTP error."""


class InternalError(ApiError, code="internal_error"):
    """A fault in the gateway."""


class UpstreamFailed(ApiError, status=502, code="upstream_failed"):
    """The upstream could not be reached, or broke off."""


class AnswerLost(UpstreamFailed, code="upstream_answer_lost"):
    """The answer broke off, or is too long to be held. The call was made and is probably billed."""


class CallDropped(AnswerLost):
    """The upstream may have taken the call, and closed the connection before its answer began."""


class Unavailable(ApiError, status=503, code="unavailable"):
    """The gateway cannot take the request just now."""


class Overloaded(Unavailable, code="overloaded", should_retry=True):
    """The classifiers had no time for the request. wait_s: after which those that wait now are done."""

    def __init__(self, wait_s: float) -> None:
        self.retry_after_s = min(max(math.ceil(wait_s), 1), _LONGEST_WAIT_S)
        super().__init__(f"the classifiers are too busy; send the request again in {self.retry_after_s} s")

    def headers(self) -> Mapping[str, str]:
        return {**super().headers(), "retry-after": str(self.retry_after_s)}


class UpstreamTimeout(ApiError, status=504, code="upstream_timeout"):
    """The upstream did not answer in time."""


class AnswerStalled(UpstreamTimeout):
    """The upstream stopped in the middle of its answer. The call was made and is probably billed."""


def no_such_path(method: str, path: str, mend: str | None = None) -> NotFound:
    """The error of a path that is not served. mend: what to do."""
    there = f"; {mend} (docs/api.md#clients-that-ask-elsewhere)" if mend else ""
    return NotFound(f"there is no {method} {path} here{there}")


def stopping(what: str = "had no answer yet") -> Unavailable:
    """The error of a request that the drain does not wait for. what: the gateway leaves undone."""
    return Unavailable(f"the gateway is stopping and {what}; send the request again")


def body_of(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> bytes:
    """The JSON body of an error; all four keys are always there."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def error_body(error: ApiError) -> bytes:
    return body_of(error.message, error.type, param=error.param, code=error.code)
