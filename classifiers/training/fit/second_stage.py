"""A second stage of a safety policy, asked where the first is in doubt: a larger encoder, or a pretrained guard.

The first stage clears what it is sure is clean and flags nothing alone. Of what is left, both judge together: shares
and thresholds are chosen on held-out rows. A guard has seen none of these rows, and its labels are others; so
logistic regressions on its log-odds and those of the policy's heads are fitted (`ensemble.stack`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.guard import TOKENIZER, GuardSource, find_guard, label_problems, log_odds, logits_of
from classifiers.encoder.prepare import load_graph, write_prepared, write_with_head
from classifiers.encoder.session import Encoder, Graph, apart, embed
from classifiers.encoder.source import EncoderSource, Odds, sha256_of
from classifiers.encoder.tokens import LONGEST_CHARS_A_TOKEN, Tokens
from classifiers.errors import EncoderError, PolicyError, TrainingError
from classifiers.evaluation.metrics import average_precision
from classifiers.model.model import NEVER, OWN, Bools, Calibration, Floats, Head, Stage, Threshold, Windowing
from classifiers.policy import Policy
from classifiers.runtime import cascade
from classifiers.runtime.cascade import StageResult
from classifiers.runtime.heads import lost_chances
from classifiers.text.normalise import normalise
from classifiers.training import calibrate, operating_points, split
from classifiers.training.clean import key
from classifiers.training.fit.ensemble import GuardEvidence, stack, stacking_loss
from classifiers.training.fit.fitted import FittedModel, MeasuredModel, TrainingSet, Workbench
from classifiers.training.fit.heads import measured, never_novel, verdict_of, windowing
from classifiers.training.fit.linear import Ints
from classifiers.training.label_thresholds import OrdinaryTraffic, for_any
from classifiers.training.operating_points import CascadePath, measured_on
from classifiers.training.rows import Row
from classifiers.training.thresholds import ChosenThresholds, describe
from classifiers.training.windows import Windows, highest, tuned_windowing, windows_of
from classifiers.training.write.builtin import write
from classifiers.verdict import Verdict

MOST_ASKED = 0.35
"""Of held-out harmless text, which is written to look harmful, that the second stage may be asked about: a fifth to a
third of messages to a bank and to a voice assistant."""

_LEAST_DOUBTED = 100
"""Held-out rows that the second stage is asked about, by which the first one's share in it is chosen."""

_T = TypeVar("_T", np.float32, np.bool_)
Pool = Callable[[StageResult, StageResult, Bools, Bools], StageResult]
"""What both stages say together: of the first, the second, (n, labels) the truth, (n,) which rows show it."""


def max_over_windows(stage: Stage, windows: Windows) -> StageResult:
    """What a stage makes of rows: for each label of the window where it is likeliest. Where a row has several, these
    need not be the same for both stages, though they are asked window by window; nor need their number, by which each
    counts for less, where the two encoders' tokenizers part text unlike each other."""
    each = cascade.part(stage, windows.vectors, multi_label=True, among=windows.among)
    rows = windows.starts
    return replace(each, probabilities=highest(each.probabilities, rows), away=highest(each.away, rows))


def by_share(first: StageResult, last: StageResult, truth: Bools, shown: Bools) -> StageResult:
    """A pool of two encoders: one share for all labels."""
    share = calibrate.earlier_share(first.probabilities[shown], last.probabilities[shown], truth[shown])
    return cascade.combine(replace(last, stage=replace(last.stage, earlier=share)), first, multi_label=True)


