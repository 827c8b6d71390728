"""A trained classifier as data: what training makes, what an artifact stores, what the runtime applies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from classifiers.policy import Policy

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

MAIN = "main"
"""The name of a model's stage where it has but one."""
OWN = "own:"
"""How the source of an encoder begins that lies in the artifact."""


def _normal(weights: Floats) -> Floats:
    """Weights without those that decayed below the normal numbers: with them a product takes 35 times as long."""
    return np.where(np.abs(weights) < np.finfo(np.float32).tiny, np.float32(0), weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenLayer:
    """inputs = max(0, embeddings @ weights.T + bias). weights: (units, dimensions) float32; bias: (units,) float32."""

    weights: Floats
    bias: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", _normal(self.weights))


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearLayer:
    """outputs = embeddings @ weights.T + bias. weights: (outputs, dimensions) float32; bias: (outputs,) float32."""

    weights: Floats
    bias: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """logits = inputs @ weights.T + bias, where the inputs are the embeddings or what a hidden layer makes of them.

    classes: the policy's labels in order; single-label kinds may have `other` as a last class.
    weights: (outputs, inputs) float32; bias: (outputs,) float32. Outputs are the classes. With a hidden layer, which
    multi-label kinds may have, a last output may say whether any label holds; linear: with a hidden layer, logits of
    the classes that are added to these.
    """

    classes: tuple[str, ...]
    weights: Floats
    bias: Floats
    hidden: HiddenLayer | None = None
    linear: LinearLayer | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", _normal(self.weights))

    @property
    def dimensions(self) -> int:
        return int((self.weights if self.hidden is None else self.hidden.weights).shape[1])

    def logits(self, vectors: Floats) -> Floats:
        """(n, classes). vectors: (n, dimensions) of length 1. Where an output says whether any label holds, the
        logarithm of the labels' summed odds is just that."""
        if self.hidden is None:
            return vectors @ self.weights.T + self.bias
        inputs = np.maximum(vectors @ self.hidden.weights.T + self.hidden.bias, np.float32(0))
        outputs = inputs @ self.weights.T + self.bias
        labels, holds = np.split(outputs, [len(self.classes)], axis=1)
        if self.linear is not None:
            added = vectors @ self.linear.weights.T + self.linear.bias
            labels, holds = labels + added, holds + np.logaddexp.reduce(added, axis=1, keepdims=True)
        if not holds.size:
            return labels
        shifted: Floats = labels + (holds - np.logaddexp.reduce(labels, axis=1, keepdims=True))
        return shifted


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """logits → probabilities. Single-label: softmax(scale[0] * logits + offset); multi-label:
    sigmoid(scale * logits + offset) for each label.

    scale: (1,) or (classes,) float32; offset: (classes,) float32. whole: multi-label, (scale, offset) by which the
    logarithm of the summed odds says how likely it is that any label holds: the labels' probabilities are then
    brought to that height together, the highest to just that. chances: multi-label, how many times the logarithm of
    the number of a text's windows is taken from the log-odds of each, since so many windows have so many chances (0..1;
    windows are alike, so it is less than all). Of the windows `few_chances` cost nothing, and `most_chances` count.
    """

    scale: Floats
    offset: Floats
    whole: tuple[float, float] | None = None
    chances: float = 0.0
    few_chances: int = 1
    most_chances: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Single-label: a label is named from `act` on. Multi-label: from `act` on the label holds; from `unsure` (<= act)
    up to it lies the grey band, where the verdict abstains as unsure. Probabilities 0..1; either may be `NEVER`'s."""

    act: Annotated[float, Meta(ge=0, le=2)]
    unsure: Annotated[float, Meta(ge=0, le=2)]


NEVER = Threshold(act=2.0, unsure=2.0)
"""Of a label that is never named: no probability is as high, while what is nearly certain is 1 in 32 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Texts of more than `above` characters and up to `up_to` (None: however many), after normalising, and in one of
    the policy's languages (empty: in whichever)."""

    above: int
    up_to: int | None
    language: str = ""

    def holds(self, chars: int, language: str) -> bool:
        """Whether a text is one of them. language: of the policy's, or empty."""
        return self.above < chars and (self.up_to is None or chars <= self.up_to) and self.language in {"", language}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """Where the largest logits of a policy's own text lie: hardly any is below `level`, and half of them are more than
    four times `width` above it."""

    level: float
    width: Annotated[float, Meta(gt=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Novelty:
    """How unlike training a text is, 0..1; above `limit` it is novel. usual: what the largest logit of a label is held
    against, 0.5 at its level; without it novelty is 1 - cosine to the nearest of `prototypes`. prototypes: (n,
    dimensions) float32, unit length; limit: 0..2 (2 switches it off)."""

    prototypes: Floats
    limit: float
    usual: Usual | None = None


TASK, ASIDE = range(2)
"""The rows of a task filter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Tells a message of the policy from text that holds its words and asks for something else.

    A row for each of TASK (translate it, sort it, answer it) and ASIDE (what people add to a message). weights: (2,
    dimensions) float32; bias: (2,); limits: (2,) the chances 0..1 above which a text is taken for one. small: labels
    that are small talk themselves, such as a greeting.
    """

    weights: Floats
    bias: Floats
    limits: Floats
    small: tuple[str, ...] = ()

    def chances(self, vectors: Floats) -> Floats:
        """(n, 2) how likely each text is one, 0..1. vectors: (n, dimensions) of length 1."""
        odds = np.clip(vectors @ self.weights.T + self.bias, -60, 60)
        return np.asarray(1 / (1 + np.exp(-odds)), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """How much nearness to single training sentences adds to the head's logits (`heads.nearest`). The novelty's
    prototypes serve as exemplars. owners: (n,) int32, ascending: the class of each; every class has at least one.
    sharpness: how much nearer than the rest an exemplar must be to count; share: 0..1."""

    owners: NDArray[np.int32]
    sharpness: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Windowing:
    """How long text is cut: `tokens` a window (special tokens included), `overlap` shared by neighbours. units: whether
    a text of several sentences, lines, quoted or bracketed parts is read in these as well, each by itself."""

    tokens: Annotated[int, Meta(ge=8)] = 128
    overlap: Annotated[int, Meta(ge=0)] = 16
    units: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderId:
    """Which encoder a head was trained on: its source string, the sha256 of the prepared graph and of the tokenizer,
    and how a text's vector is made of its tokens'. The latter two are empty in artifacts of before they were stored.
    The source `own:NAME` is an encoder that the artifact itself holds, in `encoders/NAME/`."""

    source: str
    sha256: str
    tokenizer: str = ""
    pooling: str = ""

    @property
    def own(self) -> str:
        """The name of the artifact's own encoder; empty for one that artifacts share."""
        return self.source.removeprefix(OWN) if self.source.startswith(OWN) else ""

    @property
    def is_guard(self) -> bool:
        """Whether it gives log-odds of labels instead of vectors."""
        return self.pooling == "odds"

    def fits(self, other: "EncoderId") -> bool:
        """Whether another, by whatever source, computes the same, as far as is known of this one."""
        known = [(self.sha256, other.sha256), (self.tokenizer, other.tokenizer), (self.pooling, other.pooling)]
        return all(mine in {"", theirs} for mine, theirs in known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """An encoder, or a guard, and all that stands on it: enough to judge a text.

    name: of the stage, by which verdicts, metrics and files call it. windowing: how its encoder reads long text.
    system_tokens: how much of a system prompt it reads beside each window; 0 where it reads none.
    earlier: how much the stage before counts beside this one in what came from it, 0..1; of several labels it may be
    one share for each.
    bands: texts whose thresholds are others; no two hold the same text (`classifiers.runtime.thresholds`).
    tasks: the filter of tasks about a message; None of safety.
    """

    name: str = MAIN
    encoder: EncoderId
    head: Head
    calibration: Calibration
    thresholds: dict[str, Threshold]
    novelty: Novelty
    nearest: Nearest | None = None
    windowing: Windowing = Windowing()
    earlier: float | tuple[float, ...] = 0.0
    system_tokens: int = 0
    bands: Mapping[Band, dict[str, Threshold]] = field(default_factory=dict)
    tasks: TaskFilter | None = None


def tag_count(slots: int) -> int:
    """How many tags so many slots have: outside, and two of each."""
    return 1 + 2 * slots


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagger:
    """Which words of a text belong to a slot, by what the last stage's encoder makes of their first tokens. logits =
    scale * (states @ weights.T + bias), over tags as `classifiers.slots.tags` numbers them. slots: the policy's, in
    order; weights: (tags, dimensions) float32; bias: (tags,) float32."""

    slots: tuple[str, ...]
    weights: Floats
    bias: Floats
    scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One trained classifier: stages that are asked in order until one is certain; the last decides or abstains.

    How a stage settles a text: `classifiers.runtime.cascade`. A policy whose labels are all told by patterns needs no
    stage.
    tagger: where the policy has slots.
    held_out: (confidence, weight, wrong) of texts that it was measured on by fits without them, by rising confidence:
    how sure it is of what it would say, for how many texts it stands, and whether that would be wrong. Of safety, how
    sure it is of its likeliest label, and whether the text is harmful.
    Raises ValueError where a stage is needed and there is none, or two have one name.
    """

    policy: Policy
    stages: tuple[Stage, ...]
    tagger: Tagger | None = None
    held_out: tuple[tuple[float, float, bool], ...] = ()

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if bool(names) != bool(self.policy.learned) or len(names) != len(set(names)):
            raise ValueError(f"a model needs stages with names of their own, not {names}")

    @property
    def last(self) -> Stage:
        """The stage that decides what no other has settled. Raises IndexError where there is none."""
        return self.stages[-1]

    @property
    def encoding(self) -> Stage:
        """The last stage whose encoder makes vectors of texts, not odds of labels. Raises IndexError as `last`."""
        return next((stage for stage in reversed(self.stages) if not stage.encoder.is_guard), self.last)

    @property
    def reads_system(self) -> bool:
        """Whether any stage reads a system prompt beside a text."""
        return any(stage.system_tokens for stage in self.stages)

    def stage(self, name: str) -> Stage:
        """The stage of that name, else the last one (a verdict on nothing names none)."""
        return next((stage for stage in self.stages if stage.name == name), self.last)
