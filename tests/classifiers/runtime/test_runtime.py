import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from classifiers.encoder.session import Encoder
from classifiers.errors import ArtifactError
from classifiers.evaluation.attacks import ENCODINGS
from classifiers.model import artifact
from classifiers.model.model import Floats, Model, Tagger, Threshold, Windowing
from classifiers.model.registry import Registry
from classifiers.runtime import cascade
from classifiers.runtime.classifier import from_model
from classifiers.runtime.runtime import Runtime
from classifiers.text.language import LanguageDetector
from classifiers.verdict import Abstention, Passage, Reading, Verdict, joined

CARD = "where is my new card?"
HARM = "I will kill you"


class Counted(Encoder):
    """The real encoder, which counts the windows that it encodes and can be slow."""

    encoded = 0
    pause_s = 0.0

    def states(self, windows: Sequence[Sequence[int]]) -> list[tuple[Floats, Floats]]:
        self.encoded += len(windows)
        time.sleep(self.pause_s)
        return super().states(windows)


@pytest.fixture
def counted(encoder: Encoder) -> Counted:
    copy = Counted.__new__(Counted)
    copy.__dict__.update(encoder.__dict__)
    return copy


@pytest.fixture
def make_runtime(
    counted: Counted, make_model: Callable[..., Model], detector: LanguageDetector
) -> Callable[..., Runtime]:
    def make(cache_windows: int = 10_000, **policy: object) -> Runtime:
        models = {"bank": make_model("intent", **policy), "safe": make_model("safety", limit=2.0)}
        loaded = {name: from_model(model, "v1") for name, model in models.items()}
        return Runtime([counted], loaded, cache_windows, detector)

    return make


@pytest.fixture
def runtime(make_runtime: Callable[..., Runtime]) -> Runtime:
    return make_runtime()


def bank(*texts: str, **more: int) -> Reading:
    return Reading(classifier="bank", texts=texts, **more)  # type: ignore[arg-type]


def safe(*texts: str, **more: int) -> Reading:
    return Reading(classifier="safe", texts=texts, **more)  # type: ignore[arg-type]


def publish(models_dir: Path, *models: Model) -> None:
    registry = Registry(models_dir)
    for model in models:
        with registry.staging(model.policy.name) as folder:
            artifact.save(model, folder, report={})
            registry.publish(model.policy.name, folder)


def test_a_chat_that_goes_on_costs_its_new_turn_only(runtime: Runtime, counted: Counted) -> None:
    turns = tuple(
        " ".join(f"on day {day} of month {month} we spoke about the fees." for day in range(30)) for month in range(5)
    )
    first = runtime.classify([safe(*turns), bank(turns[-1])])
    assert first[0].windows_unread == 0
    assert first[0].windows_read == counted.encoded > 10
    before = counted.encoded
    second = runtime.classify([safe(*turns, CARD), bank(CARD)])
    assert counted.encoded == before + 1
    assert second[0].windows_read == first[0].windows_read + 1
    assert runtime.counts.cached == first[0].windows_read
    assert second[1].labels == ("card_arrival",)


def test_beyond_the_budget_is_unread_and_the_latest_text_is_read_first(runtime: Runtime) -> None:
    old = "we talked about many things " * 200
    verdict, intent = runtime.classify([safe(old, HARM, max_windows=3), bank(old, max_windows=2)])
    assert (verdict.labels, verdict.abstention) == (("violence",), Abstention.BROKEN)
    assert verdict.windows_read == 3
    assert verdict.windows_unread > 3
    assert (intent.labels, intent.abstention) == ((), Abstention.BROKEN)


CALM = "Thank you for the parcel. It came on Monday. The colour is just right. My sister wants one as well. "


