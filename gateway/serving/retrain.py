"""Retrains rules' classifiers on the answers of the model, and puts a new version in use if it answers more calls.

Training is another process of the lowest priority. Its texts go through a pipe: no file but the ledger's holds them.
The new version is a challenger: audited calls certify it, too. It takes over when, in each contract of the rules that
bind the classifier, its certified threshold lets through no fewer of the latest audited calls than the champion's, and
more in at least one.
"""

import asyncio
import json
import logging
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from classifiers.errors import ArtifactError
from classifiers.model.registry import Registry
from classifiers.policy import OTHER, Policy
from gateway.config.load import Loaded, load_policy, policy_file
from gateway.config.problems import ConfigError
from gateway.config.rules import RuleSettings
from gateway.contracts.owner import Owner
from gateway.contracts.scope import among
from gateway.ledger.store import LedgerError
from gateway.metrics.observe import Metrics
from gateway.serving.snapshot import CurrentSnapshot, Snapshot, train_command


def this_program() -> list[str]:
    """The command that starts this Offramp again, whatever a module in the current folder is called."""
    here = Path(__file__).resolve().parents[2] == Path.cwd().resolve()
    return [sys.executable, *([] if here else ["-P"]), "-m", "gateway"]


_log = logging.getLogger(__name__)
_LONGEST_TRIAL: Final = 4000
"""Pairs of calls, forwarded for any reason, after which a challenger that answers no more calls is withdrawn."""
_DONE: Final = 0
_GOAL_MISSED: Final = 3
"""Exit codes of `offramp train`."""
_SHOWN: Final = 2000
_REST_S: Final = 3600.0
_LONGEST_REST_S: Final = 86400.0
"""After a failed training of a rule, and twice as long after each further one: its cause may last."""
_TAKING_BACK_S: Final = 5.0
"""For a training that is stopped, to undo what it began."""


class _Failed(Exception):
    """A training failed; the message says why."""


