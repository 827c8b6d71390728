"""A teacher's client against a real server on loopback."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from classifiers.errors import PromptRefused, TeacherError
from classifiers.policy import Teacher
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
    """A server that does not know some settings, and says so one by one."""

    def __init__(self, *unknown: str, refusal: str = "Unsupported parameter: '{}' is not supported") -> None:
        self.unknown = unknown
        self.refusal = refusal
        self.seen: list[set[str]] = []

    def __call__(self, fields: dict[str, Any]) -> tuple[int, bytes]:
        self.seen.append(fields.keys() - {"model", "messages"})
        for name in self.unknown:
            if name in fields:
                return 400, json.dumps({"error": {"message": self.refusal.format(name), "param": name}}).encode()
        return 200, json.dumps({"choices": [{"message": {"content": "hello"}, "finish_reason": "length"}]}).encode()


def ask(teacher: AskTeacher) -> TeacherReply:
    return teacher("Write 10 messages", max_tokens=10, temperature=0.9, seed=0)


def test_a_refusal_is_shown_though_its_beginning_ends_within_a_character(asking: Asking) -> None:
    with pytest.raises(TeacherError, match=r"the teacher small answered 400: x{299}"):
        ask(asking(400, b"x" * 299 + "é and more".encode()))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        # read as clients read it
        (b'{"choices": [{"message": {"content": "lost my car\xc3"}}]}', "lost my car\ufffd"),
        (b'{"choices": [{"message": {"role": "assistant", "content": "hello"}}]}', "hello"),
    ],
)
def test_an_answer_without_usage_is_read(asking: Asking, body: bytes, text: str) -> None:
    reply = ask(asking(200, body))
    assert (reply.text, reply.input_tokens, reply.output_tokens) == (text, 0, 0)


def test_a_setting_that_a_model_does_not_take_is_left_out_from_then_on(
    serving: Callable[[Answers], AskTeacher],
) -> None:
    server = Strict("temperature", "max_tokens", "seed")
    teacher = serving(server)
    for _ in range(2):
        assert ask(teacher) == TeacherReply(text="hello", cut=True)
    assert server.seen == [
        {"seed", "temperature", "max_tokens"},
        {"seed", "max_tokens"},
        {"seed", "max_completion_tokens"},
        {"max_completion_tokens"},
        {"max_completion_tokens"},
    ]


def test_settings_that_a_refusal_says_are_known_are_kept(serving: Callable[[Answers], AskTeacher]) -> None:
    server = Strict("max_tokens", refusal="no {} here; known are seed, temperature, max_completion_tokens")
    ask(serving(server))
    assert server.seen == [{"seed", "temperature", "max_tokens"}, {"seed", "temperature", "max_completion_tokens"}]


def test_a_refusal_of_the_prompt_that_names_a_setting_costs_none(serving: Callable[[Answers], AskTeacher]) -> None:
    server, refused = Strict(), [(422, b'{"detail": "no text about seed and temperature"}')] * 3
    teacher = serving(lambda fields: refused.pop() if refused and server(fields) else server(fields))
    with pytest.raises(PromptRefused, match="answered 422: "):
        ask(teacher)
    refused.clear()
    ask(teacher)
    assert server.seen[-1] == {"seed", "temperature", "max_tokens"}


@pytest.mark.parametrize(("status", "prompts"), [(400, True), (413, True), (401, False), (404, False)])
def test_only_some_refusals_may_be_of_the_prompt(asking: Asking, status: int, prompts: bool) -> None:
    with pytest.raises(TeacherError, match=f"answered {status}") as raised:
        ask(asking(status, b'{"error": {"code": "content_filter"}}'))
    assert isinstance(raised.value, PromptRefused) is prompts
