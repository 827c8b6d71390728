"""The litellm upstream, for real: litellm's openai provider, pointed at a second gateway."""

import openai
import pytest
from openai import OpenAI

from tests.given import table_text

BEHIND = table_text("given/e2e-litellm-behind.yaml")
FRONT = table_text("given/e2e-litellm-front.yaml")
HI = [{"role": "user", "content": "hi there"}]


@pytest.fixture
def client(start_gateway):
    behind = start_gateway(BEHIND)
    front = start_gateway(FRONT.format(url=behind.url), SOME_KEY="unused")
    with OpenAI(base_url=f"{front.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


def test_litellm_reaches_a_provider(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o", messages=HI, temperature=0)
    assert answer.choices[0].message.content == "echo: hi there"
    assert answer.usage.total_tokens > 0
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=HI, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "echo: hi there"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="missing", messages=HI)
