"""One training run: load, split, write, clean, fit, evaluate, accept, export.

Each step takes the run as it is so far and returns a new one. A recipe calibrates what it fits: which of two models is
the better one shows only then.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from classifiers.encoder.prepare import prepare
from classifiers.encoder.session import Encoder, embed
from classifiers.encoder.source import resolve
from classifiers.errors import PolicyError, require
from classifiers.policy import Policy
from classifiers.slots.fill import slot_problems
from classifiers.teacher import Teacher
from classifiers.text.language import LanguageDetector
from classifiers.training import examine, patterns
from classifiers.training.accept import Evaluation, Incumbent, test_failures
from classifiers.training.data import archived_rows, read_calls, read_rows
from classifiers.training.export import publish, refuse, report_of
from classifiers.training.fit import checkpoint, recipe
from classifiers.training.fit.fitted import FittedModel, Progress, Silent, TrainingSet, Workbench
from classifiers.training.prepare import TextPreparation, TrainingText, nothing
from classifiers.training.rows import Row
from classifiers.training.write.prompts import nearest_labels
from classifiers.training.write.sentences import WrittenSentences, write_sentences
from classifiers.training.write.teacher import Approve, Estimate, Hire, TeacherPrice

_CHECKED_ROWS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOutcome:
    """What a run came to.

    accepted: whether the model was published; if not, `missed` says why, a line each, version is None and folder
    holds only the report. report: as in report.json. seconds: of each step.
    """

    accepted: bool
    version: str | None
    folder: Path
    report: Mapping[str, Any]
    missed: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


def train(
    policy: Policy,
    *,
    base_dir: Path,
    models_dir: Path,
    progress: Progress | None = None,
    seed: int = 0,
    hire: Hire | None = None,
    approve: Approve | None = None,
    threads: int | None = None,
    propose: bool = False,
    more: Sequence[Path] = (),
    calls: Sequence[tuple[str, str]] = (),
) -> TrainingOutcome:
    """Train a policy and publish it in `models_dir`, unless it misses a goal or a test of its own, or does worse than
    the version in use on rows of `more` or `calls` that neither was trained on.

    base_dir: what the policy's paths are relative to.
    hire: gets a teacher's model ready; needed where the policy names one.
    approve: given what asking a teacher will come to, before that is spent.
    propose: propose what is published instead of putting it in use.
    more: files of labelled rows besides the policy's own.
    calls: (text, label) of a gateway's calls besides those, texts that no file and no report is to hold.
    Raises PolicyError, EncoderError, TrainingError, TeacherError, and OSError where models_dir cannot be written.
    """
    run = Run(
        policy=policy,
        base_dir=base_dir,
        models_dir=models_dir,
        seed=seed,
        threads=threads or os.cpu_count() or 1,
        hire=hire,
        approve=approve or _approve,
        propose=propose,
        more=more,
        calls=calls,
        clock=_Clock(progress or Silent()),
        detector=LanguageDetector(),
    )
    run = load(run)
    if not policy.learned:
        return export(accept(evaluate(run)))
    run = clean(write(split(run)))
    with TemporaryDirectory(prefix=".tuned-", dir=models_dir) as scratch:
        return export(accept(evaluate(fit(run, Path(scratch)))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A training as far as it has come.

    policy: with all of its labels; `learned` leaves out those that patterns tell.
    own, besides: rows of the policy's files, and those of `more` and `calls`; unread_calls: calls that are no rows.
    rows: what is left of them to train on; incumbent: the version in use, and the rows held out for it.
    written, text: sentences written for the policy, and all text as it is fitted on.
    fitted, evaluation, report: the model and what is known of it.
    """

    policy: Policy
    base_dir: Path
    models_dir: Path
    seed: int
    threads: int
    hire: Hire | None
    approve: Approve
    propose: bool
    more: Sequence[Path]
    calls: Sequence[tuple[str, str]]
    clock: "_Clock"
    detector: LanguageDetector
    encoder: Encoder | None = None
    own: tuple[Row, ...] = ()
    besides: tuple[Row, ...] = ()
    unread_calls: int = 0
    incumbent: Incumbent = field(default_factory=Incumbent)
    rows: tuple[Row, ...] = ()
    written: WrittenSentences = field(default_factory=lambda: WrittenSentences(rows=(), forms={}))
    text: TrainingText | None = None
    fitted: FittedModel | None = None
    evaluation: Evaluation = field(default_factory=Evaluation)
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def learned(self) -> Policy:
        """The policy with the labels that are learned, and no others."""
        return patterns.to_learn(self.policy)


Part = TypeVar("Part")


def _made(part: Part | None) -> Part:
    """A part of a run, once the step that makes it is over."""
    assert part is not None, "an earlier step makes it"
    return part


def load(run: Run) -> Run:
    """Check the policy, read its rows and open its encoder."""
    policy, clock = run.policy, run.clock
    clock.step("load")
    _check(policy)
    if not policy.learned:
        return replace(run, text=nothing(run.learned), fitted=patterns.nothing_learned(policy))
    require("training", "sklearn", "scipy")
    calls = read_calls(policy, run.calls)
    besides = (*read_rows(policy, run.more), *calls)
    recipe.check(run.learned, run.base_dir)
    own = tuple(read_rows(policy, [run.base_dir / path for path in policy.data]))
    run.models_dir.mkdir(parents=True, exist_ok=True)
    source = resolve(policy.encoder, run.base_dir)
    encoder = Encoder.open(prepare(source, run.models_dir, clock.step), run.threads)
    return replace(run, encoder=encoder, own=own, besides=besides, unread_calls=len(run.calls) - len(calls))


