"""The policy's teacher as training wants it: a callable that asks a model, and what a token of it costs."""

import asyncio
import time
from typing import Final

import msgspec

from classifiers.errors import TeacherError
from classifiers.teacher import Teacher
from classifiers.training.write.budget import Price
from classifiers.training.write.cache import Completion
from gateway.errors import ApiError
from gateway.savings.prices import PriceTable
from gateway.types import UpstreamModel
from gateway.upstreams.base import Answer, Call, Upstream
from gateway.upstreams.litellm import LiteLLMUpstream
from gateway.upstreams.openai import OpenAIUpstream
from gateway.wire import chat
from gateway.wire.decode import of_upstream

_WAITS_S: Final = (0.5, 2.0, 8.0)
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})


class AskTeacher:
    """Asks one model at an OpenAI-compatible base_url or, without one, through litellm. Close it when done."""

    def __init__(self, teacher: Teacher) -> None:
        assert teacher.model is not None
        self._runner = asyncio.Runner()
        self._upstream, self._model = _upstream(teacher, teacher.model)

    def __call__(self, prompt: str, *, max_tokens: int, temperature: float, seed: int) -> Completion:
        """One answer. Raises TeacherError where the model cannot be had, after three more tries."""
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
        }
        call = Call(model=self._model, body=msgspec.json.encode(body), stream=False)
        for wait_s in (*_WAITS_S, None):
            try:
                answer = self._runner.run(self._upstream.send(call))
            except ApiError as error:
                if wait_s is None:
                    raise TeacherError(f"the teacher failed: {error.message}") from error
            else:
                if answer.status not in _PASSING or wait_s is None:
                    return self._read(answer)
            time.sleep(wait_s)
        raise AssertionError

    def close(self) -> None:
        """Closes its connections."""
        self._runner.run(self._upstream.close())
        self._runner.close()

    def _read(self, answer: Answer) -> Completion:
        if answer.status != 200:
            said = answer.body[:300].decode(errors="replace")
            raise TeacherError(f"the teacher {self._model} answered {answer.status}: {said}")
        try:
            told = of_upstream(chat.decode_answer, answer.body)
        except msgspec.DecodeError as error:
            raise TeacherError(f"the teacher {self._model} sent no chat completion: {error}") from error
        message = told.choices[0].message if told.choices else None
        usage = told.usage or chat.ReportedUsage()
        return Completion(
            text=(message.content if message else None) or "",
            input_tokens=usage.prompt_tokens or 0,
            output_tokens=usage.completion_tokens or 0,
        )


def price_of(teacher: Teacher, table: PriceTable) -> Price:
    """The price of the teacher's model; `known` is false where the table lacks it."""
    found = table.find(teacher.model or "")
    if found is None:
        return Price(known=False)
    return Price(input_usd=found.input_usd, output_usd=found.output_usd)


def _upstream(teacher: Teacher, model: str) -> tuple[Upstream, UpstreamModel]:
    if teacher.base_url is not None:
        upstream = OpenAIUpstream("teacher", base_url=teacher.base_url, api_key=teacher.api_key or "")
        return upstream, UpstreamModel(model)
    provider, slash, name = model.partition("/")
    if not slash:
        provider, name = "openai", model
    return LiteLLMUpstream("teacher", provider=provider, api_key=teacher.api_key or ""), UpstreamModel(name)
