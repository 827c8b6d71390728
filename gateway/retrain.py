"""Learning from traffic: a rule's classifier is trained on what the model answered, tried beside the one in use, and
takes over when it answers more calls under the same bound.

Training is another process of the lowest priority. What it makes is proposed, not put in use; every call that a coin
chooses then certifies it too. It takes over when, in each contract of the rules that bind the classifier, its certified
threshold lets through no fewer of the latest chosen calls than the one in use, and more in at least one.
"""

import asyncio
import json
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from classifiers.errors import ArtifactError
from classifiers.registry import Registry
from gateway.config.load import Loaded, policy_file
from gateway.config.rules import Retrain, Rule
from gateway.contract.owner import Owner
from gateway.in_use import InUse
from gateway.ledger.store import LedgerError
from gateway.metrics import Metrics

_log = logging.getLogger(__name__)
_LONGEST_TRIAL: Final = 4000
"""Pairs of calls, forwarded for any reason, after which a version that has not outdone the one in use is withdrawn."""
_DONE: Final = 0
_GOAL_MISSED: Final = 3
"""Exit codes of `offramp train`."""
_SHOWN: Final = 2000


class Retrainer:
    """Of all rules of a gateway that retrain."""

    def __init__(self, loaded: Loaded, *, owner: Owner, in_use: InUse, metrics: Metrics) -> None:
        self._loaded = loaded
        self._registry = Registry(loaded.models_dir)
        self._owner = owner
        self._in_use = in_use
        self._metrics = metrics
        self._training: asyncio.Task[None] | None = None

    async def look(self) -> None:
        """Does what is due: trains, promotes, withdraws."""
        try:
            for rule in self._loaded.settings.rules:
                if rule.retrain is not None:
                    await self._look_at(rule, rule.retrain)
        except (LedgerError, ArtifactError, OSError) as error:
            _log.error("%s", error)

    async def close(self) -> None:
        """Ends a training that is running."""
        if self._training is not None:
            self._training.cancel()
            await asyncio.gather(self._training, return_exceptions=True)

    async def _look_at(self, rule: Rule, retrain: Retrain) -> None:
        edition = self._in_use.edition
        tried = edition.proposed.get(rule.classifier)
        proposed = self._registry.proposed(rule.classifier)
        if tried is not None:
            if proposed == tried:
                # what has just been promoted or withdrawn is in the edition until the next reload
                await self._judge(rule, tried, edition.versions[rule.classifier])
            return
        busy = self._training is not None and not self._training.done()
        if busy or proposed is not None:
            return
        # each version that is tried spends of α and of answers: the next one is to know twice as much
        since, last = await self._owner.ask(lambda store: store.texts_since_training(rule.name))
        if since >= max(retrain.every, last):
            self._training = asyncio.create_task(self._try_to_train(rule))

    async def _judge(self, rule: Rule, tried: str, current: str) -> None:
        trial = await self._owner.trial(rule.classifier, tried, current=current)
        if trial.outdoes:
            await asyncio.to_thread(self._registry.promote, rule.classifier, tried)
            self._ended(rule, "promoted", f"version {tried} answers more than {current} under the same bound")
        elif trial.pairs >= _LONGEST_TRIAL or not trial.hopeful:
            self._registry.withdraw(rule.classifier)
            self._ended(rule, "withdrawn", f"version {tried} did not outdo {current} within {trial.pairs} pairs")

    async def _try_to_train(self, rule: Rule) -> None:
        try:
            await self._train(rule)
        except (LedgerError, OSError) as error:
            self._ended(rule, "failed", str(error))

    async def _train(self, rule: Rule) -> None:
        texts = await self._owner.ask(lambda store: store.texts(rule.name))
        await self._owner.ask(lambda store: store.trained(rule.name, time.time(), len(texts)))
        _log.warning("rule %s: %s is trained on %d texts of its calls", rule.name, rule.classifier, len(texts))
        with tempfile.TemporaryDirectory(prefix="offramp-retrain-") as folder:
            file = Path(folder) / "calls.jsonl"
            lines = (json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in texts)
            await asyncio.to_thread(file.write_text, "".join(f"{line}\n" for line in lines), "utf-8")
            code, said = await self._run(rule, file)
        if code == _DONE:
            self._ended(rule, "proposed", "the new version is tried beside the one in use")
        elif code == _GOAL_MISSED:
            why = "it misses its goals or its tests, or does worse than the one in use"
            self._ended(rule, "refused", f"{why}; see offramp train's report\n{said}")
        else:
            self._ended(rule, "failed", f"the training ended with {code}\n{said}")

    async def _run(self, rule: Rule, file: Path) -> tuple[int, str]:
        """The training's exit code, and the end of what it said."""
        command = [sys.executable, "-m", "gateway", "train", str(policy_file(self._loaded, rule.classifier))]
        command += ["--data", str(file), "--models", str(self._loaded.models_dir), "--beside"]
        nice = shutil.which("nice")
        process = await asyncio.create_subprocess_exec(
            *([nice, "-n", "19"] if nice else []),
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        return process.returncode or 0, said.decode(errors="replace")[-_SHOWN:]

    def _ended(self, rule: Rule, outcome: str, why: str) -> None:
        self._metrics.retrainings.labels(rule.name, outcome).inc()
        log = _log.error if outcome == "failed" else _log.warning
        log("rule %s: %s: %s", rule.name, outcome, why)
