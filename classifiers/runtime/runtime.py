"""Texts → verdicts. Classifiers on the same encoder share it, its windows and its cache."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Self

from classifiers.encoder.prepare import find
from classifiers.encoder.session import Encoder
from classifiers.errors import ArtifactError
from classifiers.model import artifact, selftest
from classifiers.model.artifact import Artifact
from classifiers.model.model import Floats
from classifiers.model.registry import Registry
from classifiers.runtime import tasks
from classifiers.runtime.classifier import Classifier, broken, from_artifact, late
from classifiers.runtime.run import CascadeRun, Passages
from classifiers.runtime.windows import DeadlinePassed, Key, Reader, check_time
from classifiers.text.language import LanguageDetector
from classifiers.text.payloads import reveal
from classifiers.verdict import ABOUT_A_MESSAGE, Abstention, Reading, Verdict, joined

_CHARS_A_WINDOW = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Windows since the Runtime was made: computed, and taken from the cache."""

    encoded: int
    cached: int


class Runtime:
    """Classifiers on their encoders. For one thread at a time: put a Worker in front of it. encoders: all that the
    classifiers' stages need. classifiers: by the name that readings use. cache_windows: how many windows' vectors are
    cached (about 2 kB each). detector: of languages, opened already or opened when needed. As attributes, encoders are
    by the sha256 of their graphs, and detector is None where no classifier needs it."""

    def __init__(
        self,
        encoders: Iterable[Encoder],
        classifiers: Mapping[str, Classifier],
        cache_windows: int = 10_000,
        detector: LanguageDetector | None = None,
    ) -> None:
        """Raises ArtifactError where a classifier was trained on an encoder that is not given."""
        names = (classifier.languages for classifier in classifiers.values())
        self._reader = Reader(encoders, cache_windows, (detector or LanguageDetector()) if any(names) else None)
        self.encoders, self.detector = self._reader.encoders, self._reader.detector
        self._passages = Passages(remember=cache_windows > 0)
        for name, classifier in classifiers.items():
            _check_encoders(name, classifier, self.encoders)
        self.classifiers = dict(classifiers)

    @classmethod
    def load(
        cls,
        models_dir: Path,
        names: Iterable[str],
        threads: int = 1,
        self_test: bool = True,
        cache_windows: int = 10_000,
        *,
        opened: Iterable[Encoder] = (),
        detector: LanguageDetector | None = None,
    ) -> Self:
        """Load the versions in use, and their encoders; prepare a shared one if it is not there yet.

        names: `NAME`, or `NAME@VERSION` for a version that need not be in use.
        opened, detector: encoders and language detector of the Runtime to replace, which are not opened again.
        Raises ArtifactError where one is missing, changed or (self_test) fails a test of its own policy, and
        EncoderError where an encoder is out of reach or computes wrongly here.
        """
        registry = Registry(models_dir)
        loaded = {name: _loaded(registry, name) for name in dict.fromkeys(names)}
        if not loaded:
            raise ArtifactError("there is no classifier to load; name at least one")
        encoders = {encoder.id.sha256: encoder for encoder in opened}
        needed: dict[str, Encoder] = {}
        for artifact_ in loaded.values():
            for encoder_id in (stage.encoder for stage in artifact_.model.stages):
                if encoder_id.sha256 in needed:
                    continue
                encoder = encoders.get(encoder_id.sha256)
                if encoder is None or not encoder_id.fits(encoder.id):
                    folder = artifact_.encoder_folder(encoder_id) or find(encoder_id, models_dir)
                    encoder = Encoder.open(folder, threads)
                needed[encoder_id.sha256] = encoder
        runtime = cls(
            needed.values(),
            {name: from_artifact(artifact_) for name, artifact_ in loaded.items()},
            cache_windows=cache_windows,
            detector=detector,
        )
        if runtime.detector is not None:
            runtime.detector.open()
        if self_test:
            runtime.self_test()
        return runtime

    @property
    def counts(self) -> Counts:
        """How many windows were encoded, and how many were taken from the cache."""
        return Counts(encoded=self._reader.encoded, cached=self._reader.cached)

    def classify(
        self, readings: Sequence[Reading], deadline: float | None = None, between: Callable[[], None] = lambda: None
    ) -> list[Verdict]:
        """A verdict for each reading, in order.

        deadline: by time.monotonic(). A reading whose windows are not all encoded by then gets a late verdict; that of
        a classifier that is not loaded is broken. between: called between windows; it may classify other readings.
        What a reading's classifier cannot read for its language is read by its other one, if it names one.
        """
        ask = partial(self._classify, deadline=deadline, between=between)
        each = zip(readings, ask(readings), strict=True)
        return [
            self._with_other(reading, verdict, ask)
            if reading.other_languages and Abstention.LANGUAGE in verdict.abstentions
            else verdict
            for reading, verdict in each
        ]

    def _with_other(
        self, reading: Reading, own: Verdict, ask: Callable[[Sequence[Reading]], Sequence[Verdict]]
    ) -> Verdict:
        """A verdict with that of the reading's other classifier. Of several texts, those that the first one can read
        are not read again, unless one label is named for all. ask: classifies without further classifiers."""
        alone: Sequence[Verdict] = ()
        if len(reading.texts) > 1 and self.classifiers[reading.classifier].model.policy.multi_label:
            cut = replace(reading, incomplete=False, cut=False)
            alone = ask([replace(cut, texts=(text,)) for text in reading.texts])
        known = [verdict for verdict in alone if Abstention.LANGUAGE not in verdict.abstentions]
        strange = [place for place, verdict in enumerate(alone) if Abstention.LANGUAGE in verdict.abstentions]
        places = strange or range(len(reading.texts))
        texts = tuple(reading.texts[place] for place in places)
        [other] = ask([replace(reading, classifier=reading.other_languages, texts=texts)])
        return joined(own, other, places, known)

    def _classify(
        self, readings: Sequence[Reading], deadline: float | None, between: Callable[[], None]
    ) -> list[Verdict]:
        """As `classify`, without other classifiers."""
        begun = [self._begin(reading, deadline) for reading in readings]
        verdicts = {index: start for index, start in enumerate(begun) if isinstance(start, Verdict)}
        vectors: dict[Key, Floats] = {}
        while going_on := {i: run for i, run in enumerate(begun) if isinstance(run, CascadeRun) and i not in verdicts}:
            # past the deadline, cached windows are still at hand
            for run in going_on.values():
                with suppress(DeadlinePassed):
                    run.read(self._reader, deadline)
                with suppress(DeadlinePassed):
                    run.tag(self._reader, vectors, deadline, between)
            # one call for all runs, so that equal windows are encoded once
            with suppress(DeadlinePassed):
                wanted = chain.from_iterable(run.wanted() for run in going_on.values())
                self._reader.encode(wanted, vectors, deadline, between)
            for index, run in going_on.items():
                if not run.at_hand(vectors):
                    verdicts[index] = late(run.reading.classifier, "deadline", run.classifier.version)
                elif verdict := run.judge(vectors):
                    verdicts[index] = verdict
        self._check_tasks(readings, verdicts, vectors, deadline, between)
        return [verdicts[index] for index in range(len(readings))]

    def _check_tasks(
        self,
        readings: Sequence[Reading],
        verdicts: dict[int, Verdict],
        vectors: dict[Key, Floats],
        deadline: float | None,
        between: Callable[[], None],
    ) -> None:
        """A verdict on what is no message of its label, or not in all parts, names none. One that cannot be checked in
        time is late."""
        stages = {
            index: stage
            for index, verdict in verdicts.items()
            if verdict.stage
            and (stage := tasks.asked(verdict, self.classifiers[readings[index].classifier].model.stages)) is not None
        }
        for index, stage in stages.items():
            read = tasks.windows(self._reader, stage, readings[index].texts)
            policy = self.classifiers[readings[index].classifier].model.policy
            try:
                # one task is enough, so those at hand come first
                for number, (key, window) in enumerate(sorted(read, key=lambda each: each[0] not in vectors)):
                    if number and key not in vectors:
                        between()
                    self._reader.encode([(key, window)], vectors, deadline, between)
                    if tasks.is_task(stage, vectors[key]):
                        verdicts[index] = tasks.unnamed(verdicts[index], ABOUT_A_MESSAGE)
                        break
                else:
                    one = not (policy.multi_label or policy.slots)
                    verdicts[index] = tasks.checked(verdicts[index], stage, read, vectors, one_matter=one)
            except DeadlinePassed:
                verdicts[index] = late(readings[index].classifier, "deadline", verdicts[index].version)

    def _begin(self, reading: Reading, deadline: float | None) -> CascadeRun | Verdict:
        """The run of a reading through its classifier's stages, or its verdict where no stage is needed."""
        classifier = self.classifiers.get(reading.classifier)
        if classifier is None:
            return broken(reading.classifier, "no such classifier is loaded")
        try:
            passages = self._passages.find(reading.texts, classifier.patterns, deadline)
            texts = _revealed(classifier, reading, deadline)
        except DeadlinePassed:
            return late(reading.classifier, "deadline", classifier.version)
        if not classifier.model.stages:
            return classifier.verdict((), read=0, reading=reading, passages=passages)
        return CascadeRun(
            reading=reading,
            classifier=classifier,
            passages=passages,
            texts=[text for text, _ in texts],
            systems=["" if text in reading.alone else reading.system for _, text in texts],
        )

    def self_test(self) -> None:
        """Run every policy's own tests, as of each version's time. Raises ArtifactError listing those that fail."""
        failed: list[str] = []
        for name, classifier in self.classifiers.items():
            now = artifact.made_at(classifier.version)
            lines = selftest.failures(classifier.model, self.classify, name, now=now)
            failed += [f"{name} {classifier.version}: {line}" for line in lines]
        if failed:
            raise ArtifactError("classifiers fail their own tests:\n" + "\n".join(failed))