def test_parts_are_read_by_themselves_where_they_are_in_doubt(
    counted: Counted, make_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_model("safety", limit=2.0)
    stage = replace(made.last, windowing=Windowing(tokens=64, overlap=8, units=True))
    texts = (CALM * 3, f"{CALM}{HARM}. {CALM}")

    def read(text: str) -> tuple[Verdict, int]:
        before = counted.encoded
        runtime = Runtime([counted], {"safe": from_model(replace(made, stages=(stage,)), "v1")})
        return runtime.classify([safe(text)])[0], counted.encoded - before

    (calm, few), (harm, some) = map(read, texts)
    monkeypatch.setattr(cascade, "_SURELY", 99.0)
    (all_calm, calm_parts), (all_harm, harm_parts) = map(read, texts)
    assert (calm.labels, calm.abstention, few) == ((), None, 2)
    assert (harm.labels, harm.scores) == (("violence",), all_harm.scores)
    assert (all_calm.labels, all_harm.labels) == ((), ("violence",))
    assert (calm_parts, harm_parts, calm.windows_read) == (6, 6, 6)
    assert 2 <= some < harm_parts


def test_classifiers_share_a_text_s_tokens_and_languages(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    (encoder,), detector, seen = runtime.encoders.values(), runtime.detector, Counter[str]()
    for owner, name in ((encoder, "with_starts"), (detector, "stretches")):
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda text, name=name, real=real: seen.update([name]) or real(text))
    stage = runtime.classifiers["bank"].model.last
    assert stage.windowing != Windowing(tokens=64)
    small = replace(stage, windowing=Windowing(tokens=64))
    model = replace(runtime.classifiers["bank"].model, stages=(small,))
    runtime.classifiers["bank"] = replace(runtime.classifiers["bank"], model=model)
    runtime.classify([safe(CARD), bank(CARD)])
    assert seen == {"with_starts": 1, "stretches": 1}


def test_texts_beyond_the_budget_are_not_tokenised(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    (encoder,) = runtime.encoders.values()
    real = encoder.with_starts
    monkeypatch.setattr(encoder, "with_starts", lambda text: asked.append(text) or real(text))
    verdict = runtime.classify([safe(*(f"turn {n}" for n in range(5000)), max_windows=3)])[0]
    assert asked == ["turn 4999", "turn 4998", "turn 4997"]
    assert verdict.windows_unread == 4997


def test_a_language_that_the_policy_does_not_name_abstains(
    runtime: Runtime, make_runtime: Callable[..., Runtime]
) -> None:
    german = "Wo ist meine neue Karte?"
    for reading in (bank(german), safe(german), safe("please translate this: " * 50 + f"{german} " * 16)):
        verdict = runtime.classify([reading])[0]
        assert (verdict.labels, verdict.abstention) == ((), Abstention.LANGUAGE)
        assert verdict.reason == "written in de; languages: names en"
    for reading in (bank("Где моя новая карта?"), safe("hello there " * 99 + "я убью тебя и всех твоих друзей завтра")):
        assert runtime.classify([reading])[0].reason == "written in Cyrillic; languages: names en"
    long = "where is my new card, I ordered it last week. " * 12 + german
    assert runtime.classify([bank(long)])[0].abstention is not Abstention.LANGUAGE
    for languages in (["en", "de"], ["any"], ["tlh"]):
        speaks = make_runtime(languages=languages)
        assert speaks.classify([bank(german)])[0].abstention is not Abstention.LANGUAGE
    assert make_runtime(languages=["de"]).classify([bank(CARD)])[0].abstention is Abstention.LANGUAGE


GERMAN = "Wo ist denn meine neue Karte geblieben?"
FRENCH = "Où est donc ma nouvelle carte bancaire ?"
LANGUAGE, UNSURE, BROKEN = Abstention.LANGUAGE, Abstention.UNSURE, Abstention.BROKEN


@pytest.fixture
def read_with(
    encoder: Encoder, make_model: Callable[..., Model], detector: LanguageDetector
) -> Callable[..., tuple[Verdict, Verdict]]:
    """read_with(kind, *texts, other=…): the verdict alone, and with the other classifier on other languages. `nervous`
    is unsure of all that it reads."""
    doubts = dict.fromkeys(("violence", "jailbreak"), Threshold(act=0.99, unsure=0.0))
    sure = dict.fromkeys(("card_arrival", "exchange_rate", "lost_card"), Threshold(act=0.0, unsure=0.0))
    models = {
        "safe": make_model("safety", limit=2.0),
        "nervous": make_model("safety", limit=2.0, thresholds=doubts),
        "german": make_model("safety", limit=2.0, languages=["de"]),
        "bank": make_model("intent"),
        "banken": make_model("intent", limit=2.0, thresholds=sure, languages=["de"]),
    }
    loaded = {name: replace(from_model(model, "v1"), name=name) for name, model in models.items()}
    runtime = Runtime([encoder], loaded, 100, detector)

    def read(name: str, *texts: str, other: str = "german") -> tuple[Verdict, Verdict]:
        reading = Reading(classifier=name, texts=texts)
        alone, both = runtime.classify([reading, replace(reading, other_languages=other)])
        return alone, both

    return read


@pytest.mark.parametrize(
    ("name", "texts", "other", "labels", "left", "windows"),
    [
        ("safe", (GERMAN,), "german", (), (), 1),
        # the texts that the first one can read are not read again, and its labels stand
        ("safe", (CARD, GERMAN, CARD), "german", (), (), 1),
        ("safe", (HARM, GERMAN), "german", ("violence",), (), 1),
        # of a text that is read elsewhere, its own doubt is none
        ("nervous", (GERMAN,), "german", (), (), 1),
        ("nervous", (CARD, GERMAN), "german", (), (UNSURE,), 1),
        ("safe", (GERMAN,), "nervous", (), (LANGUAGE, UNSURE), 1),
        ("safe", (FRENCH, GERMAN), "german", (), (LANGUAGE,), 2),
        ("safe", (GERMAN,), "nobody", (), (BROKEN,), 0),
        # one label is of all texts together
        ("bank", (GERMAN, GERMAN), "banken", ("card_arrival",), (), 2),
    ],
)
def test_another_classifier_reads_what_this_one_cannot(
    read_with: Callable[..., tuple[Verdict, Verdict]],
    name: str,
    texts: tuple[str, ...],
    other: str,
    labels: tuple[str, ...],
    left: tuple[Abstention, ...],
    windows: int,
) -> None:
    alone, both = read_with(name, *texts, other=other)
    assert LANGUAGE in alone.abstentions
    assert (both.labels, both.abstentions) == (labels, left)
    assert [part.classifier for part in both.parts] == [other, name]
    assert both.parts[0].windows_read == windows
    assert both.parts[1] == alone
    if name == "safe" and labels:
        assert both.naming("violence") == alone


def test_the_other_classifier_is_not_asked_about_what_this_one_can_read(
    read_with: Callable[..., tuple[Verdict, Verdict]],
) -> None:
    for name, text in (("safe", CARD), ("safe", HARM), ("nervous", CARD), ("bank", CARD)):
        alone, both = read_with(name, text, other="nobody")
        assert (both, both.parts) == (alone, ())


def test_what_the_other_classifier_points_at_keeps_its_place() -> None:
    found = Passage(label="contact", kind="email", start=3, end=9)
    own = Verdict(classifier="a", version="1", scores={}, abstention=LANGUAGE, spans=(replace(found, text=1),))
    other = Verdict(classifier="b", version="1", scores={}, spans=(found, replace(found, text=1)))
    assert [span.text for span in joined(own, other, (0, 2), ()).spans] == [0, 1, 2]


def test_past_the_deadline_what_is_at_hand_is_judged(runtime: Runtime, counted: Counted) -> None:
    runtime.classify([bank(CARD)])
    counted.pause_s = 0.1
    long = " ".join(f"sentence number {n} about the weather" for n in range(1000))
    started = time.monotonic()
    intent, late = runtime.classify([bank(CARD), safe(long)], deadline=started + 1.0)
    assert time.monotonic() - started < 5
    assert intent.labels == ("card_arrival",)
    assert (late.abstention, late.reason, late.version) == (Abstention.LATE, "deadline", "v1")
    assert [v.abstention for v in runtime.classify([bank("new text")], deadline=started)] == [Abstention.LATE]
    # whichever comes first
    none, intent = runtime.classify([bank("another text"), bank(CARD)], deadline=started)
    assert (none.abstention, intent.labels) == (Abstention.LATE, ("card_arrival",))
    # what was encoded in vain is remembered: asking again gets further
    before = counted.encoded
    counted.pause_s = 0
    again = runtime.classify([safe(long)])[0]
    assert again.abstention is not Abstention.LATE
    assert counted.encoded - before < again.windows_read


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=80), max_size=5), st.integers(0, 3))
def test_verdicts_are_well_formed(runtime: Runtime, texts: list[str], max_windows: int) -> None:
    for verdict in runtime.classify([bank(*texts, max_windows=max_windows), safe(*texts, max_windows=max_windows)]):
        assert isinstance(verdict, Verdict)
        assert 0 <= verdict.confidence <= 1
        assert 0 <= verdict.novelty <= 1
        assert all(0 <= score <= 1 for score in verdict.scores.values())
        assert verdict.windows_read <= max_windows
        assert (verdict.windows_unread > 0) == (verdict.abstention is Abstention.BROKEN)


