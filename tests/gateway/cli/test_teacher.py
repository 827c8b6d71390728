"""A teacher's client against a real server on loopback."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from classifiers.errors import PromptRefused, TeacherError
from classifiers.teacher import Teacher
from classifiers.training.write.teacher import TeacherReply
from gateway.cli.teacher import AskTeacher

Answers = Callable[[dict[str, Any]], tuple[int, bytes]]
Asking = Callable[[int, bytes], AskTeacher]


@pytest.fixture
def serving() -> Iterator[Callable[[Answers], AskTeacher]]:
    """serving(answers): a teacher at a server that answers a request's fields with (status, body)."""
    with ExitStack() as stack:

        def make(answers: Answers) -> AskTeacher:
            class Handler(BaseHTTPRequestHandler):
                def do_POST(self) -> None:
                    status, body = answers(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *arguments: object) -> None:
                    pass

            server = HTTPServer(("127.0.0.1", 0), Handler)
            stack.callback(server.server_close)
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            teacher = Teacher.model_validate(
                {"model": "small", "base_url": f"http://127.0.0.1:{server.server_port}/v1", "budget": "$1.00"}
            )
            asked = AskTeacher(teacher)
            stack.callback(asked.close)
            return asked

        yield make


@pytest.fixture
def asking(serving: Callable[[Answers], AskTeacher]) -> Asking:
    """asking(status, body): a teacher at a server that always answers so."""
    return lambda status, body: serving(lambda fields: (status, body))


class Strict:
    """A server that does not know some settings, and says so one by one; or one that names one in any refusal."""

    def __init__(self, *unknown: str) -> None:
        self.unknown = unknown
        self.seen: list[set[str]] = []
        self.refuses = False

    def __call__(self, fields: dict[str, Any]) -> tuple[int, bytes]:
        self.seen.append(fields.keys() - {"model", "messages"})
        if self.refuses:
            return 422, b'{"detail": "no text about seed and temperature"}'
        for name in self.unknown:
            if name in fields:
                error = {"message": f"Unsupported parameter: '{name}' is not supported with this model.", "param": name}
                return 400, json.dumps({"error": error}).encode()
        return 200, json.dumps({"choices": [{"message": {"content": "hello"}, "finish_reason": "length"}]}).encode()


def ask(teacher: AskTeacher) -> object:
    return teacher("Write 10 messages", max_tokens=10, temperature=0.9, seed=0)


def test_a_refusal_is_shown_though_its_beginning_ends_within_a_character(asking: Asking) -> None:
    refused = asking(400, b"x" * 299 + "é and more".encode())
    with pytest.raises(TeacherError, match=r"the teacher small answered 400: x{299}"):
        ask(refused)


def test_a_character_cut_in_two_is_read_as_clients_read_it(asking: Asking) -> None:
    said = b'{"choices": [{"message": {"content": "lost my car\xc3"}}]}'
    completion = asking(200, said)("Write", max_tokens=10, temperature=0.9, seed=0)
    assert completion.text == "lost my car\ufffd"


def test_an_answer_without_usage_was_billed_for_an_unknown_number(asking: Asking) -> None:
    told = {"choices": [{"message": {"role": "assistant", "content": "hello"}}]}
    completion = asking(200, json.dumps(told).encode())("Write", max_tokens=10, temperature=0.9, seed=0)
    assert (completion.text, completion.input_tokens, completion.output_tokens) == ("hello", 0, 0)


def test_a_setting_that_a_model_does_not_take_is_left_out_from_then_on(
    serving: Callable[[Answers], AskTeacher],
) -> None:
    server = Strict("temperature", "max_tokens", "seed")
    teacher = serving(server)
    for _ in range(2):
        assert teacher("Write", max_tokens=10, temperature=0.9, seed=0) == TeacherReply(text="hello", cut=True)
    assert server.seen == [
        {"seed", "temperature", "max_tokens"},
        {"seed", "max_tokens"},
        {"seed", "max_completion_tokens"},
        {"max_completion_tokens"},
        {"max_completion_tokens"},
    ]


def test_what_a_refusal_says_that_a_model_takes_is_kept(serving: Callable[[Answers], AskTeacher]) -> None:
    seen: list[set[str]] = []

    def answers(fields: dict[str, Any]) -> tuple[int, bytes]:
        seen.append(fields.keys() - {"model", "messages"})
        if "max_tokens" in fields:
            return 400, b'{"error": "no max_tokens here; known are seed, temperature, max_completion_tokens"}'
        return 200, b'{"choices": [{"message": {"content": "hello"}}]}'

    ask(serving(answers))
    assert seen == [{"seed", "temperature", "max_tokens"}, {"seed", "temperature", "max_completion_tokens"}]


def test_a_refusal_of_the_prompt_that_names_a_setting_costs_none(serving: Callable[[Answers], AskTeacher]) -> None:
    server = Strict()
    server.refuses = True
    teacher = serving(server)
    with pytest.raises(PromptRefused, match="answered 422: "):
        ask(teacher)
    server.refuses = False
    ask(teacher)
    assert server.seen[-1] == {"seed", "temperature", "max_tokens"}


@pytest.mark.parametrize(("status", "prompts"), [(400, True), (413, True), (401, False), (403, False), (404, False)])
def test_only_what_may_be_of_the_prompt_is_told_so(asking: Asking, status: int, prompts: bool) -> None:
    with pytest.raises(TeacherError, match=f"answered {status}") as raised:
        ask(asking(status, b'{"error": {"code": "content_filter"}}'))
    assert isinstance(raised.value, PromptRefused) is prompts
