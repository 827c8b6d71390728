"""A real runtime takes up versions that are copied, damaged and mended while it is looked at."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from classifiers import Worker
from classifiers.model import artifact
from classifiers.model.registry import CURRENT, Registry
from classifiers.policy import Policy
from gateway.config.load import Loaded
from gateway.config.problems import ConfigError
from gateway.metrics.observe import Metrics
from gateway.serving.reload import Reloader
from gateway.serving.snapshot import CurrentSnapshot, build_snapshot, load_runtime
from tests.given import table_text

GATEWAY = table_text("given/gateway-serving-reload-gateway.yaml")
FIRST, SECOND, THIRD = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))


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


BOUND = GATEWAY.replace('then: {greeting: {answer: "Hi."}}', "contract: true\n    then: {greeting: {answer: label}}")
"""The same rule under a contract."""
SHOP = BOUND[BOUND.index("  - name") :].replace("intents", "goods").replace("bank", "shop")


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


@pytest.mark.parametrize("fault", ["cannot be taken up", "has other labels than"])
async def test_what_is_at_fault_is_not_tried_but_withdrawn_logged_and_counted(
    load: Callable[..., Loaded],
    publish: Callable[..., str],
    policies: dict[str, Policy],
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    """Labels in another order are another contract's, which would begin in shadow once the version takes over."""
    bank = policies["bank"]
    turned = bank.model_copy(update={"labels": dict(reversed(bank.labels.items()))})
    second, alike, first = publish(SECOND, turned if "labels" in fault else bank), publish(THIRD), publish(FIRST)
    loaded = load(
        BOUND.replace("upstreams", "content: {keep: 1d}\nupstreams").replace(
            "contract", "retrain: 500 pairs\n    contract"
        )
    )
    file = loaded.file.parent / "policies" / "bank.yaml"
    file.parent.mkdir()
    file.write_text(bank.model_dump_json(), "utf-8")
    watched, registry = Watched(loaded), Registry(loaded.models_dir)
    if "labels" not in fault:
        (watched.home / second / artifact.HEAD).write_bytes(b"none")
    registry.propose("bank", second)
    await looks(watched)
    assert (watched.version, registry.proposed("bank"), watched.current.snapshot.proposed) == (first, None, {})
    assert caplog.text.count(f"bank: version {second} is not tried: it {fault}") == 1
    labels = {"rule": "intents", "outcome": "withdrawn"}
    assert watched.metrics.registry.get_sample_value("offramp_retrainings_total", labels) == 1
    registry.propose("bank", alike)
    await looks(watched)
    watched.worker.close()
    assert (watched.version, watched.current.snapshot.proposed) == (first, {"bank": alike})


async def test_of_several_to_be_tried_only_what_is_at_fault_is_withdrawn(
    load: Callable[..., Loaded], publish: Callable[..., str], policies: dict[str, Policy]
) -> None:
    shop = policies["bank"].model_copy(update={"name": "shop"})
    second, _ = publish(SECOND), publish(FIRST)
    proposed, _ = publish(SECOND, shop), publish(FIRST, shop)
    loaded = load(BOUND + SHOP)
    watched, registry = Watched(loaded), Registry(loaded.models_dir)
    (watched.home / second / artifact.HEAD).write_bytes(b"none")
    registry.propose("bank", second)
    registry.propose("shop", proposed)
    await looks(watched)
    assert (registry.proposed("bank"), registry.proposed("shop")) == (None, proposed)
    assert watched.current.snapshot.proposed == {"shop": proposed}
    # though it is tried by now
    (watched.home.parent / "shop" / proposed / artifact.HEAD).write_bytes(b"none")
    third = publish(THIRD)
    await looks(watched)
    assert (watched.version, registry.proposed("shop"), watched.current.snapshot.proposed) == (third, None, {})
    watched.worker.close()


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
