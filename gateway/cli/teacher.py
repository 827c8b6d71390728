"""A policy's teacher as training takes it: a callable that asks a model, and the price of its tokens."""

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from classifiers.errors import PromptRefused, TeacherError
from classifiers.policy import Teacher
from classifiers.training.write.teacher import TeacherPrice, TeacherReply
from gateway.config.prices import PriceTable
from gateway.context import UpstreamModel
from gateway.errors import ApiError
from gateway.protocols import chat
from gateway.protocols.json import of_upstream
from gateway.upstreams.base import Answer, Upstream, UpstreamCall
from gateway.upstreams.litellm import LiteLLMUpstream
from gateway.upstreams.openai import OpenAIUpstream

_WAITS_S: Final = (0.5, 2.0, 8.0)
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
_OF_THE_PROMPT: Final = frozenset({400, 413, 422})
_INSTEAD: Final[Mapping[str, str | None]] = {"seed": None, "temperature": None, "max_tokens": "max_completion_tokens"}
"""What goes out in the place of what a model does not take; None: nothing."""
_READ_BYTES: Final = 4000


class AskTeacher:
    """Asks one model at an OpenAI-compatible base_url or, without one, through litellm. Close it when done.

    A setting that the model turns out not to take is left out, or goes by its other name, from then on.
    """

    def __init__(self, teacher: Teacher) -> None:
        assert teacher.model is not None
        self._runner = asyncio.Runner()
        self._upstream, self._model = _upstream(teacher, teacher.model)
        self._instead: Mapping[str, str | None] = {}

    def __call__(self, prompt: str, *, max_tokens: int, temperature: float, seed: int) -> TeacherReply:
        """One answer. Raises TeacherError where the model cannot be had, after three more tries; PromptRefused where
        it takes no such prompt."""
        settings = {"seed": seed, "temperature": temperature, "max_tokens": max_tokens}
        instead = dict(self._instead)
        while True:
            names = {key: instead.get(key, key) for key in settings}
            answer = self._sent(prompt, {name: settings[key] for key, name in names.items() if name})
            unknown = _not_taken(answer, [key for key in settings if key not in instead])
            if unknown is None:
                break
            instead[unknown] = _INSTEAD[unknown]
        if answer.status == 200:
            # only now is it sure that these were what it was about
            self._instead = instead
        return self._read(answer)

    def close(self) -> None:
        """Closes its connections."""
        self._runner.run(self._upstream.close())
        self._runner.close()

    def _sent(self, prompt: str, settings: Mapping[str, Any]) -> Answer:
        body = {"model": self._model, "messages": [{"role": "user", "content": prompt}], **settings}
        call = UpstreamCall(model=self._model, body=msgspec.json.encode(body), stream=False)
        for wait_s in (*_WAITS_S, None):
            try:
                answer = self._runner.run(self._upstream.send(call))
            except ApiError as error:
                if wait_s is None:
                    raise TeacherError(f"the teacher failed: {error.message}") from error
            else:
                if answer.status not in _PASSING or wait_s is None:
                    return answer
            time.sleep(wait_s)
        raise AssertionError

    def _read(self, answer: Answer) -> TeacherReply:
        if answer.status != 200:
            text = answer.body[:300].decode(errors="replace")
            failure = PromptRefused if answer.status in _OF_THE_PROMPT else TeacherError
            raise failure(f"the teacher {self._model} answered {answer.status}: {text}")
        try:
            completion = of_upstream(chat.decode_answer, answer.body)
        except msgspec.DecodeError as error:
            raise TeacherError(f"the teacher {self._model} sent no chat completion: {error}") from error
        choice = completion.choices[0] if completion.choices else chat.UpstreamChoice()
        usage = completion.usage or chat.ReportedUsage()
        return TeacherReply(
            text=(choice.message.content if choice.message else None) or "",
            input_tokens=usage.prompt_tokens or 0,
            output_tokens=usage.completion_tokens or 0,
            cut=choice.finish_reason == "length",
        )


def _not_taken(answer: Answer, sent: list[str]) -> str | None:
    """Which of the settings that were sent a refusal names first, if any: behind it may stand which ones it takes."""
    if answer.status not in _OF_THE_PROMPT:
        return None
    text = answer.body[:_READ_BYTES].decode(errors="replace")
    named = re.search(rf"\b(?:{'|'.join(sent)})\b", text) if sent else None
    return named[0] if named else None


def price_of(teacher: Teacher, table: PriceTable) -> TeacherPrice:
    """The price of the teacher's model; `known` is false where the table lacks it."""
    price = table.find(teacher.model or "")
    if price is None:
        return TeacherPrice(known=False)
    return TeacherPrice(input_usd=price.input_usd / 1e6, output_usd=price.output_usd / 1e6)


def _upstream(teacher: Teacher, model: str) -> tuple[Upstream, UpstreamModel]:
    if teacher.base_url is not None:
        served = OpenAIUpstream("teacher", base_url=teacher.base_url, api_key=teacher.api_key or "")
        return served, UpstreamModel(model)
    provider, slash, name = model.partition("/")
    if not slash:
        provider, name = "openai", model
    # what goes out beside the prompt is no client's wish, and an answer without it is as good
    upstream = LiteLLMUpstream("teacher", provider=provider, api_key=teacher.api_key or "", drop_params=True)
    return upstream, UpstreamModel(name)
