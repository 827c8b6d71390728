"""The task filter of a model: tells a task about a message from the message itself.

Who asks to translate "where is my order?" does not ask where an order is. The heads cannot tell such text by one class
`other` among the labels: it holds the words of a label and more. A filter of its own, linear on the same vectors, can.
It learns from prompts about the policy's own messages and from these messages as people send them. Kinds of task are
held out whole, so the figures are of tasks that it has not seen.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.session import Encoder, embed
from classifiers.evaluation.metrics import share
from classifiers.model.model import Floats, Stage, TaskFilter
from classifiers.policy import OTHER, Policy
from classifiers.runtime.tasks import units
from classifiers.training.fit import ngrams
from classifiers.training.fit.fitted import FittedModel
from classifiers.training.rows import Row
from classifiers.training.write.tasks import about_messages, as_sent, instructions, ordinary

_MESSAGES: Final = 6_000
"""The most texts of the policy that a filter learns from."""
_FOLDS: Final = 4
_STRENGTH: Final = 3.0  # scikit-learn's C
_OWN: Final = 0.7
"""How much the policy's own messages weigh among all messages. At no message lost, tasks missed fall from 53 to 6 of
860 against messages that weigh alike."""
_BARE: Final = 3
"""How often an instruction without a message counts: a text is read in its parts, too."""
_MOST_LOST: Final = 0.01
"""The share of the policy's own held-out messages that may be taken for tasks. At 2 %, and with 1,500 messages, 3.1,
4.0 and 2.9 % of the test messages of three sets were; now 1.6, 2.9 and 1.7 % are. The share of tasks that is missed is
the same or lower."""
_LIMITS: Final = (0.5, 0.75)
"""The lowest and the highest limit that is chosen by that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Texts:
    """tasks: (n,) which texts are tasks; own: (n,) which are the policy's own messages; folds: (n,) in which a text is
    held out."""

    texts: Sequence[str]
    tasks: NDArray[np.bool_]
    own: NDArray[np.bool_]
    folds: NDArray[np.intp]


def with_task_filters(policy: Policy, rows: Sequence[Row], fitted: FittedModel, seed: int) -> FittedModel:
    """The model with a filter on each of its encoders' stages, its figures among the settings for the report.

    A safety policy gets none (harm in a task is harm), nor does an n-gram table, which settles nothing. rows: all text
    that it is fitted on.
    """
    texts = None if policy.kind == "safety" or not fitted.encoders else _texts(rows, seed)
    if texts is None:
        return fitted
    stages: list[Stage] = []
    figures: list[dict[str, Any]] = []
    for stage, encoder in zip(fitted.trained.model.stages, fitted.encoders, strict=True):
        if stage.name == ngrams.NAME:
            stages.append(stage)
            continue
        made, measured = _fit(texts, _vectors(encoder, stage, texts.texts))
        stages.append(replace(stage, tasks=made))
        figures.append({"stage": stage.name, **measured})
    model = replace(fitted.trained.model, stages=tuple(stages))
    return replace(fitted, trained=replace(fitted.trained, model=model)).with_settings(tasks=figures)


def _texts(rows: Sequence[Row], seed: int) -> _Texts | None:
    """Tasks about the messages of the rows, and these messages; None where no row has a label."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    own = list(dict.fromkeys(row.text for row in rows if row.labels and row.labels != (OTHER,) and row.probe))
    if not own:
        return None
    messages = chance.sample(own, min(len(own), _MESSAGES))
    others = ordinary()
    tasks = [*about_messages(messages, chance), *about_messages(others, chance)]
    tasks += [(kind, task) for kind, task in instructions() for _ in range(_BARE)]
    sent, foreign = in_units(as_sent(messages, chance)), in_units(as_sent(others, chance))
    texts = [*tasks, *sent, *foreign]
    # all prompts of a kind of task, and all texts of a message, are held out together
    folds = {group: place % _FOLDS for place, group in enumerate(dict.fromkeys(group for group, _ in texts))}
    return _Texts(
        texts=[text for _, text in texts],
        tasks=np.arange(len(texts)) < len(tasks),
        own=np.repeat([False, True, False], [len(tasks), len(sent), len(foreign)]),
        folds=np.array([folds[group] for group, _ in texts], np.intp),
    )


def in_units(texts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each of (group, text), and its parts, once."""
    return list(dict.fromkeys((group, unit) for group, text in texts for unit in units(text)))


def _vectors(encoder: Encoder, stage: Stage, texts: Sequence[str]) -> Floats:
    return embed(encoder, texts, tokens=stage.windowing.tokens)


def _fit(texts: _Texts, vectors: Floats) -> tuple[TaskFilter, dict[str, Any]]:
    """The filter, and what it does with text that it was not fitted on."""
    chances = np.empty(len(texts.texts), np.float32)
    for fold in range(_FOLDS):
        held = texts.folds == fold
        chances[held] = _filter(texts, vectors, ~held).chances(vectors[held])
    tasks, sent = chances[texts.tasks], chances[texts.own]
    limit = float(np.clip(np.quantile(sent, 1 - _MOST_LOST), *_LIMITS))
    measured = {
        "limit": round(limit, 5),
        **share("caught", int((tasks > limit).sum()), len(tasks)),
        **share("lost", int((sent > limit).sum()), len(sent)),
    }
    return replace(_filter(texts, vectors, np.ones(len(vectors), bool)), limit=limit), measured


def _filter(texts: _Texts, vectors: Floats, used: NDArray[np.bool_]) -> TaskFilter:
    """Fitted on the texts that are used. used: (n,)."""
    from sklearn.linear_model import LogisticRegression

    weights = np.zeros(len(used))
    for members, weight in ((texts.tasks, 1.0), (texts.own, _OWN), (~texts.tasks & ~texts.own, 1 - _OWN)):
        here = members & used
        weights[here] = weight / here.sum()
    weights *= used.sum() / 2
    fitted = LogisticRegression(C=_STRENGTH, max_iter=2_000).fit(vectors[used], texts.tasks[used], weights[used])
    return TaskFilter(weights=fitted.coef_[0].astype(np.float32), bias=float(fitted.intercept_[0]), limit=0.5)