def cascade_model(
    policy: Policy,
    rows: Sequence[Row],
    small: MeasuredModel,
    truth: Bools,
    *,
    first: StageResult,
    last: StageResult,
    pool: Pool,
    head: str,
    known: Bools | None = None,
    among: Windows | None = None,
) -> tuple[MeasuredModel, dict[str, Any]]:
    """The model of both stages with the thresholds of either, and what the report says of the cascade. truth: (n,
    labels) of the small model's held-out rows; first, last: what either stage makes of them; head: for the report;
    known: (n,) rows that choose nothing; among: what the last stage reads of each among ordinary text."""
    used, on = measured_on(policy, rows, small.rows)
    unknown = ~known if known is not None else np.ones(len(used), bool)
    used &= unknown
    harmful: Bools = np.asarray(truth.any(axis=1), bool)
    limits = operating_points.band(
        first.probabilities[used], harmful[used], most_asked=MOST_ASKED, catch=operating_points.strictest(policy)
    )
    doubted = used & operating_points.cascade_path(first.probabilities, last.probabilities, limits).asked
    both = pool(first, last, truth, doubted if doubted.sum() >= _LEAST_DOUBTED else used)
    kinds = np.where(unknown, operating_points.ordinary_kinds(policy, rows, small.rows), "")
    bounds = {"small alone": NEVER, "cascade": limits, "large alone": replace(NEVER, unsure=-0.1)}
    held = _HeldOut(policy=policy, truth=truth, used=used, on=on, kinds=kinds, among=among, before=small.among)
    chosen, points = {}, []
    for name, bound in bounds.items():
        second = last if name == "large alone" else both
        way = operating_points.cascade_path(first.probabilities, second.probabilities, bound)
        scores, asked = (first.probabilities, None) if name == "small alone" else (way.certain, second.stage)
        chosen[name] = held.choose(scores, asked)
        points.append({"point": name, **_point(chosen[name].thresholds, way.only(used), scores[used], harmful[used])})
    one = replace(first.stage, thresholds=dict.fromkeys(first.stage.head.classes, limits))
    stages = (one, replace(both.stage, thresholds=chosen["cascade"].thresholds))
    trained = measured(
        policy,
        rows,
        small.rows,
        stages=stages,
        chosen=chosen["cascade"],
        verdicts=_verdicts(policy, replace(first, stage=stages[0]), replace(both, stage=stages[1])),
        used=used,
        settings={**small.settings, "head": head},
    )
    return trained, {"most_asked": MOST_ASKED, "points": points}


@dataclass(frozen=True, slots=True, kw_only=True)
class _HeldOut:
    """Held-out rows by which thresholds are chosen. truth: (n, labels); used: (n,) which count, on: what these are;
    kinds: (n,) of ordinary traffic. among: what the last stage reads of each among ordinary text; before: (n, labels)
    what the first makes of it."""

    policy: Policy
    truth: Bools
    used: Bools
    on: str
    kinds: NDArray[np.str_]
    among: Windows | None
    before: Floats | None

    def choose(self, scores: Floats, last: Stage | None) -> ChosenThresholds:
        """Thresholds. scores: (n, labels) of each row by itself; last: the stage that is asked, None for the first."""
        times = 1
        if self.among is not None and self.before is not None:
            own, times = self.before, 2
            if last:
                # of several texts together some part is open, so the last stage is asked about all of them
                result = max_over_windows(last, self.among)
                own = cascade.combine(result, replace(result, probabilities=own), multi_label=True).probabilities
            scores = np.concatenate([scores, own])
        calm = OrdinaryTraffic.of(scores, np.tile(self.kinds, times), times=times) if self.policy.reads_parts else None
        counted, holds = np.tile(self.used, times), np.tile(self.truth, (times, 1))
        return for_any(self.policy, scores[counted], holds[counted], self.on, larger=True, ordinary=calm)


def _point(limits: Mapping[str, Threshold], way: CascadePath, scores: Floats, harmful: Bools) -> dict[str, Any]:
    """One way of using both stages, for the report; shares are of held-out text. limits: of the last stage; scores:
    (n, labels) by which it flags."""
    acts = np.array([limit.act for limit in limits.values()], np.float32)
    flagged: Bools = np.asarray((scores >= acts).any(axis=1), bool)
    return {
        "asked_of_harmless": _share(way.asked[~harmful]) or 0.0,
        "asked": _share(way.asked),
        "caught": _share(flagged[harmful]),
        "alarms": _share(flagged[~harmful]),
        "auprc": average_precision(way.probabilities.max(axis=1), harmful),
        "thresholds": describe(dict(limits)),
    }


def _share(mask: Bools) -> float | None:
    return round(float(mask.mean()), 4) if len(mask) else None


def _verdicts(policy: Policy, first: StageResult, last: StageResult) -> Iterator[Verdict]:
    for place, sure in enumerate(cascade.settled(first)):
        part = (first if sure else last).only(np.array([place]))
        choice, probabilities = cascade.decide_any([part], last.stage)
        yield verdict_of(policy, first.stage.head.classes, probabilities, choice, 0.0)


