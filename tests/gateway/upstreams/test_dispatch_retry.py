from collections.abc import Callable
from typing import Any

import pytest

from gateway.context import UpstreamModel
from gateway.errors import AnswerLost, CallDropped, UpstreamFailed, UpstreamTimeout
from gateway.upstreams.base import Answer, UpstreamCall
from gateway.upstreams.dispatch import Retrying

CALL = UpstreamCall(model=UpstreamModel("m"), body=b"{}", stream=False)
FAILED, LATE = UpstreamFailed("gone"), UpstreamTimeout("late")
MakeAnswer = Callable[..., Answer]


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_what_passes_is_asked_again(fake_upstream: Any, make_answer: MakeAnswer, status: int) -> None:
    inner = fake_upstream([make_answer(status=status), FAILED, make_answer(b"good")])
    assert (await Retrying(inner, 2).send(CALL)).body == b"good"
    assert inner.calls == [CALL] * 3


async def test_the_last_answer_stands_whatever_it_is(fake_upstream: Any, make_answer: MakeAnswer) -> None:
    inner = fake_upstream([make_answer(status=503)])
    assert (await Retrying(inner, 1).send(CALL)).status == 503
    assert len(inner.calls) == 2


async def test_the_last_failure_stands(fake_upstream: Any) -> None:
    inner = fake_upstream([FAILED])
    with pytest.raises(UpstreamFailed, match="gone"):
        await Retrying(inner, 1).send(CALL)
    assert len(inner.calls) == 2


@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
async def test_any_other_answer_is_not_asked_again(fake_upstream: Any, make_answer: MakeAnswer, status: int) -> None:
    inner = fake_upstream([make_answer(status=status), make_answer(b"again")])
    assert (await Retrying(inner, 3).send(CALL)).status == status
    assert len(inner.calls) == 1


async def test_a_time_out_is_not_asked_again(fake_upstream: Any) -> None:
    inner = fake_upstream([LATE, FAILED])
    with pytest.raises(UpstreamTimeout):
        await Retrying(inner, 3).send(CALL)
    assert len(inner.calls) == 1


@pytest.mark.parametrize("lost", [AnswerLost("broke off"), CallDropped("no answer")])
async def test_an_answer_that_was_lost_on_its_way_is_not_asked_again(fake_upstream: Any, lost: AnswerLost) -> None:
    inner = fake_upstream([lost, FAILED])
    with pytest.raises(AnswerLost):
        await Retrying(inner, 3).send(CALL)
    assert len(inner.calls) == 1


async def test_it_stands_for_what_it_wraps(fake_upstream: Any) -> None:
    inner = fake_upstream([FAILED], name="x", notional=True, ask_usage=False)
    retrying = Retrying(inner, 1)
    assert (retrying.name, retrying.notional, retrying.ask_usage) == ("x", True, False)
    await retrying.close()
    assert inner.closed
