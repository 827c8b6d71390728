from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.encoder.session import Encoder
from classifiers.model.model import Model
from classifiers.policy import Policy
from classifiers.runtime import run
from classifiers.runtime.classifier import from_model
from classifiers.runtime.run import Passages
from classifiers.runtime.runtime import Runtime
from classifiers.runtime.windows import Recent
from classifiers.verdict import Passage, Reading

MAIL, CARD = "write to joe@example.com", "4111 1111 1111 1111"
LABELS = {
    "contact": {"means": "an address", "patterns": ["email", "phone"]},
    "payment": {"means": "a card", "patterns": "card"},
}


@pytest.fixture
def data(make_policy: Callable[..., Policy]) -> Policy:
    """A policy `data` whose labels are all told by patterns."""
    return Policy.model_validate(
        {"version": 1, "name": "data", "kind": "safety", "about": "messages", "labels": LABELS, "languages": "en"}
    )


@pytest.fixture
def runtime(data: Policy) -> Runtime:
    return Runtime((), {"data": from_model(Model(policy=data, stages=()), "v1")})


def ask(runtime: Runtime, *texts: str, incomplete: bool = False):
    (verdict,) = runtime.classify([Reading(classifier="data", texts=texts, incomplete=incomplete)])
    return verdict


def test_labels_by_pattern_need_no_encoder_and_point_at_what_they_found(runtime: Runtime) -> None:
    verdict = ask(runtime, "hello", f"{MAIL}, {CARD}")
    assert (verdict.labels, verdict.confidence, verdict.abstention) == (("contact", "payment"), 1.0, None)
    assert verdict.scores == {"contact": 1.0, "payment": 1.0}
    assert verdict.spans == (
        Passage(label="contact", kind="email", start=9, end=24, text=1),
        Passage(label="payment", kind="card", start=26, end=45, text=1),
    )
    assert (verdict.classifier, verdict.version, verdict.stage, verdict.windows_read) == ("data", "v1", "", 0)


def test_a_text_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[str] = []
    find = run.find
    monkeypatch.setattr(run, "find", lambda text, *rest: searched.append(text) or find(text, *rest))
    told = Passages()
    first = told.find([MAIL, "hello"], {"email": "contact"})
    assert told.find(["hello", MAIL], {"email": "contact"}) == (replace(first[0], text=1),)
    assert searched == [MAIL, "hello"]
    assert told.find([MAIL], {"card": "payment"}) == ()
    assert searched == [MAIL, "hello", MAIL]
    assert told.find([CARD], {}) == ()
    assert searched == [MAIL, "hello", MAIL]


def test_a_mixed_policy_learns_the_rest(encoder: Encoder, make_model: Callable[..., Model]) -> None:
    model = make_model("safety", limit=2.0)
    labels = {"payment": {"means": "a card", "patterns": "card"}, **model.policy.model_dump(by_alias=True)["labels"]}
    whole = Policy.model_validate({**model.policy.model_dump(by_alias=True), "labels": labels})
    runtime = Runtime([encoder], {"data": from_model(replace(model, policy=whole))})
    verdict = ask(runtime, f"I will kill you, {CARD}")
    assert verdict.labels[0] == "payment"
    assert "violence" in verdict.labels
    assert list(verdict.scores) == ["payment", "violence", "jailbreak"]
    assert [span.kind for span in verdict.spans] == ["card"]
    alone = ask(runtime, "I will kill you")
    assert (alone.labels, alone.scores["payment"], alone.stage) == (("violence",), 0.0, "main")
    assert alone.confidence < 1
    assert ask(runtime, "").reason == "nothing to read"


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 7))))
def test_weight_never_exceeds_the_capacity(puts: list[tuple[int, int]]) -> None:
    recent: Recent[int, int] = Recent(10, lambda key, value: value)
    for key, value in puts:
        recent.put(key, value)
        assert recent.weight == sum(recent._entries.values()) <= 10
        assert recent.get(key) == value