class Retrainer:
    """Retrains the rules of a gateway that ask for it. clock: monotonic seconds."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        owner: Owner,
        current: CurrentSnapshot,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loaded = loaded
        self._registry = Registry(loaded.models_dir)
        self._owner = owner
        self._current = current
        self._metrics = metrics
        self._clock = clock
        self._training: asyncio.Task[None] | None = None
        self._rests: dict[str, tuple[float, float]] = {}

    async def tick(self) -> None:
        """Trains, promotes or withdraws what is due."""
        try:
            for rule in self._loaded.settings.rules:
                if rule.retrain is not None:
                    await self._look_at(rule, rule.retrain)
        except (LedgerError, ArtifactError, OSError) as error:
            _log.error("%s", error)

    async def close(self) -> None:
        if self._training is not None:
            self._training.cancel()
            await asyncio.gather(self._training, return_exceptions=True)

    async def _look_at(self, rule: RuleSettings, every: int) -> None:
        snapshot = self._current.snapshot
        tried = snapshot.proposed.get(rule.classifier)
        proposed = self._registry.proposed(rule.classifier)
        if tried is not None:
            if proposed == tried:
                # a version that was just promoted or withdrawn is in the snapshot until the next reload
                await self._judge(rule, tried, snapshot.versions[rule.classifier])
            return
        busy = self._training is not None and not self._training.done()
        until, _ = self._rests.get(rule.name, (-math.inf, 0.0))
        if busy or proposed is not None or self._clock() < until:
            return
        labels = among(rule.classifier, _labels(snapshot, rule))
        # each challenger spends some of α and of the answers: the next one must know twice as much
        since, last = await self._owner.ask(lambda store: store.texts_since_training(rule.name, labels))
        if since >= max(every, last):
            self._training = asyncio.create_task(self._try_to_train(rule, snapshot))

    async def _judge(self, rule: RuleSettings, tried: str, current: str) -> None:
        trial = await self._owner.trial(rule.classifier, tried, current=current)
        if (self._registry.proposed(rule.classifier), self._registry.named(rule.classifier)) != (tried, current):
            # somebody put another version there meanwhile, of which the trial says nothing
            return
        if trial.outdoes:
            await asyncio.to_thread(self._registry.promote, rule.classifier, tried)
            self._ended(rule, "promoted", f"version {tried} answers more than {current} under the same bound")
        elif trial.pairs >= _LONGEST_TRIAL or not trial.hopeful:
            self._registry.withdraw(rule.classifier)
            self._ended(rule, "withdrawn", f"version {tried} did not outdo {current} within {trial.pairs} pairs")

    async def _try_to_train(self, rule: RuleSettings, snapshot: Snapshot) -> None:
        try:
            self._ended(rule, *await self._train(rule, snapshot))
            self._rests.pop(rule.name, None)
        except Exception as error:  # noqa: BLE001 - nobody waits for it; it is logged, counted, and tried again
            _, rest = self._rests.get(rule.name, (0.0, _REST_S / 2))
            rest = min(2 * rest, _LONGEST_REST_S)
            self._rests[rule.name] = self._clock() + rest, rest
            self._ended(rule, "failed", f"{error}; it is tried again in {rest / 3600:g} h")
            if not isinstance(error, (_Failed, LedgerError, ConfigError, OSError)):
                # an unexpected error needs its traceback
                _log.exception("a training")

    async def _train(self, rule: RuleSettings, snapshot: Snapshot) -> tuple[str, str]:
        """The outcome, proposed or refused, and why. A training that is cancelled leaves no trace."""
        file = policy_file(self._loaded, rule.classifier)
        policy = await asyncio.to_thread(load_policy, file, os.environ, secrets=False)
        labels = _labels(snapshot, rule)
        if policy.name != rule.classifier:
            raise _Failed(f"{file}: its name: is {policy.name}, not {rule.classifier}, which is to be trained")
        if _named(policy) != labels:
            # labels in their order are part of a contract: none that the trial certifies would stand
            raise _Failed(
                f"{file} names other labels than the version in use, or in another order; "
                f"run: {train_command(file, self._loaded)}"
            )
        source = among(rule.classifier, labels)
        began = time.time()
        texts = await self._owner.ask(lambda store: store.texts(rule.name, source))
        await self._owner.ask(lambda store: store.training(rule.name, began, len(texts), among=source))
        _log.warning("rule %s: %s is trained on %d texts of its calls", rule.name, rule.classifier, len(texts))
        code, output = await self._run(rule, texts)
        if code not in (_DONE, _GOAL_MISSED):
            raise _Failed(f"the training ended with {code}\n{output}")
        await self._owner.ask(lambda store: store.trained(rule.name, began))
        if code == _DONE:
            return "proposed", "the new version is tried beside the one in use"
        why = "it misses its goals or its tests, or does worse than the one in use"
        return "refused", f"{why}; see offramp train's report\n{output}"

    async def _run(self, rule: RuleSettings, texts: Sequence[tuple[str, str]]) -> tuple[int, str]:
        """The training's exit code, and the end of its output. texts: (text, label)."""
        calls = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in texts)
        command = [*this_program(), "train", str(policy_file(self._loaded, rule.classifier))]
        command += ["--calls", "--models", str(self._loaded.models_dir), "--propose", "--yes"]
        nice = shutil.which("nice")
        process = await asyncio.create_subprocess_exec(
            *([nice, "-n", "19"] if nice else []),
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await process.communicate(calls.encode())
        except asyncio.CancelledError:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _TAKING_BACK_S)
            except TimeoutError:
                process.kill()
                await process.wait()
            raise
        return process.returncode or 0, output.decode(errors="replace")[-_SHOWN:]

    def _ended(self, rule: RuleSettings, outcome: str, why: str) -> None:
        self._metrics.retrainings.labels(rule.name, outcome).inc()
        log = _log.error if outcome == "failed" else _log.warning
        log("rule %s: %s: %s", rule.name, outcome, why)


def _named(policy: Policy) -> tuple[str, ...]:
    """All that a classifier of this policy can name, as rules have it."""
    return (*policy.labels, *((OTHER,) if policy.other else ()))


def _labels(snapshot: Snapshot, rule: RuleSettings) -> tuple[str, ...]:
    return next(each.names.labels for each in snapshot.rules if each.name == rule.name)