def split(run: Run) -> Run:
    """Hold out rows to compare the new version with the one in use."""
    incumbent = Incumbent.find(run.policy, run.besides, run.models_dir)
    if incumbent.note:
        run.clock.progress.step(incumbent.note)
    left = incumbent.spared([*run.own, *run.besides])
    return replace(run, incumbent=incumbent, rows=tuple(patterns.without_patterns(run.policy, left)))


def write(run: Run) -> Run:
    """Have sentences written for the policy."""
    run.clock.step("write")
    policy, encoder = run.learned, _made(run.encoder)
    written = write_sentences(
        policy,
        whole=run.policy,
        base_dir=run.base_dir,
        models_dir=run.models_dir,
        seed=run.seed,
        data=run.rows,
        neighbours=lambda: nearest_labels(policy, lambda texts: embed(encoder, texts)),
        hire=run.hire,
        approve=run.approve,
        advance=run.clock.advance,
    )
    return replace(run, written=written)


def clean(run: Run) -> Run:
    """Clean, encode and review all text."""
    preparation = TextPreparation(
        policy=run.learned, encoder=_made(run.encoder), progress=run.clock, seed=run.seed, detector=run.detector
    )
    return replace(run, text=preparation.ready([*run.written.rows, *run.rows]))


def fit(run: Run, scratch: Path) -> Run:
    """Fit the model by the policy's recipe. scratch: an empty folder that outlives the export of the model."""
    run.clock.step("fit")
    encoder, text = _made(run.encoder), _made(run.text)
    bench = Workbench(
        base_dir=run.base_dir,
        models_dir=run.models_dir,
        scratch=scratch,
        seed=run.seed,
        threads=encoder.threads,
        progress=run.clock.progress,
    )
    training = TrainingSet(policy=run.learned, rows=text.rows, encoder=encoder, vectors=text.vectors)
    return replace(run, fitted=patterns.whole(run.policy, recipe.fit_policy(training, bench)))


def evaluate(run: Run) -> Run:
    """Run the policy's tests, compare with the version in use, and measure the latency."""
    run.clock.step("evaluate")
    made, text = _made(run.fitted), _made(run.text)
    trained, encoders = made.trained, made.encoders
    now = datetime.now(UTC)
    comparison, note = run.incumbent.compared(made, text.rows, run.models_dir)
    evaluation = Evaluation(
        made_at=now,
        missed_goals=trained.chosen.missed,
        failures=test_failures(trained.model, encoders, now, run.detector),
        comparison=comparison,
        note=note,
        latency=examine.of_model(trained.model, encoders, trained.read, run.detector),
    )
    return replace(run, evaluation=evaluation)


def accept(run: Run) -> Run:
    """Say in the report whether the model is published, and why not."""
    run.clock.step("accept")
    report = report_of(
        run.learned,
        _made(run.fitted),
        text=_made(run.text),
        written=run.written,
        evaluation=run.evaluation,
        unread_calls=run.unread_calls,
        seed=run.seed,
        seconds=run.clock.seconds,
    )
    return replace(run, report=report)


def export(run: Run) -> TrainingOutcome:
    """Publish the model, or leave the report of one that is refused."""
    run.clock.step("export")
    made, text, missed, report = _made(run.fitted), _made(run.text), run.evaluation.missed, run.report
    model = made.trained.model
    if missed:
        folder = refuse(model, report, run.models_dir)
        return TrainingOutcome(
            accepted=False, version=None, folder=folder, report=report, missed=missed, seconds=run.clock.finish()
        )
    samples = [vectors[:_CHECKED_ROWS] for vectors in made.samples]
    with archived_rows(run.models_dir, model.policy.name, text.rows, text.doubts) as archive:
        version, folder = publish(
            model,
            report,
            run.models_dir,
            samples,
            seed=run.seed,
            encoders=made.own,
            propose=run.propose,
            now=run.evaluation.made_at,
        )
        archive(version)
    checkpoint.forget(run.models_dir, model.policy.name)
    return TrainingOutcome(accepted=True, version=version, folder=folder, report=report, seconds=run.clock.finish())


def _approve(teacher: Teacher, expected: Estimate, price: TeacherPrice, why: str) -> bool:
    """Whoever gives a model and asks for no say agrees to what it costs within its budget."""
    del teacher, expected, price, why
    return True


def _check(policy: Policy) -> None:
    patterns.check(policy)
    problems = [f"{policy.name}: {'.'.join(map(str, path))}: {what}" for path, what in slot_problems(policy)]
    if problems:
        raise PolicyError("\n".join(problems))
    if not policy.multi_label and len(policy.labels) == 1 and policy.other is None:
        raise PolicyError(f"{policy.name}: one label alone decides nothing; add another label, or other:")


class _Clock(Progress):
    """Passes each step on to the watcher and remembers how long it took."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._taken: dict[str, float] = {}
        self._name, self._began = "", time.monotonic()

    @property
    def seconds(self) -> dict[str, float]:
        """Of the steps that are over."""
        return dict(self._taken)

    def step(self, name: str) -> None:
        self.finish()
        self._name = name
        self.progress.step(name)

    def advance(self, done: int, total: int) -> None:
        self.progress.advance(done, total)

    def finish(self) -> dict[str, float]:
        """End the current step. The seconds of all steps."""
        now = time.monotonic()
        if self._name:
            self._taken[self._name] = self._taken.get(self._name, 0.0) + now - self._began
        self._name, self._began = "", now
        return dict(self._taken)
