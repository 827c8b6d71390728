"""One training run: load → write → clean → split → fit → calibrate → evaluate → accept → export."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from classifiers.encoder.prepare import prepare
from classifiers.encoder.session import Encoder, embed
from classifiers.encoder.source import resolve
from classifiers.errors import PolicyError, require
from classifiers.policy import Policy
from classifiers.slots.fill import slot_problems
from classifiers.teacher import Teacher
from classifiers.text.language import LanguageDetector
from classifiers.training import accept, examine, export, patterns, rounds
from classifiers.training.accept import Comparison, Incumbent
from classifiers.training.data import archived_rows, read_calls, read_rows
from classifiers.training.export import account
from classifiers.training.fit import checkpoint, early_exit, recipe
from classifiers.training.fit.fitted import FittedModel, Progress, Silent, Workbench
from classifiers.training.fit.heads import Frozen
from classifiers.training.prepare import TextPreparation, TrainingText, nothing
from classifiers.training.rounds import Rounds
from classifiers.training.slots import tagger as tagging
from classifiers.training.write import sentences
from classifiers.training.write.prompts import nearest_labels
from classifiers.training.write.sentences import WrittenSentences
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
    seed: int | None = None,
    hire: Hire | None = None,
    approve: Approve | None = None,
    threads: int | None = None,
    beside: bool = False,
    more: Sequence[Path] = (),
    calls: Sequence[tuple[str, str]] = (),
) -> TrainingOutcome:
    """Train a policy and publish it in `models_dir`, unless it misses a goal or a test of its own, or does worse than
    the version in use on rows of `more` or `calls` that neither was trained on.

    base_dir: what the policy's paths are relative to. more: files of labelled rows besides the policy's own; calls:
    (text, label) of a gateway's calls besides those, texts that no file and no report is to hold. seed: by default the
    policy's. hire: gets a teacher's model ready; needed where the policy names one. approve: told what asking it will
    come to before that is spent. beside: propose what is published instead of putting it in use.
    Raises PolicyError, EncoderError, TrainingError, TeacherError, and OSError where models_dir cannot be written.
    """
    clock = _Clock(progress or Silent())
    chance = policy.seed if seed is None else seed
    detector = LanguageDetector()

    clock.step("load")
    _check(policy)
    if not policy.learned:
        return _conclude(
            patterns.nothing_learned(policy),
            WrittenSentences(rows=(), forms={}),
            Rounds(text=nothing(patterns.to_learn(policy))),
            Incumbent(),
            models_dir=models_dir,
            seed=chance,
            clock=clock,
            beside=beside,
            detector=detector,
        )
    require("training", "sklearn", "scipy")
    whole, policy = policy, patterns.to_learn(policy)
    of_calls = read_calls(whole, calls)
    besides = [*read_rows(whole, more), *of_calls]
    recipe.check(policy, base_dir)
    incumbent = Incumbent.find(whole, besides, models_dir)
    if incumbent.note:
        clock.progress.step(incumbent.note)
    given = [*read_rows(whole, [base_dir / path for path in whole.data]), *besides]
    data = patterns.without_patterns(whole, incumbent.spared(given))
    models_dir.mkdir(parents=True, exist_ok=True)
    encoder = Encoder.open(
        prepare(resolve(policy.encoder, base_dir), models_dir, clock.step), threads or os.cpu_count() or 1
    )
    clock.step("write")
    written = sentences.write_sentences(
        policy,
        whole=whole,
        base_dir=base_dir,
        models_dir=models_dir,
        seed=chance,
        data=data,
        neighbours=lambda: nearest_labels(policy, lambda texts: embed(encoder, texts)),
        hire=hire,
        approve=approve or _approve,
        advance=clock.advance,
    )
    desk = TextPreparation(policy=policy, encoder=encoder, progress=clock, seed=chance, detector=detector)
    every = [*written.rows, *data]
    held = Rounds(text=desk.ready(every))
    if not policy.slots:
        held = rounds.hold(
            policy,
            every,
            held.text,
            written.authors,
            ready=desk.ready,
            approve=approve or _approve,
            progress=clock,
            seed=chance,
        )
    rows, vectors = held.text.rows, held.text.vectors
    clock.step("fit")
    with TemporaryDirectory(prefix=".tuned-", dir=models_dir) as scratch:
        bench = Workbench(
            base_dir=base_dir,
            models_dir=models_dir,
            scratch=Path(scratch),
            seed=chance,
            threads=encoder.threads,
            progress=clock.progress,
        )
        if policy.slots:
            made = tagging.fit_tagger(policy, rows, bench)
        else:
            table = early_exit.table_for(policy, rows, encoder, chance)
            frozen = Frozen(encoder=encoder, vectors=vectors, before=table.beside if table else None)
            made = recipe.fit_policy(policy, rows, frozen, bench)
            made = early_exit.put_in_front(policy, rows, made, bench, table=table)
        made = patterns.whole(whole, made)
        return _conclude(
            made,
            written,
            held,
            incumbent,
            models_dir=models_dir,
            seed=chance,
            clock=clock,
            beside=beside,
            detector=detector,
            unread=len(calls) - len(of_calls),
        )


def _conclude(
    made: FittedModel,
    written: WrittenSentences,
    held: Rounds,
    incumbent: Incumbent,
    *,
    models_dir: Path,
    seed: int,
    clock: "_Clock",
    beside: bool,
    detector: LanguageDetector,
    unread: int = 0,
) -> TrainingOutcome:
    """Evaluate, accept, export. unread: calls that are no rows."""
    clock.step("evaluate")
    now = datetime.now(UTC)
    failures = accept.test_failures(made.trained.model, made.encoders, now, detector)
    report = account(
        patterns.to_learn(made.trained.model.policy),
        written,
        held,
        trained=made.trained,
        failures=failures,
        seed=seed,
        seconds=clock.seconds,
    )
    found = incumbent.against(made, held.text.rows, models_dir) if incumbent.held else incumbent.note
    compared = found if isinstance(found, Comparison) else None
    report["incumbent"] = compared and compared.told()
    report["incumbent_note"] = "" if compared else found
    report["text"]["unread_calls"] = unread
    report["latency"] = examine.of_model(made.trained.model, made.encoders, made.trained.read, detector)
    missed = (*accept.missed(made.trained.chosen, failures), *(compared.missed if compared else ()))
    return _finish(made, report, missed, models_dir, text=held.text, seed=seed, clock=clock, beside=beside, now=now)


def _finish(
    made: FittedModel,
    report: dict[str, Any],
    missed: tuple[str, ...],
    models_dir: Path,
    *,
    text: TrainingText,
    seed: int,
    clock: "_Clock",
    beside: bool,
    now: datetime,
) -> TrainingOutcome:
    """Accept and publish, or refuse."""
    clock.step("accept")
    report |= {"accepted": not missed, "missed": list(missed)}
    clock.step("export")
    model = made.trained.model
    if missed:
        folder = export.refuse(model, report, models_dir)
        return TrainingOutcome(
            accepted=False, version=None, folder=folder, report=report, missed=missed, seconds=clock.finish()
        )
    samples = [vectors[:_CHECKED_ROWS] for vectors in made.samples]
    with archived_rows(models_dir, model.policy.name, text.rows, text.doubts) as put_beside:
        version, folder = export.publish(
            model, report, models_dir, samples, seed=seed, encoders=made.own, beside=beside, now=now
        )
        put_beside(version)
    checkpoint.forget(models_dir, model.policy.name)
    return TrainingOutcome(accepted=True, version=version, folder=folder, report=report, seconds=clock.finish())


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
    """Tells the watcher of each step and remembers how long it took."""

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
        now = time.monotonic()
        if self._name:
            self._taken[self._name] = self._taken.get(self._name, 0.0) + now - self._began
        self._name, self._began = "", now
        return dict(self._taken)
