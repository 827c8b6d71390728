"""The task filter of a model: tells a message of the policy from text that holds its words and asks for something else.

Who asks to translate "where is my order?" does not ask where an order is. The heads cannot tell such text by one class
`other` among the labels: it holds the words of a label and more. Linear rows of a filter on the same vectors can: one
for tasks about a message, and one for what people add to a message, which makes no second matter of it. They learn from
prompts about the policy's own messages and from these messages as people send them. Kinds of task are held out whole,
so the figures are of tasks that it has not seen.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Final

import numpy as np

from classifiers import data
from classifiers.encoder.session import embed
from classifiers.evaluation.metrics import share
from classifiers.model.model import TASK, Floats, Model, Stage, TaskFilter
from classifiers.policy import OTHER, Policy
from classifiers.runtime.tasks import units
from classifiers.training.examine import alone
from classifiers.training.fit import ngrams
from classifiers.training.fit.fitted import FittedModel
from classifiers.training.rows import Row
from classifiers.training.write.tasks import about_messages, as_sent, instructions, ordinary
from classifiers.verdict import Reading

_MESSAGES: Final = 6_000
"""The most texts of the policy that a filter learns from."""
_OF_OTHERS: Final = 2
"""In how many tasks of a kind, and in how many ways, the messages to other services are written."""
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
_LIMITS: Final = (0.5, 0.85)
"""The lowest and the highest limit that is chosen by that."""
_ASIDE: Final = 0.3
"""The chance from which a part is something added. From .5 on, messages with a circumstance were lost."""
_SMALL, _LIKE_AN_ASIDE = 0.5, 1.0
"""The share of a label's messages that are like asides, and from which logit on, from which the label is small talk."""
_ALIKE: Final = 0.7
"""Cosine to an aside from which a message to any service is one, too."""
_MEASURED: Final = 150
"""How many tasks, and how many pairs of messages, the whole model is measured on."""

TASKS, PAIRS = "tasks about its messages", "two matters in one message"
"""What the report's setting `answered` counts, the best being none."""
Sections = Mapping[str, Sequence[tuple[str, str]]]
"""(group, text) by what they are; a group is held out together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Material:
    """sections: the texts; labels: of the policy's messages; fold: in which a group is held out."""

    sections: Sections
    labels: Mapping[str, str]
    fold: Mapping[str, int]

    @property
    def texts(self) -> list[str]:
        """All texts, once."""
        return list(dict.fromkeys(text for section in self.sections.values() for _, text in section))


def with_task_filters(policy: Policy, rows: Sequence[Row], fitted: FittedModel, seed: int) -> FittedModel:
    """The model with a filter on each of its encoders' stages, its figures among the settings for the report. A safety
    policy gets none (harm in a task is harm), nor does an n-gram table, which settles nothing. rows: all text that it
    is fitted on."""
    material = None if policy.kind == "safety" or not fitted.encoders else _material(rows, seed)
    if material is None:
        return fitted
    stages: list[Stage] = []
    without: list[Stage] = []
    figures: list[dict[str, Any]] = []
    for stage, encoder in zip(fitted.trained.model.stages, fitted.encoders, strict=True):
        made = unseen = stage
        if stage.name != ngrams.NAME:
            texts = material.texts
            vectors = dict(zip(texts, embed(encoder, texts, tokens=stage.windowing.tokens), strict=True))
            final, first, measured = _fit(material, vectors)
            made, unseen = replace(stage, tasks=final), replace(stage, tasks=first)
            figures.append({"stage": stage.name, **measured})
        stages.append(made)
        without.append(unseen)
    answered = _answered(replace(fitted.trained.model, stages=tuple(without)), fitted, material, seed)
    model = replace(fitted.trained.model, stages=tuple(stages))
    return replace(fitted, trained=replace(fitted.trained, model=model)).with_settings(tasks=figures, answered=answered)


def _material(rows: Sequence[Row], seed: int) -> _Material | None:
    """Text for the filter by the messages of the rows; None where no row has a label."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    labels = {row.text: row.labels[0] for row in rows if row.labels and row.labels != (OTHER,) and row.probe}
    if not labels:
        return None
    messages = chance.sample(list(labels), min(len(labels), _MESSAGES))
    others, joints = ordinary(), data.table("tasks.json")["second"]
    own, added = about_messages(messages, chance), [(aside, aside) for aside in data.table("tasks.json")["asides"]]
    sections = {
        "own tasks": own,
        "tasks": [*own, *about_messages(others, chance, _OF_OTHERS), *instructions() * _BARE],
        "messages": in_units(as_sent(messages, chance)),
        "ordinary": [*in_units(as_sent(others, chance, _OF_OTHERS)), *added],
        "asides": added,
        "instructions": instructions(),
        "requests": [(text, joined) for text in others for joined in (text, chance.choice(joints).format(x=text))],
        "matters": [(text, joined) for text in messages for joined in (text, chance.choice(joints).format(x=text))],
    }
    groups = dict.fromkeys(group for section in sections.values() for group, _ in section)
    return _Material(
        sections=sections, labels=labels, fold={group: place % _FOLDS for place, group in enumerate(groups)}
    )


def in_units(texts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each of (group, text), and its parts, once."""
    return list(dict.fromkeys((group, unit) for group, text in texts for unit in units(text)))