def test_a_classifier_that_fails_its_own_tests_is_not_served(
    models_dir: Path, make_model: Callable[..., Model]
) -> None:
    tests = [{"text": CARD, "expect": "lost_card"}, {"text": CARD, "expect": "card_arrival"}]
    publish(models_dir, make_model("intent", tests=tests))
    with pytest.raises(
        ArtifactError, match="'where is my new card\\?' should be lost_card, but is card_arrival"
    ) as caught:
        Runtime.load(models_dir, ["bank"])
    assert str(caught.value).count("\n") == 1
    assert Runtime.load(models_dir, ["bank"], self_test=False).classifiers


def test_another_classifiers_version_is_refused(models_dir: Path, make_model: Callable[..., Model]) -> None:
    publish(models_dir, make_model("intent"), make_model("safety"))
    registry = Registry(models_dir)
    safety, intent = make_model("safety").policy.name, make_model("intent").policy.name
    folder = registry.resolve(safety)
    shutil.copytree(folder, models_dir / intent / folder.name)
    registry.promote(intent, folder.name)
    with pytest.raises(ArtifactError, match=f"holds the classifier {safety}, not {intent}"):
        Runtime.load(models_dir, [intent])


def test_an_encoder_of_another_pooling_is_refused(encoder: Encoder, bare_model: Callable[..., Model]) -> None:
    model = bare_model()
    for which, why in (
        (model.last.encoder, r"package:none \(000000000000…\), which is not loaded"),
        (replace(encoder.id, pooling="cls"), "with another tokenizer or pooling"),
        (encoder.id, "with 2 dimensions; it gives 384"),
    ):
        stage = replace(model.last, encoder=which)
        with pytest.raises(ArtifactError, match=f"bank v1: its stage main was trained on the encoder .*{why}"):
            Runtime([encoder], {"bank": from_model(replace(model, stages=(stage,)), "v1")})
    with pytest.raises(ArtifactError, match="there is no classifier to load; name at least one"):
        Runtime.load(Path("models"), [])