GUARD = "guard"
"""The name of a guard's stage, and of its encoder in the artifact."""
_TOKENS = 128
"""The longest window in which a guard reads a text."""
_NEVER_LIKELY = -20.0
_FOLDS = 5
_COMPARED = 200
MEAN_APART = 0.03
"""The most by which a converted guard's probabilities may differ from its own, on average over rows."""
_FORMS = ((True, True), (False, True), (False, False))
"""Whether the graph is fused, and int8, in the order in which it is tried: attention that ONNX Runtime's tools do not
know is left as it is, and what int8 blurs stays in 32 bits."""


def find_policys_guard(policy: Policy, base_dir: Path, models_dir: Path) -> GuardSource:
    """The policy's guard. Raises PolicyError where it is not to be had or its labels are others, with the places."""
    assert policy.guard is not None
    found = None
    problems: list[tuple[tuple[str, ...], str]] = []
    try:
        found = find_guard(policy.guard.model, base_dir, models_dir)
        if found.lacking:
            problems.append((("guard", "model"), found.lacking))
    except EncoderError as error:
        problems.append((("guard", "model"), str(error)))
    problems += label_problems(policy, found.labels if found else None)
    theirs = found.policy if found else None
    if theirs and (shared := _files_of(policy) & _files_of(theirs)):
        why = f"{theirs.name} has learned from {', '.join(sorted(shared))} as well, so nothing shows its worth here"
        problems.append((("guard", "model"), why))
    if problems or found is None:
        raise _wrong_guard(policy, problems)
    return found


def _wrong_guard(policy: Policy, problems: Sequence[tuple[tuple[str, ...], str]]) -> PolicyError:
    lines = (f"{policy.name}: {'.'.join(path)}: {what}" for path, what in problems)
    return PolicyError("\n".join(lines), places=tuple(problems))


def _files_of(policy: Policy) -> set[str]:
    return {Path(name).name for name in (*policy.data, *(file for teacher in policy.teachers for file in teacher.file))}


def _has_learned(source: GuardSource, held: Sequence[Row], seed: int) -> Bools:
    """(n,) which held-out rows are among what is written for the guard's own policy."""
    taught = {key(row.text) for row in write(source.policy, seed).rows} if source.policy else set()
    return np.array([key(row.text) in taught for row in held], bool)


def with_guard(training: TrainingSet, made: FittedModel, bench: Workbench) -> FittedModel:
    """The model with the policy's guard behind it; as it is, with a note, where held-out text gained nothing. Raises
    PolicyError where it cannot be had or converted."""
    policy, small = training.policy, made.trained
    assert policy.guard is not None
    source = find_policys_guard(policy, bench.base_dir, bench.models_dir)
    ours, odds = source.odds(policy.guard, policy.learned)
    held = [training.rows[index] for index in small.rows.tolist()]
    texts = [row.text for row in held]
    bench.progress.step(f"guard: converting {source.name}")
    try:
        encoder, folder, record = convert(source, odds, texts, bench)
    except (EncoderError, TrainingError) as error:
        raise _wrong_guard(policy, [(("guard", "model"), str(error))]) from error
    bench.progress.step("guard: reading the rows")
    # others' guards were trained on whole texts
    parts = policy.reads_parts and source.head is not None
    reads = windowing(policy) if parts else tuned_windowing(min(_TOKENS, encoder.max_tokens))
    first_windows = embed(encoder, texts, bench.progress.advance, tokens=reads.tokens)
    seen = windows_of(encoder, texts, first_windows, reads)
    stacking = _Stacking(ours, odds, seen, small, parts=parts)
    truth = np.array([[name in row.labels for name in small.model.last.head.classes] for row in held], bool)
    known = _has_learned(source, held, bench.seed)
    used = measured_on(policy, training.rows, small.rows)[0] & ~known
    both, alone = stacking.gains(truth, used, split.folds(held, _FOLDS, bench.seed))
    record |= {"model": source.name, "version": source.version, "sha256": sha256_of(source.weights), "labels": ours}
    record |= {"loss": {"both": both, "alone": alone}}
    if not gains(both, alone):
        return made.with_settings(guard=record, note="guard: it gained nothing on held-out text, so heads alone serve")
    trained, points = cascade_model(
        policy,
        training.rows,
        small,
        truth,
        first=stacking.first,
        last=max_over_windows(stacking.stage(encoder, truth, used, reads), seen),
        pool=stacking.pool,
        head=f"{small.settings['head']}; a pretrained guard where these are in doubt",
        known=known,
        among=_among(policy, training.rows, small, seen, bench.seed),
    )
    return FittedModel(
        trained=trained,
        encoders=(*made.encoders, encoder),
        samples=(*made.samples, seen.vectors),
        own={**made.own, GUARD: folder},
        settings={**made.settings, "guard": {**record, **points}},
    )