def _loaded(registry: Registry, name: str) -> Artifact:
    name, _, version = name.partition("@")
    folder = registry.resolve(name, version)
    loaded = artifact.load(folder)
    if loaded.name != name:
        raise ArtifactError(f"{folder} holds the classifier {loaded.name}, not {name}; roll back or train {name} again")
    return loaded


def _revealed(classifier: Classifier, reading: Reading, deadline: float | None) -> list[tuple[str, str]]:
    """A reading's texts, for safety with decoded payloads, each with the text that it came from. Raises
    DeadlinePassed."""
    if not (classifier.model.policy.multi_label and classifier.model.stages):
        return [(text, text) for text in reading.texts]
    texts: list[tuple[str, str]] = []
    # windows do not reach beyond, and the verdict abstains; the last text is read first
    reach = reading.max_windows * _CHARS_A_WINDOW
    for text in reading.texts:
        check_time(deadline)
        far = (text[reach:],) if len(text) > reach else ()
        texts += [(part, text) for part in (*far, *reveal(text[:reach]))]
    return texts


def _check_encoders(name: str, classifier: Classifier, encoders: Mapping[str, Encoder]) -> None:
    for stage in classifier.model.stages:
        encoder, dimensions = encoders.get(stage.encoder.sha256), stage.head.dimensions
        where = f"{name} {classifier.version}: its stage {stage.name} was trained on the encoder {stage.encoder.source}"
        if encoder is None:
            raise ArtifactError(f"{where} ({stage.encoder.sha256[:12]}…), which is not loaded")
        if not stage.encoder.fits(encoder.id):
            raise ArtifactError(
                f"{where} with another tokenizer or pooling than the one that another classifier needs; train the "
                "older of the two again"
            )
        if dimensions != encoder.dimensions:
            raise ArtifactError(f"{where} with {dimensions} dimensions; it gives {encoder.dimensions}")
