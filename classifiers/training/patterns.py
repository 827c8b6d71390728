"""Policies with labels found by patterns: what is left to learn, and a model where nothing is."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from classifiers.errors import PolicyError
from classifiers.model.model import Model
from classifiers.policy import Policy
from classifiers.training.fit.fitted import FittedModel, MeasuredModel
from classifiers.training.rows import Row
from classifiers.training.thresholds import ChosenThresholds


def check(policy: Policy) -> None:
    """Raises PolicyError where a single-label policy has patterns, or a pattern stands for two labels."""
    if policy.patterns and not policy.multi_label:
        raise PolicyError(f"{policy.name}: patterns: are for policies of kind safety, which may name several labels")
    if sum(len(label.patterns) for label in policy.labels.values()) > len(policy.patterns):
        raise PolicyError(f"{policy.name}: a pattern can stand for one label only")


def to_learn(policy: Policy) -> Policy:
    """The policy with only the labels that are learned."""
    if not policy.patterns:
        return policy
    return policy.model_copy(update={"labels": {name: policy.labels[name] for name in policy.learned}})


def without_patterns(policy: Policy, rows: Sequence[Row]) -> list[Row]:
    """Rows with only the labels that are learned; a text with nothing but a card number is harmless then."""
    if not policy.patterns:
        return list(rows)
    patterns = set(policy.labels).difference(policy.learned)
    return [replace(row, labels=tuple(label for label in row.labels if label not in patterns)) for row in rows]


def whole(policy: Policy, made: FittedModel) -> FittedModel:
    """The trained model with all of the policy's labels."""
    if not policy.patterns:
        return made
    model = replace(made.trained.model, policy=policy)
    return replace(made, trained=replace(made.trained, model=model))


def nothing_learned(policy: Policy) -> FittedModel:
    """The model of a policy whose labels are all found by patterns: it has no stages and no encoder."""
    trained = MeasuredModel(
        model=Model(policy=policy, stages=()),
        chosen=ChosenThresholds(thresholds={}, goals=[]),
        rows=np.zeros(0, np.intp),
        read=(),
        verdicts=(),
        used=np.zeros(0, np.bool_),
        settings={"head": "none; all labels are told by patterns", "calibrated_on": "nothing"},
    )
    return FittedModel(trained=trained, encoders=(), samples=())