def _among(policy: Policy, rows: Sequence[Row], small: MeasuredModel, seen: Windows, seed: int) -> Windows | None:
    """The windows of held-out rows among the ordinary text that the heads were measured among. seen: of the rows."""
    if small.among is None:
        return None
    calm = np.flatnonzero(operating_points.ordinary_kinds(policy, rows, small.rows) != "")
    both = split.HeldOutWindows(rows=small.rows, logits=seen.vectors, starts=seen.starts).amid(calm, seed)
    first = both.starts[len(small.rows)]
    return Windows(vectors=both.logits[first:], starts=both.starts[len(small.rows) :] - first)


def gains(both: float, alone: float) -> bool:
    """Whether a guard is worth its time: by how unlikely both, and the heads alone, make held-out truth."""
    return both < alone


class _Stacking:
    """A guard beside a policy's heads on held-out rows. first: what the heads make of them. Labels for which the same
    of the guard's stand are one kind of harm here: the guard says whether any of them holds, the heads say which."""

    def __init__(self, ours: Sequence[str], odds: Odds, seen: Windows, small: MeasuredModel, *, parts: bool) -> None:
        """ours: labels that the guard gives odds of; seen: of the rows, those odds; small: the heads' model; parts:
        whether the guard reads a text in its parts."""
        self._chances = calibrate.PARTS_CHANCES if parts else calibrate.CHANCES
        self._counted = calibrate.PARTS_COUNTED if parts else calibrate.WINDOWS_COUNTED
        self._classes = small.model.last.head.classes
        self._places = [self._classes.index(name) for name in ours]
        kinds = list(dict.fromkeys(odds.groups))
        self._kinds = [kinds.index(group) for group in odds.groups]
        own = np.array([[verdict.scores[name] for name in self._classes] for verdict in small.verdicts], np.float32)
        self.first = StageResult(stage=small.model.last, probabilities=own, away=np.zeros(len(own), np.float32))
        counts = np.diff(seen.starts, append=len(seen.vectors))
        self._seen = seen
        self._evidence = GuardEvidence(
            guard=highest(seen.vectors, seen.starts)[:, [self._kinds.index(kind) for kind in range(len(kinds))]],
            own=self._by_kind(own),
            fewer=lost_chances(self._chances, counts, self._counted),
        )

    def gains(self, truth: Bools, used: Bools, folds: Ints) -> tuple[float, float]:
        """The loss of both and of the heads alone, by the used rows. truth: (n, classes); folds: (n,)."""
        losses = stacking_loss(self._evidence.only(used), self._by_kind(truth[used]), folds[used])
        return round(losses[0], 5), round(losses[1], 5)

    def stage(self, encoder: Encoder, truth: Bools, used: Bools, reads: Windowing) -> Stage:
        """The guard's own, calibrated alone. What it has no label for is never likely."""
        weights = np.zeros((len(self._classes), len(self._places)), np.float32)
        weights[self._places, range(len(self._places))] = 1
        fits = [
            calibrate.fit_platt(odds, holds, self._evidence.fewer[used])
            for odds, holds in zip(self._evidence.guard[used].T, self._by_kind(truth[used]).T, strict=True)
        ]
        scale, offset = self._spread([fit[0] for fit in fits], 1), self._spread([fit[1] for fit in fits], _NEVER_LIKELY)
        return Stage(
            name=GUARD,
            encoder=encoder.id,
            head=Head(classes=self._classes, weights=weights, bias=np.zeros(len(weights), np.float32)),
            calibration=Calibration(
                scale=scale,
                offset=offset,
                chances=self._chances,
                few_chances=self._counted[0],
                most_chances=self._counted[1],
            ),
            thresholds={},
            novelty=never_novel(len(self._places)),
            windowing=reads,
        )

    def pool(self, first: StageResult, last: StageResult, truth: Bools, shown: Bools) -> StageResult:
        """Both together. Of a label that the guard has none for, the heads decide."""
        fitted = stack(self._evidence.only(shown), self._by_kind(truth[shown]))
        rest = 1 - fitted.own
        stage = replace(
            last.stage,
            calibration=replace(
                last.stage.calibration,
                scale=self._spread(fitted.guard / rest, 1),
                offset=self._spread(fitted.offset / rest, 0),
            ),
            earlier=tuple(self._spread(fitted.own, 1).tolist()),
        )
        return cascade.combine(max_over_windows(stage, self._seen), first, multi_label=True)

    def _by_kind(self, each: NDArray[_T]) -> NDArray[_T]:
        """(n, kinds) the highest of the labels of each kind. each: (n, classes)."""
        kinds, places = np.array(self._kinds), np.array(self._places)
        return np.stack([each[:, places[kinds == kind]].max(axis=1) for kind in range(max(kinds) + 1)], axis=1)

    def _spread(self, values: Sequence[float] | Floats, otherwise: float) -> Floats:
        """(classes,) the values of each label's kind, and something else for labels that the guard does not know."""
        spread = np.full(len(self._classes), otherwise, np.float32)
        spread[self._places] = np.asarray(values, np.float32)[self._kinds]
        return spread


