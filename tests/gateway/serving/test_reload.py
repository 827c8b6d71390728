"""A real runtime takes up versions that are copied, damaged and mended while it is looked at."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from classifiers import Worker
from classifiers.model import artifact
from classifiers.model.registry import CURRENT
from gateway.config.load import Loaded
from gateway.config.problems import ConfigError
from gateway.metrics.observe import Metrics
from gateway.serving.reload import Reloader
from gateway.serving.snapshot import CurrentSnapshot, build_snapshot, load_runtime
from tests.given import table_text

GATEWAY = table_text("given/gateway-serving-reload-gateway.yaml")
FIRST, SECOND = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2))


class Watched:
    """A folder of models under a reloader's eyes."""

    def __init__(self, loaded: Loaded) -> None:
        runtime = load_runtime(loaded)
        assert runtime is not None
        self.home = loaded.models_dir / "bank"
        self.worker = Worker(runtime, max_queue=10)
        self.current = CurrentSnapshot(build_snapshot(loaded, runtime))
        self.metrics = Metrics()
        self.tick = Reloader(loaded, worker=self.worker, current=self.current, metrics=self.metrics).tick

    @property
    def version(self) -> str:
        return self.current.snapshot.versions["bank"]

    @property
    def failures(self) -> float | None:
        return self.metrics.registry.get_sample_value("offramp_reload_failures_total")


async def looks(watched: Watched, times: int = 4) -> None:
    for _ in range(times):
        await watched.tick()


@pytest.fixture
def watched(load: Callable[..., Loaded], publish: Callable[[datetime], str]) -> Any:
    publish(FIRST)
    made = Watched(load(GATEWAY))
    yield made
    made.worker.close()


async def test_a_version_that_is_copied_file_by_file_is_taken_up_when_it_is_whole(
    watched: Watched, publish: Callable[[datetime], str], tmp_path: Path
) -> None:
    first, second = watched.version, publish(SECOND)
    source = tmp_path / "elsewhere"
    shutil.move(watched.home / second, source)
    await watched.tick()
    target = watched.home / second
    target.mkdir()
    for file in sorted(source.iterdir(), key=lambda path: path.name != artifact.MANIFEST):
        shutil.copy2(file, target)
        await watched.tick()
        assert watched.version == first
    assert watched.failures == 0
    await watched.tick()
    assert watched.version == second


async def test_what_cannot_be_taken_up_is_logged_once_and_tried_again_when_its_files_change(
    watched: Watched, publish: Callable[[datetime], str], caplog: pytest.LogCaptureFixture
) -> None:
    first, second = watched.version, publish(SECOND)
    weights = watched.home / second / artifact.HEAD
    whole = weights.read_bytes()
    weights.write_bytes(b"none")
    await looks(watched)
    assert (watched.version, watched.failures) == (first, 1)
    assert caplog.text.count("cannot be taken up") == 1
    weights.write_bytes(whole)
    await looks(watched, 2)
    assert (watched.version, watched.failures) == (second, 1)


def test_a_label_that_the_policy_has_since_got_is_to_be_trained(
    load: Callable[..., Loaded], publish: Callable[[datetime], str]
) -> None:
    publish(FIRST)
    loaded = load(GATEWAY.replace("then: {", "then: {refund: block, tip: block, "))
    policy = loaded.file.parent / "policies" / "bank.yaml"
    policy.parent.mkdir()
    policy.write_text("labels:\n  greeting: {means: says hello}\n  refund: {means: wants money back}\n")
    with pytest.raises(ConfigError) as caught:
        load_runtime(loaded)
    refund, tip = map(str, caught.value.problems)
    assert refund.endswith(f"; the policy has it by now: run: offramp train {policy}")
    assert "no such label in bank" in tip
    assert "offramp train" not in tip


def test_a_classifier_that_is_not_trained_is_named_with_the_command(load: Callable[..., Loaded]) -> None:
    loaded = load(GATEWAY)
    policy = loaded.file.parent / "policies" / "bank.yaml"
    for mend in ("offramp train takes the policy named bank", f"run: offramp train {policy}"):
        with pytest.raises(ConfigError) as caught:
            load_runtime(loaded)
        assert str(caught.value).endswith(f"no trained classifier bank in {loaded.models_dir}; {mend}")
        policy.parent.mkdir(exist_ok=True)
        policy.touch()


async def test_a_version_in_use_that_is_gone_is_a_failure_that_is_counted(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    first = watched.version
    (watched.home / CURRENT).write_text("gone\n", "utf-8")
    await looks(watched)
    assert (watched.version, watched.failures) == (first, 1)
    assert "names version 'gone', which is not there" in caplog.text
