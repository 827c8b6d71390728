"""Retrains rules' classifiers on the answers of the model.

Training is another process of the lowest priority. Its texts go through a pipe: no file but the ledger's holds them.
What meets the goals and tests of its policy, and is not worse than the version before, is put in use.
"""

import asyncio
import json
import logging
import math
import os
import resource
import shutil
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from classifiers.policy import OTHER, Policy
from gateway.config.load import Loaded, load_policy, policy_file
from gateway.config.problems import ConfigError
from gateway.config.rules import RuleSettings
from gateway.contracts.owner import Owner
from gateway.contracts.scope import among
from gateway.contracts.store import CallText
from gateway.ledger.store import LedgerError
from gateway.metrics.observe import Metrics
from gateway.serving.snapshot import CurrentSnapshot, Snapshot, train_command


def this_program() -> list[str]:
    """The command that starts this Offramp again, whatever a module in the current folder is called."""
    here = Path(__file__).resolve().parents[2] == Path.cwd().resolve()
    return [sys.executable, *([] if here else ["-P"]), "-m", "gateway"]


_log = logging.getLogger(__name__)
_OUTCOMES: Final = {0: "published", 3: "refused"}
"""By the exit code of `offramp train`."""
_SHOWN: Final = 2000
_REST_S: Final = 3600.0
_LONGEST_REST_S: Final = 86400.0
"""After a failed training of a rule, and twice as long after each further one: its cause may last."""
_TAKING_BACK_S: Final = 5.0
"""For a training that is stopped, to undo what it began."""
_STEPS: Final = ((1000, 125), (2000, 250), (5000, 500), (math.inf, 1000))
"""Up to how many texts a training comes after so many further ones."""
_HOUR_S: Final = 3600.0
MOST_CPU_S: Final = 360.0
"""Of trainings in any hour, all rules together."""


class _Failed(Exception):
    """A training failed; the message says why."""


def texts_needed(known: int) -> int:
    """How many new texts the next training takes. known: texts that the last one had and that are kept still."""
    return next(step for most, step in _STEPS if known < most)


def may_train(spent: Sequence[tuple[float, float]], now: float) -> bool:
    """Whether a training that takes as long as the last one keeps to the processor time of an hour. One that took more
    than that stands for as many hours. spent: when each training ended, and its seconds of processor time."""
    counted = [cpu_s for end, cpu_s in spent if now < end + _HOUR_S * max(1.0, cpu_s / MOST_CPU_S)]
    return not counted or sum(counted) + min(spent[-1][1], MOST_CPU_S) <= MOST_CPU_S


