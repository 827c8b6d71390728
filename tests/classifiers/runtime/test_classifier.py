from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from classifiers.model.model import Model, Threshold
from classifiers.runtime.classifier import Classifier
from classifiers.verdict import Abstention, Reading, Verdict

IMAGE = Reading(classifier="safe", texts=(), incomplete=True)
FIRST, SECOND, BETWEEN, AWAY = ([1, 0], [0, 1], [0.7071, 0.7071], [-1, 0])


def rows(*vectors: list[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(vectors, np.float32).reshape(-1, 2), np.full(len(vectors), 10, np.float32)


def judge(classifier: Classifier, vectors: np.ndarray, lengths: np.ndarray, **why: object) -> Verdict:
    among = np.full(len(vectors), len(vectors))
    parts = [classifier.apply(classifier.model.last, vectors, lengths, among)] if len(vectors) else []
    return classifier.verdict(parts, read=len(vectors), **why)


@pytest.fixture
def intent(bare_model: Callable[..., Model]) -> Classifier:
    return Classifier(name="bank", version="v1", model=bare_model("intent", limit=0.6))


@pytest.fixture
def safety(bare_model: Callable[..., Model]) -> Classifier:
    return Classifier(name="safe", version="v1", model=bare_model("safety"))


def test_single_label_reads_the_mean_weighted_by_length(intent: Classifier) -> None:
    vectors, _ = rows(FIRST, SECOND)
    even = judge(intent, vectors, np.array([50, 50], np.float32))
    mostly = judge(intent, vectors, np.array([95, 5], np.float32))
    assert even.abstention is Abstention.UNSURE
    assert mostly.labels == ("first",)


def test_safety_takes_the_worst_window(safety: Classifier) -> None:
    verdict = judge(safety, *rows(AWAY, AWAY, SECOND, AWAY))
    assert verdict.labels == ("second",)
    assert verdict.scores["first"] < 0.1
    assert judge(safety, *rows(AWAY)).labels == ()
    assert judge(safety, *rows(FIRST, SECOND)).labels == ("first", "second")


@pytest.mark.parametrize("why", [{"unread": 3}, {"reading": IMAGE}, {"foreign": "Cyrillic"}])
def test_what_was_not_read_or_not_understood_abstains(intent: Classifier, safety: Classifier, why: dict) -> None:
    kinds = {"unread": Abstention.BROKEN, "reading": Abstention.UNREAD, "foreign": Abstention.LANGUAGE}
    kind = kinds[next(iter(why))]
    one = judge(intent, *rows(FIRST), **why)
    assert (one.labels, one.abstention) == ((), kind)
    harmful = judge(safety, *rows(FIRST), **why)
    assert (harmful.labels, harmful.abstention) == (("first",), kind)
    assert one.windows_unread == why.get("unread", 0)


def test_of_safety_text_what_was_read_may_be_in_doubt_beside_what_was_not(
    intent: Classifier, safety: Classifier
) -> None:
    both = judge(safety, *rows(FIRST), reading=IMAGE, foreign="Cyrillic")
    assert (both.labels, both.abstention, both.doubts) == (("first",), Abstention.UNREAD, (Abstention.LANGUAGE,))
    alone = judge(safety, *rows(FIRST), unread=1)
    assert (alone.doubts, alone.reason) == ((), "1 window was not read")
    every = judge(safety, *rows(FIRST), unread=1, reading=IMAGE, foreign="Cyrillic")
    assert (every.abstention, every.doubts) == (Abstention.BROKEN, (Abstention.LANGUAGE, Abstention.UNREAD))
    one = judge(intent, *rows(FIRST), unread=1, reading=IMAGE, foreign="Cyrillic")
    assert (one.labels, one.abstention, one.doubts) == ((), Abstention.BROKEN, (Abstention.UNREAD,))
    assert judge(intent, *rows(FIRST), unread=2).reason == "2 windows were not read"


def test_a_passage_in_another_language_takes_no_doubt_away_from_the_rest(safety: Classifier) -> None:
    never = {label: Threshold(act=1.1, unsure=0.2) for label in ("first", "second")}
    model = safety.model
    doubting = replace(safety, model=replace(model, stages=(replace(model.last, thresholds=never),)))
    both = judge(doubting, *rows(FIRST), foreign="de")
    assert (both.labels, both.abstention, both.doubts) == ((), Abstention.LANGUAGE, (Abstention.UNSURE,))
    assert judge(doubting, *rows(AWAY), foreign="de").doubts == ()


def test_nothing_to_read(intent: Classifier, safety: Classifier) -> None:
    one, clean = judge(intent, *rows()), judge(safety, *rows())
    assert (one.labels, one.abstention, one.reason) == ((), Abstention.UNSURE, "nothing to read")
    assert (clean.labels, clean.abstention, clean.confidence) == ((), None, 1)
    assert clean.scores == {"first": 0, "second": 0}
    assert judge(safety, *rows(), unread=1).abstention is Abstention.BROKEN
    assert judge(safety, *rows(), reading=IMAGE).abstention is Abstention.UNREAD
    assert judge(safety, *rows(), reading=replace(IMAGE, cut=True)).abstention is Abstention.BROKEN
