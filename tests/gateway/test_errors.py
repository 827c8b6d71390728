import json

import pytest

from gateway import errors
from gateway.errors import error_body


@pytest.mark.parametrize("kind", [one for one in vars(errors).values() if isinstance(one, type)])
def test_all_four_keys_are_always_there(kind: type) -> None:
    if not issubclass(kind, errors.ApiError):
        return
    body = json.loads(error_body(kind("it went wrong")))
    assert body == {"error": {"message": "it went wrong", "type": kind.type, "param": None, "code": kind.code}}
    assert 400 <= kind.status < 600


def test_the_field_at_fault_is_named() -> None:
    assert json.loads(error_body(errors.BadRequest("no", param="n")))["error"]["param"] == "n"


def test_policy_blocks_and_size_limits_are_not_to_be_retried() -> None:
    assert errors.Blocked("no").headers() == {"x-should-retry": "false"}
    assert errors.BodyTooLarge("no").headers() == {"x-should-retry": "false"}
    assert errors.UpstreamFailed("no").headers() == {}
    assert errors.MethodNotAllowed("no").headers() == {"allow": "POST"}
