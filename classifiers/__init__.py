"""Offramp's classifiers: a policy is trained into an artifact, and an artifact gives verdicts."""

from importlib import import_module
from typing import Any

from classifiers.policy import Policy
from classifiers.runtime.runtime import Runtime
from classifiers.verdict import Abstention, Passage, Reading, Verdict
from classifiers.worker import Worker

load = Runtime.load

__all__ = ["Abstention", "Passage", "Policy", "Reading", "Runtime", "Verdict", "Worker", "load", "train"]


def __getattr__(name: str) -> Any:
    """`train` brings scikit-learn with it, so it is imported when it is asked for."""
    if name == "train":
        return import_module("classifiers.training.run").train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
