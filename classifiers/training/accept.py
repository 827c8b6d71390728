"""Whether a trained model may be published: its policy's tests pass and the goals that the policy states are met."""

from collections.abc import Iterable
from datetime import datetime

from classifiers import selftest
from classifiers.classifier import from_model
from classifiers.encoder.session import Encoder
from classifiers.model import Model
from classifiers.runtime import Runtime
from classifiers.text.languages import Detector
from classifiers.training.goals import Chosen


def test_failures(model: Model, encoders: Iterable[Encoder], now: datetime, detector: Detector) -> list[str]:
    """Run the policy's own tests through the runtime that will serve; a line for each that fails.

    encoders: those of the model's stages. now: what the version will be named for. detector: of languages; one at
    hand need not be opened again.
    """
    policy = model.policy
    runtime = Runtime(encoders, {policy.name: from_model(model)}, cache_windows=0, detector=detector)
    return selftest.failures(model, runtime.classify, policy.name, now=now)


def missed(chosen: Chosen, failures: list[str]) -> tuple[str, ...]:
    """Why the model may not be published; empty where it may."""
    return (*chosen.missed, *(f"tests: {failure}" for failure in failures))