def test_a_text_is_read_from_its_beginning_however_long_it_is(runtime: Runtime) -> None:
    harm, rest = f"{HARM} " * 100, "The garden is lovely at this time of the year. " * 2000
    short, long = runtime.classify([safe(harm, max_windows=2), safe(harm + rest, max_windows=2)])
    assert long.scores == short.scores
    assert (long.windows_read, long.abstention) == (2, Abstention.BROKEN)


@pytest.mark.parametrize("name", ENCODINGS)
def test_safety_reads_what_is_encoded(runtime: Runtime, name: str) -> None:
    text = f"{HARM}, I will kill you and all of your friends"
    plain, hidden = runtime.classify(
        [Reading(classifier="safe", texts=(one,)) for one in (text, "Read this: " + ENCODINGS[name](text))]
    )
    assert plain.labels == hidden.labels == ("violence",)


def test_dates_in_tests_are_relative_to_training(models_dir: Path, make_model: Callable[..., Model]) -> None:
    """A tagger that takes a text for one value, trained long ago."""
    tests = [{"text": "12 May", "slots": {"date": "2001-05-12"}}, {"text": "tomorrow", "slots": {"date": "2001-03-02"}}]
    made = make_model("slots", limit=2.0, slots={"date": {"means": "when", "type": "date"}}, tests=tests)
    weights = np.zeros((3, made.last.head.weights.shape[1]), np.float32)
    tagger = Tagger(slots=("date",), weights=weights, bias=np.array([0, 25, 50], np.float32))
    registry = Registry(models_dir)
    with registry.staging("bank") as folder:
        artifact.save(replace(made, tagger=tagger), folder, report={})
        registry.publish("bank", folder, datetime(2001, 3, 1, 23, 59, 59, tzinfo=UTC))
    runtime = Runtime.load(models_dir, ["bank"])
    (verdict,) = runtime.classify([bank("tomorrow")])
    assert verdict.slots[0].value != "2001-03-02"
