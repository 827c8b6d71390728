"""Offramp's classifiers: a policy is trained into an artifact, and an artifact gives verdicts.

Each name is imported when it is first asked for, so that one module of the package does not bring all others.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from classifiers.policy import Policy
    from classifiers.runtime.runtime import Runtime
    from classifiers.training.run import train
    from classifiers.verdict import Abstention, Passage, Reading, Verdict
    from classifiers.worker import Worker

    load = Runtime.load

__all__ = ["Abstention", "Passage", "Policy", "Reading", "Runtime", "Verdict", "Worker", "load", "train"]

_MODULES = {
    "Policy": "classifiers.policy",
    "Runtime": "classifiers.runtime.runtime",
    "Worker": "classifiers.worker",
    "train": "classifiers.training.run",
} | dict.fromkeys(("Abstention", "Passage", "Reading", "Verdict"), "classifiers.verdict")


def __getattr__(name: str) -> Any:
    if name == "load":
        return import_module(_MODULES["Runtime"]).Runtime.load
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