def _fit(material: _Material, vectors: Mapping[str, Floats]) -> tuple[TaskFilter, TaskFilter, dict[str, Any]]:
    """The filter, one that was fitted without the first fold, and what filters do with text that they do not know."""
    held: dict[str, list[Floats]] = {"tasks": [], "messages": []}
    filters = [_filter(material, vectors, without=fold) for fold in range(_FOLDS)]
    for fold, made in enumerate(filters):
        for name, chances in held.items():
            texts = [text for group, text in material.sections[name] if material.fold[group] == fold]
            if texts:
                chances.append(made.chances(np.stack([vectors[text] for text in texts])))
    tasks, own = (np.concatenate(chances) for chances in held.values())
    limit = float(np.clip(np.quantile(own[:, TASK], 1 - _MOST_LOST), *_LIMITS))
    limits = np.array([limit, _ASIDE], np.float32)
    caught, lost = (chances[:, TASK] > limit for chances in (tasks, own))
    measured = {
        "limit": round(limit, 5),
        **share("caught", int(caught.sum()), len(caught)),
        **share("lost", int(lost.sum()), len(lost)),
    }
    return replace(_filter(material, vectors), limits=limits), replace(filters[0], limits=limits), measured


def _filter(material: _Material, vectors: Mapping[str, Floats], without: int | None = None) -> TaskFilter:
    """Fitted on the texts of all folds, or of all but one."""

    def read(name: str) -> Floats:
        texts = [vectors[text] for group, text in material.sections[name] if material.fold[group] != without]
        return np.stack(texts) if texts else np.zeros((0, len(next(iter(vectors.values())))), np.float32)

    added, requests = read("asides"), read("requests")
    requests = requests[(requests @ added.T).max(axis=1) <= _ALIKE]
    asks = [(read("instructions"), 0.33), (requests, 0.33)]
    small = _small(material, vectors, *_row([(added, 1.0)], asks))
    own = [vectors[text] for message, text in material.sections["matters"] if material.labels[message] not in small]
    asks += [(np.stack(own), 0.34)] if own else []
    messages = read("messages")
    fitted = [
        _row([(read("tasks"), 1.0)], [(messages, _OWN), (read("ordinary"), 1 - _OWN)]),
        _row([(added, 1.0)], asks),
    ]
    return TaskFilter(
        weights=np.stack([weights for weights, _ in fitted]),
        bias=np.array([bias for _, bias in fitted], np.float32),
        limits=np.full(len(fitted), 0.5, np.float32),
        small=small,
    )


def _small(material: _Material, vectors: Mapping[str, Floats], weights: Floats, bias: float) -> tuple[str, ...]:
    """The labels that are small talk, by a row that tells asides from what asks for something."""
    alike: dict[str, list[bool]] = {}
    for message, text in material.sections["matters"]:
        if message == text:
            alike.setdefault(material.labels[message], []).append(bool(vectors[text] @ weights + bias > _LIKE_AN_ASIDE))
    return tuple(label for label, each in alike.items() if fmean(each) >= _SMALL)


def _row(are: Sequence[tuple[Floats, float]], are_not: Sequence[tuple[Floats, float]]) -> tuple[Floats, float]:
    """A row's weights and bias. are, are_not: (n, dimensions) of texts, and what they weigh together. Without text that
    is one, nothing is."""
    from sklearn.linear_model import LogisticRegression

    parts = [(texts, share, is_one) for side, is_one in ((are, True), (are_not, False)) for texts, share in side]
    parts = [part for part in parts if len(part[0])]
    if not any(is_one for _, _, is_one in parts):
        return np.zeros(parts[0][0].shape[1], np.float32), -60.0
    vectors = np.concatenate([texts for texts, _, _ in parts])
    truth = np.concatenate([np.full(len(texts), is_one) for texts, _, is_one in parts])
    weights = np.concatenate([np.full(len(texts), share / len(texts)) for texts, share, _ in parts])
    weights *= len(vectors) / weights.sum()
    fitted = LogisticRegression(C=_STRENGTH, max_iter=2_000).fit(vectors, truth, weights)
    return fitted.coef_[0].astype(np.float32), float(fitted.intercept_[0])


def _answered(model: Model, fitted: FittedModel, material: _Material, seed: int) -> dict[str, dict[str, int]]:
    """How many texts the whole model names a label of that asks for something else, or for two things: tasks about its
    messages whose kinds the model's filters do not know, and pairs of its messages, or of one and another request."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    tasks = [text for group, text in material.sections["own tasks"] if material.fold[group] == 0]
    labels, ways = material.labels, data.table("tasks.json")["joined"]
    small = {name for stage in model.stages if stage.tasks for name in stage.tasks.small}
    matters = [text for text, label in labels.items() if label not in small] or list(labels)
    drawn = zip(chance.choices(matters, k=_MEASURED), chance.choices([*matters, *ordinary()], k=_MEASURED), strict=True)
    pairs = [chance.choice(ways).format(x=one, y=other) for one, other in drawn if labels[one] != labels.get(other)]
    served = alone(model, fitted.encoders)
    found: dict[str, dict[str, int]] = {}
    for name, texts in ((TASKS, chance.sample(tasks, min(len(tasks), _MEASURED))), (PAIRS, pairs)):
        verdicts = served.classify([Reading(classifier=model.policy.name, texts=(text,)) for text in texts])
        named = sum(verdict.labels not in {(), (OTHER,)} for verdict in verdicts)
        found[name] = {"texts": len(texts), "answered": named}
    return found