def convert(
    source: GuardSource, odds: Odds, texts: Sequence[str], bench: Workbench
) -> tuple[Encoder, Path, dict[str, Any]]:
    """The guard as it serves, its folder, and how it agrees with itself before on some of the texts. Raises
    EncoderError where it cannot be converted, TrainingError where what comes out is another guard."""
    if source.head is not None:
        return _with_own_head(source, source.head, odds, bench)
    graph, logits = _opened(source, odds, bench)
    tokens = Tokens.open(source.folder / TOKENIZER)
    room = tokens.room(_TOKENS, source.max_tokens, 0)
    some = texts[:: max(1, len(texts) // _COMPARED)]
    ids = [tokens.surround(tokens.encode(normalise(text[: room * LONGEST_CHARS_A_TOKEN]))[:room]) for text in some]
    before = log_odds(np.stack([logits(window) for window in ids]), odds)
    given = EncoderSource(
        name=OWN + GUARD,
        model=graph,
        tokenizer=source.folder / TOKENIZER,
        heads=source.heads,
        dimensions=source.dimensions,
        pooling="odds",
        odds=odds,
        max_tokens=source.max_tokens,
    )
    failed = ""
    for fused, int8 in _FORMS:
        form = f"{'fused' if fused else 'plain'}-{'int8' if int8 else 'fp32'}"
        folder = bench.scratch / f"{GUARD}-{form}"
        folder.mkdir()
        try:
            write_prepared(given, folder, int8=int8, fused=fused)
            encoder = Encoder.open(folder, bench.threads)
        except EncoderError as error:
            failed = str(error)
            continue
        differ = float(apart(before, embed(encoder, some, tokens=_TOKENS)).mean())
        if differ <= MEAN_APART:
            return encoder, folder, {"form": form, "rows": len(some), "apart": round(differ, 5)}
        failed = f"as {form} its probabilities differ by {differ:.3f} on average, at most {MEAN_APART} is allowed"
    raise TrainingError(f"guard {source.name} does not survive its conversion: {failed}")


def _with_own_head(
    source: GuardSource, head: tuple[Floats, Floats], odds: Odds, bench: Workbench
) -> tuple[Encoder, Path, dict[str, Any]]:
    """A trained classifier as a guard: its encoder as it is, with its head behind it in the same graph."""
    folder = bench.scratch / GUARD
    folder.mkdir()
    write_with_head(source.folder, folder, OWN + GUARD, head, odds)
    return Encoder.open(folder, bench.threads), folder, {"form": "trained"}


def _opened(source: GuardSource, odds: Odds, bench: Workbench) -> tuple[Path, Callable[[Sequence[int]], Floats]]:
    """The guard's graph, made by torch where there are only weights, and what it makes of ids before its conversion."""
    if not source.is_graph:
        from classifiers.training.fit.torch_export import trace_guard

        path = bench.scratch / "guard.onnx"
        return path, trace_guard(source, path, bench.threads)
    try:
        model = load_graph(source.weights, bench.scratch)
    except Exception as error:  # onnx raises whatever it comes upon
        raise EncoderError(f"{source.weights} is no ONNX graph: {type(error).__name__}: {error}") from error
    name, graph = logits_of(model, odds.logits), Graph(model.SerializeToString(), "odds")
    return source.weights, lambda ids: graph.tensors([name], ids)[0][0]
