"""What can go wrong here, as one tree:

ClassifierError
├── PolicyError            a policy asks for something that cannot be done (its YAML was fine)
├── EncoderError           an encoder cannot be found, prepared, loaded or trusted
│   └── NotInstalledError  it comes with a package that is not there
├── ArtifactError          a stored classifier is missing, incomplete, changed or fails its own tests
└── TrainingError          training stopped
    ├── TeacherError       whoever writes the sentences failed, or would cost more than the budget
    │   └── PromptRefused  it would not answer one prompt, and may answer others
    └── GoalMissed         training ended, but the policy's goals or tests were not met: nothing published

Every message names the file or setting at fault and says how to mend it; none holds a message's text.
"""


class ClassifierError(Exception):
    """The root: anything that this package raises on purpose."""


class PolicyError(ClassifierError):
    """A policy asks for something that cannot be done."""


class EncoderError(ClassifierError):
    """An encoder cannot be found, prepared, loaded or trusted."""


class NotInstalledError(EncoderError):
    """An encoder comes with a package that is not installed."""


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
