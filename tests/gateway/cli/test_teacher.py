"""A teacher's client against a real server on loopback."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from classifiers.errors import TeacherError
from classifiers.teacher import Teacher
from gateway.cli.teacher import AskTeacher

Asking = Callable[[int, bytes], AskTeacher]


@pytest.fixture
def asking() -> Iterator[Asking]:
    """asking(status, body): a teacher at a server that always answers so."""
    with ExitStack() as stack:

        def make(status: int, body: bytes) -> AskTeacher:
            class Handler(BaseHTTPRequestHandler):
                def do_POST(self) -> None:
                    self.rfile.read(int(self.headers["content-length"]))
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