def children_cpu_s() -> float:
    """Processor time of all processes that this one began and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(kw_only=True, eq=False, repr=False)
class Retrainer:
    """Retrains the rules of a gateway that ask for it, one at a time. clock: monotonic seconds; cpu: processor time of
    ended children."""

    loaded: Loaded
    owner: Owner
    current: CurrentSnapshot
    metrics: Metrics
    clock: Callable[[], float] = time.monotonic
    cpu: Callable[[], float] = children_cpu_s

    def __post_init__(self) -> None:
        self._training: asyncio.Task[None] | None = None
        self._rests: dict[str, tuple[float, float]] = {}
        self._spent: list[tuple[float, float]] = []

    async def tick(self) -> None:
        """Begins a training that is due."""
        try:
            for rule in self.loaded.settings.rules:
                busy = self._training is not None and not self._training.done()
                if rule.retrain and not busy and await self._is_due(rule):
                    self._training = asyncio.create_task(self._try_to_train(rule, self.current.snapshot))
        except (LedgerError, OSError) as error:
            _log.error("%s", error)

    async def close(self) -> None:
        if self._training is not None:
            self._training.cancel()
            await asyncio.gather(self._training, return_exceptions=True)

    async def _is_due(self, rule: RuleSettings) -> bool:
        until, _ = self._rests.get(rule.name, (-math.inf, 0.0))
        if self.clock() < until or not may_train(self._spent, self.clock()):
            return False
        labels = among(rule.classifier, _labels(self.current.snapshot, rule))
        since, known = await self.owner.ask(lambda store: store.texts_since_training(rule.name, labels))
        return since >= texts_needed(known)

    async def _try_to_train(self, rule: RuleSettings, snapshot: Snapshot) -> None:
        before = self.cpu()
        try:
            self._ended(rule, *await self._train(rule, snapshot))
            self._rests.pop(rule.name, None)
        except Exception as error:  # noqa: BLE001 - nobody waits for it; it is logged, counted, and tried again
            _, rest = self._rests.get(rule.name, (0.0, _REST_S / 2))
            rest = min(2 * rest, _LONGEST_REST_S)
            self._rests[rule.name] = self.clock() + rest, rest
            self._ended(rule, "failed", f"{error}; it is tried again in {rest / 3600:g} h")
            if not isinstance(error, (_Failed, LedgerError, ConfigError, OSError)):
                # an unexpected error needs its traceback
                _log.exception("a training")
        self._spent = [*self._spent[-999:], (self.clock(), self.cpu() - before)]

    async def _train(self, rule: RuleSettings, snapshot: Snapshot) -> tuple[str, str]:
        """The outcome, published or refused, and why. A training that is cancelled leaves no trace."""
        file = policy_file(self.loaded, rule.classifier)
        policy = await asyncio.to_thread(load_policy, file, os.environ, secrets=False)
        labels = _labels(snapshot, rule)
        if policy.name != rule.classifier:
            raise _Failed(f"{file}: its name: is {policy.name}, not {rule.classifier}, which is to be trained")
        if _named(policy) != labels:
            # kept texts are of the labels in use
            raise _Failed(
                f"{file} names other labels than the version in use, or in another order; "
                f"run: {train_command(file, self.loaded)}"
            )
        source = among(rule.classifier, labels)
        began = time.time()
        texts = await self.owner.ask(lambda store: store.texts(rule.name, source))
        await self.owner.ask(lambda store: store.training(rule.name, began, len(texts), among=source))
        _log.warning("rule %s: %s is trained on %d texts of its calls", rule.name, rule.classifier, len(texts))
        code, output, errors = await self._run(rule, texts)
        if (outcome := _OUTCOMES.get(code)) is None:
            raise _Failed(f"the training ended with {code}\n{errors[-_SHOWN:]}")
        await self.owner.ask(lambda store: store.trained(rule.name, began))
        [made] = await asyncio.to_thread(json.loads, output)
        read = [(one.id, b64decode(vector)) for one, vector in zip(texts, made["vectors"], strict=False) if vector]
        await self.owner.ask(lambda store: store.put_vectors(read))
        return outcome, "; ".join(made["missed"]) or f"version {made['version']} is in use"

    async def _run(self, rule: RuleSettings, texts: Sequence[CallText]) -> tuple[int, str, str]:
        """The training's exit code, its outcome as JSON, and what it wrote for people."""
        calls = await asyncio.to_thread(_lines, texts)
        command = [*this_program(), "train", str(policy_file(self.loaded, rule.classifier))]
        command += ["--calls", "--refit", "--models", str(self.loaded.models_dir), "--json", "--yes"]
        nice = shutil.which("nice")
        process = await asyncio.create_subprocess_exec(
            *([nice, "-n", "19"] if nice else []),
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        try:
            output, errors = await process.communicate(calls)
        except asyncio.CancelledError:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _TAKING_BACK_S)
            except TimeoutError:
                process.kill()
                await process.wait()
            raise
        return process.returncode or 0, output.decode(errors="replace"), errors.decode(errors="replace")

    def _ended(self, rule: RuleSettings, outcome: str, why: str) -> None:
        self.metrics.retrainings.labels(rule.name, outcome).inc()
        log = _log.error if outcome == "failed" else _log.warning
        log("rule %s: %s: %s", rule.name, outcome, why)


def _lines(texts: Sequence[CallText]) -> bytes:
    """Texts as `offramp train --calls` takes them."""
    calls = [
        {"text": one.text, "label": one.label, "weight": one.weight, "vector": b64encode(one.vector or b"").decode()}
        for one in texts
    ]
    return "".join(json.dumps(call) + "\n" for call in calls).encode()


def _named(policy: Policy) -> tuple[str, ...]:
    """All that a classifier of this policy can name, as rules have it."""
    return (*policy.labels, *((OTHER,) if policy.other else ()))


def _labels(snapshot: Snapshot, rule: RuleSettings) -> tuple[str, ...]:
    return next(each.names.labels for each in snapshot.rules if each.name == rule.name)
