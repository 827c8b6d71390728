"""What can go wrong here, as one tree:

ClassifierError
├── PolicyError            a policy asks for something that cannot be done (its YAML was fine)
├── EncoderError           an encoder cannot be found, prepared, loaded or trusted
│   └── NotInstalledError  a package that an extra brings is not installed
├── ArtifactError          a stored classifier is missing, incomplete, changed or fails its own tests
└── TrainingError          training stopped
    ├── TeacherError       whoever writes the sentences failed, or would cost more than the budget
    │   └── PromptRefused  it would not answer one prompt, and may answer others
    └── GoalMissed         training ended, but the policy's goals or tests were not met: nothing published

Every message names the file or setting at fault and says how to mend it; none holds a message's text.
"""

from importlib.util import find_spec

_EXTRA_OF = {
    "sklearn": "train",
    "scipy": "train",
    "onnx": "train",
    "sympy": "train",
    "torch": "finetune",
    "transformers": "finetune",
}
"""The extras by the modules that they bring; serving does without."""


class ClassifierError(Exception):
    """The root: anything that this package raises on purpose."""


class PolicyError(ClassifierError):
    """A policy asks for something that cannot be done. places: (path in the policy, what is wrong), where that is
    known."""

    def __init__(self, message: str, places: tuple[tuple[tuple[str, ...], str], ...] = ()) -> None:
        super().__init__(message)
        self.places = places


class EncoderError(ClassifierError):
    """An encoder cannot be found, prepared, loaded or trusted."""


class NotInstalledError(EncoderError):
    """A package that an extra brings is not installed; the message names the extra."""


class ArtifactError(ClassifierError):
    """A stored classifier is missing, incomplete, changed or fails its own tests."""


class TrainingError(ClassifierError):
    """Training stopped before an artifact could be made."""


class TeacherError(TrainingError):
    """Whoever writes the sentences failed, or would cost more than the budget."""


class PromptRefused(TeacherError):
    """Whoever writes the sentences would not answer one prompt; a filter of content, say."""


class GoalMissed(TrainingError):
    """The policy's goals or tests were not met, so nothing was published."""


def missing(*modules: str) -> str:
    """The first of some modules that is not installed, with the line that installs it; empty where all are."""
    name = next((name for name in modules if find_spec(name) is None), None)
    return f"{name} is not installed; run: pip install 'offramp[{_EXTRA_OF[name]}]'" if name else ""


def require(task: str, *modules: str) -> None:
    """Raises NotInstalledError where a module is missing that the task needs; the message names the extra."""
    if lacking := missing(*modules):
        raise NotInstalledError(f"{task}: {lacking}")
