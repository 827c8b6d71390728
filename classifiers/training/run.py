"""One training run: load, split, write, clean, fit, evaluate, accept, export.

A recipe calibrates what it fits: which of two models is the better one shows only then.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from classifiers.encoder.prepare import prepare
from classifiers.encoder.session import Encoder, embed
from classifiers.encoder.source import first_encoder, resolve
from classifiers.errors import PolicyError, TrainingError, require
from classifiers.model import selftest
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from classifiers.slots.fill import slot_problems
from classifiers.text.language import LanguageDetector
from classifiers.training import patterns
from classifiers.training.accept import Evaluation, Incumbent
from classifiers.training.data import archived_rows, files_of, read_calls, read_rows, reviewed_digest
from classifiers.training.examine import alone, latency
from classifiers.training.export import forget_learned, publish, refuse, report_of, with_held_out
from classifiers.training.fit import checkpoint, recipe
from classifiers.training.fit.fitted import FittedModel, Progress, Silent, TrainingSet, Workbench
from classifiers.training.prepare import TrainingText, nothing, prepare_text
from classifiers.training.refit import Base, RefitError
from classifiers.training.rows import LabelledCall, Row
from classifiers.training.task_filter import with_task_filters
from classifiers.training.write.prompts import nearest_labels
from classifiers.training.write.sentences import WrittenSentences, write_sentences
from classifiers.training.write.teacher import Approve, TeacherFactory

_UNWRITTEN = WrittenSentences(rows=(), forms={})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOutcome:
    """What a run came to. accepted: whether the model was published; if not, `missed` says why, a line each, version is
    None and folder holds only the report. report: as in report.json. seconds: of each step. vectors: what a refit has
    made of each call that came without; empty of the others."""

    accepted: bool
    version: str | None
    folder: Path
    report: Mapping[str, Any]
    missed: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    vectors: Sequence[bytes] = ()


def train(
    policy: Policy,
    *,
    base_dir: Path,
    models_dir: Path,
    progress: Progress | None = None,
    seed: int = 0,
    teacher_factory: TeacherFactory | None = None,
    approve: Approve | None = None,
    threads: int | None = None,
    more: Sequence[Path] = (),
    calls: Sequence[LabelledCall] = (),
    refit: bool = False,
) -> TrainingOutcome:
    """Train a policy and publish it in `models_dir`, unless it misses a goal or a test of its own, or does worse than
    the version in use on rows of `more` or `calls` that neither was trained on.

    base_dir: what the policy's paths are relative to.
    teacher_factory: gets a teacher's model ready; needed where the policy names one.
    approve: given what asking a teacher will come to, before that is spent; by default it agrees.
    more: files of labelled rows besides the policy's own.
    calls: of a gateway besides those, whose texts no file and no report is to hold.
    refit: where that can be, only fit the head of the version in use anew, on its rows and on calls. The version is one
        of many then: of those that were learned so, the newest three stay.
    Raises PolicyError, EncoderError, TrainingError, TeacherError, and OSError where models_dir cannot be written.
    """
    return _Run(
        policy=policy,
        base_dir=base_dir,
        models_dir=models_dir,
        seed=seed,
        threads=threads or os.cpu_count() or 1,
        teacher_factory=teacher_factory,
        approve=approve or (lambda *_: True),
        clock=_Clock(progress or Silent()),
        learns=refit,
    ).outcome(more, calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """The steps of a run. policy: with all of its labels; `learned` leaves out those that patterns tell. learns:
    whether the version is one of many that are learned from calls."""

    policy: Policy
    base_dir: Path
    models_dir: Path
    seed: int
    threads: int
    teacher_factory: TeacherFactory | None
    approve: Approve
    clock: "_Clock"
    learns: bool = False
    detector: LanguageDetector = field(default_factory=LanguageDetector)

    @property
    def learned(self) -> Policy:
        return patterns.to_learn(self.policy)

    def outcome(self, more: Sequence[Path], calls: Sequence[LabelledCall]) -> TrainingOutcome:
        """All steps. Arguments as of `train`."""
        self.clock.step("load")
        _check(self.policy)
        if self.learns and not more:
            require("training", "sklearn", "scipy")
            try:
                return self.refit(Base.find(self.policy, self.models_dir), calls)
            except RefitError as error:
                self.clock.progress.step(f"trained as a whole, since {error}")
        if not self.policy.learned:
            return self.publish(nothing(self.learned), patterns.nothing_learned(self.policy), _UNWRITTEN, Incumbent())
        encoder, own, besides = self.load(more, calls)
        incumbent = Incumbent.find(self.policy, besides, self.models_dir)
        if incumbent.note:
            self.clock.progress.step(incumbent.note)
        rows = patterns.without_patterns(self.policy, incumbent.spared([*own, *besides]))
        written = self.write(encoder, rows)
        text = prepare_text(
            self.learned, [*written.rows, *rows], encoder, progress=self.clock, seed=self.seed, detector=self.detector
        )
        unread_calls = len(calls) - sum(bool(row.digest) for row in besides)
        with TemporaryDirectory(prefix=".tuned-", dir=self.models_dir) as scratch:
            fitted = with_held_out(self.fit(encoder, text, Path(scratch)))
            return self.publish(text, fitted, written, incumbent, encoder=encoder, unread_calls=unread_calls)

    def refit(self, base: Base, calls: Sequence[LabelledCall]) -> TrainingOutcome:
        """The steps of a refit."""
        encoder = base.encoder(self.models_dir, self.threads)
        self.clock.step("encode")
        rows, vectors = base.read(calls, encoder, self.detector)
        opened = base.opened(encoder, self.models_dir)
        incumbent = replace(Incumbent.find(self.policy, rows, self.models_dir), opened=opened)
        self.clock.step("fit")
        with TemporaryDirectory(prefix=".tuned-", dir=self.models_dir) as scratch:
            text, fitted = base.refit(incumbent.spared(rows), encoder, self.bench(encoder, Path(scratch)))
            if (current := Registry(self.models_dir).named(self.policy.name)) != base.version:
                raise TrainingError(f"{base.version}, whose head was fitted anew, gave way to {current} meanwhile")
            unread = len(calls) - len(rows)
            made = self.publish(text, fitted, _UNWRITTEN, incumbent, encoder=encoder, unread_calls=unread, timed=False)
        return replace(made, vectors=vectors)

    def load(self, more: Sequence[Path], calls: Sequence[LabelledCall]) -> tuple[Encoder, Sequence[Row], Sequence[Row]]:
        """The policy's encoder, the rows of its files, and those of `more` and `calls`."""
        policy = self.policy
        require("training", "sklearn", "scipy")
        besides = [*read_rows(policy, more), *filter(None, read_calls(policy, calls))]
        recipe.check(self.learned, self.base_dir, self.models_dir)
        own = read_rows(policy, files_of(policy, self.base_dir))
        self.models_dir.mkdir(parents=True, exist_ok=True)
        source = resolve(first_encoder(policy.encoder, policy.recipe), self.base_dir)
        encoder = Encoder.open(prepare(source, self.models_dir, self.clock.step), self.threads)
        if policy.builds_on:
            # what it builds on is missed here rather than after the encoding
            recipe.base_of(self.learned, encoder.id, self.models_dir)
        return encoder, own, besides

    def write(self, encoder: Encoder, rows: Sequence[Row]) -> WrittenSentences:
        """Have sentences written for the policy."""
        self.clock.step("write")
        return write_sentences(
            self.learned,
            whole=self.policy,
            base_dir=self.base_dir,
            models_dir=self.models_dir,
            seed=self.seed,
            data=rows,
            neighbours=lambda: nearest_labels(self.learned, lambda texts: embed(encoder, texts)),
            teacher_factory=self.teacher_factory,
            approve=self.approve,
            advance=self.clock.advance,
        )

    def fit(self, encoder: Encoder, text: TrainingText, scratch: Path) -> FittedModel:
        """Fit the model by the policy's recipe. scratch: an empty folder that outlives the export of the model."""
        self.clock.step("fit")
        bench = self.bench(encoder, scratch)
        training = TrainingSet(
            policy=self.learned, rows=text.rows, encoder=encoder, vectors=text.vectors, outside=text.outside
        )
        fitted = with_task_filters(self.learned, text.rows, recipe.fit_policy(training, bench), self.seed)
        return patterns.whole(self.policy, fitted)

    def bench(self, encoder: Encoder, scratch: Path) -> Workbench:
        """Where a model is fitted. scratch: as of `fit`."""
        return Workbench(
            base_dir=self.base_dir,
            models_dir=self.models_dir,
            scratch=scratch,
            seed=self.seed,
            threads=encoder.threads,
            progress=self.clock.progress,
        )

    def evaluate(self, text: TrainingText, fitted: FittedModel, incumbent: Incumbent, *, timed: bool) -> Evaluation:
        """Run the policy's tests, compare with the version in use, and measure the latency if it is to be `timed`."""
        self.clock.step("evaluate")
        model, now = fitted.trained.model, datetime.now(UTC)
        served = alone(model, fitted.encoders, self.detector)
        comparison, note = incumbent.compared(fitted, text.rows, self.models_dir)
        return Evaluation(
            made_at=now,
            missed_goals=fitted.trained.chosen.missed,
            failures=selftest.failures(model, served.classify, model.policy.name, now=now),
            comparison=comparison,
            note=note,
            latency=latency(served, model.policy.name, fitted.trained.read) if timed else None,
        )

    def publish(
        self,
        text: TrainingText,
        fitted: FittedModel,
        written: WrittenSentences,
        incumbent: Incumbent,
        *,
        encoder: Encoder | None = None,
        unread_calls: int = 0,
        timed: bool = True,
    ) -> TrainingOutcome:
        """Evaluate the model, and publish it, or leave the report of one that is refused. encoder: of the text's
        vectors; timed: as of `evaluate`."""
        evaluation = self.evaluate(text, fitted, incumbent, timed=timed)
        model = fitted.trained.model
        self.clock.step("accept")
        report = report_of(
            self.learned,
            fitted,
            text=text,
            written=written,
            evaluation=evaluation,
            unread_calls=unread_calls,
            seed=self.seed,
            seconds=self.clock.taken,
        )
        if not (evaluation.missed or self.learns) and (digest := reviewed_digest(self.policy, self.base_dir)):
            report["text"]["reviewed_sha256"] = digest
        self.clock.step("export")
        if evaluation.missed:
            version, folder = None, refuse(model, report, self.models_dir)
        else:
            vectors = text.vectors if encoder and model.encoding.encoder.sha256 == encoder.id.sha256 else None
            with archived_rows(self.models_dir, model.policy.name, text.rows, text.doubts, vectors) as archive:
                version, folder = publish(
                    fitted, report, self.models_dir, seed=self.seed, now=evaluation.made_at, learned=self.learns
                )
                archive(version)
            if self.learns:
                forget_learned(self.models_dir, model.policy.name)
            checkpoint.forget(self.models_dir, model.policy.name)
        self.clock.finish()
        return TrainingOutcome(
            accepted=version is not None,
            version=version,
            folder=folder,
            report=report,
            missed=evaluation.missed,
            seconds=self.clock.taken,
        )


def _check(policy: Policy) -> None:
    patterns.check(policy)
    problems = [f"{policy.name}: {'.'.join(map(str, path))}: {what}" for path, what in slot_problems(policy)]
    if problems:
        raise PolicyError("\n".join(problems))
    if not policy.multi_label and len(policy.labels) == 1 and policy.other is None:
        raise PolicyError(f"{policy.name}: one label alone decides nothing; add another label, or other:")


class _Clock(Progress):
    """Passes each step on to the watcher. taken: the seconds of each step that is over."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.taken: dict[str, float] = {}
        self._name, self._began = "", 0.0

    def step(self, name: str) -> None:
        self.finish()
        self._name, self._began = name, time.monotonic()
        self.progress.step(name)

    def advance(self, done: int, total: int) -> None:
        self.progress.advance(done, total)

    def finish(self) -> None:
        if self._name:
            self.taken[self._name] = self.taken.get(self._name, 0.0) + time.monotonic() - self._began
        self._name = ""
