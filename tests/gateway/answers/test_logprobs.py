"""The label's certainty stands where the label does."""

import math

import pytest

from gateway.answers.format import Prediction
from gateway.answers.logprobs import logprobs
from gateway.spelling import LabelNames


@pytest.mark.parametrize(
    ("content", "label", "shown"),
    [
        ("spam", "spam", "spam"),
        ('{"is_spam":"spam"}', "spam", "spam"),
        ('{"spam":"spam"}', "spam", "spam"),
        ('{"labels":["spam"]}', "spam", "spam"),
        ('{"l":"sp\\"am"}', 'sp"am', 'sp\\"am'),
    ],
)
def test_the_value_has_the_certainty_and_the_tokens_spell_the_answer(content: str, label: str, shown: str) -> None:
    prediction = Prediction(
        labels=(label,), names=LabelNames((label, "ham")), confidence=0.7, scores={label: 0.7, "ham": 0.3}
    )
    tokens = logprobs(content, label, prediction, 1, str)
    assert "".join(token.token for token in tokens) == content
    (uncertain,) = [token for token in tokens if token.logprob < 0]
    assert (uncertain.token, uncertain.logprob) == (shown, pytest.approx(math.log(0.7)))
    before = "".join(token.token for token in tokens[: tokens.index(uncertain)])
    assert not content[len(before) + len(shown) + 1 :].startswith(":")
