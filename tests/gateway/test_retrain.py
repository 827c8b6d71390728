"""What becomes of a version that is tried, where a real runtime takes up what the folder of models says."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from classifiers import Worker
from classifiers.policy import Policy
from classifiers.registry import Registry
from gateway.config.load import Loaded
from gateway.contract.owner import Owner
from gateway.contract.trial import Trial
from gateway.in_use import InUse, edition
from gateway.metrics import Metrics
from gateway.reload import Reloader
from gateway.retrain import Retrainer
from gateway.trained import load_runtime

GATEWAY = """
version: 1
models_dir: models
content: {keep: 1d}
upstreams: {one: {kind: echo}}
models: {dear: one}
rules:
  - name: intents
    classifier: bank
    contract: true
    retrain: {}
    then: {"*": {answer: label}}
"""
OLD, NEW = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2))


class Tries:
    """An owner of contracts whose trial has ended so."""

    def __init__(self, *, outdoes: bool) -> None:
        self._trial = Trial(pairs=10, outdoes=outdoes, hopeful=outdoes)

    async def trial(self, *_: str, **__: str) -> Trial:
        return self._trial

    async def ask(self, _: Any) -> tuple[int, int]:
        """No text since the last training."""
        return 0, 0


@pytest.mark.parametrize("outdoes", [True, False])
async def test_the_end_of_a_trial_is_told_once(
    load: Callable[[str], Loaded],
    publish: Callable[[datetime], str],
    policies: dict[str, Policy],
    tmp_path: Path,
    outdoes: bool,
) -> None:
    old, new = publish(OLD), publish(NEW)
    file = tmp_path / "policies" / "bank.yaml"
    file.parent.mkdir()
    file.write_text(policies["bank"].model_dump_json(), "utf-8")
    loaded = load(GATEWAY)
    registry = Registry(loaded.models_dir)
    registry.promote("bank", old)
    registry.propose("bank", new)
    runtime = load_runtime(loaded, beside={"bank": new})
    in_use, metrics = InUse(edition(loaded, runtime, {"bank": new})), Metrics()
    assert runtime is not None
    worker = Worker(runtime, max_queue=10)
    reloader = Reloader(loaded, worker=worker, in_use=in_use, metrics=metrics)
    retrainer = Retrainer(loaded, owner=cast("Owner", Tries(outdoes=outdoes)), in_use=in_use, metrics=metrics)
    for _ in range(4):
        await reloader.look()
        await retrainer.look()
    worker.close()
    ended = {
        outcome: metrics.registry.get_sample_value("offramp_retrainings_total", {"rule": "intents", "outcome": outcome})
        for outcome in ("promoted", "withdrawn")
    }
    assert ended == {"promoted": 1 if outdoes else None, "withdrawn": None if outdoes else 1}
    assert in_use.edition.versions == {"bank": new if outdoes else old}
    assert in_use.edition.proposed == {}
