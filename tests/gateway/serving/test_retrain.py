"""When a training is due, what it is given, and what becomes of one that fails or is stopped."""

import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from gateway.config.load import Loaded
from gateway.config.problems import ConfigError
from gateway.contracts.owner import Owner
from gateway.contracts.scope import among
from gateway.contracts.store import ContractStore
from gateway.metrics.observe import Metrics
from gateway.rules.compile import compile_rules
from gateway.serving.retrain import Retrainer, may_train, texts_needed, this_program
from gateway.serving.snapshot import CurrentSnapshot, Snapshot, load_runtime, rule_problems
from tests.given import table_text

GATEWAY = table_text("given/gateway-serving-retrain-gateway.yaml")
BANK = among("bank", ("greeting", "rate", "card", "other"))
DAY = datetime(2026, 1, 1, tzinfo=UTC)


def counted(metrics: Metrics, outcome: str) -> int:
    labels = {"rule": "intents", "outcome": outcome}
    return int(metrics.registry.get_sample_value("offramp_retrainings_total", labels) or 0)


@pytest.mark.parametrize(
    ("known", "needed"),
    [(0, 125), (125, 125), (999, 125), (1000, 250), (1999, 250), (2000, 500), (4999, 500), (5000, 1000), (10**6, 1000)],
)
def test_the_more_is_known_the_more_new_texts_a_training_takes(known: int, needed: int) -> None:
    assert texts_needed(known) == needed


@pytest.mark.parametrize(
    ("spent", "now", "may"),
    [
        ([], 0, True),
        ([(0, 180)], 1, True),
        ([(0, 181)], 1, False),
        ([(0, 181)], 3599, False),
        ([(0, 181)], 3600, True),
        ([(0, 100), (10, 130), (20, 10)], 30, True),
        ([(0, 100), (10, 130), (20, 90)], 30, False),
        ([(0, 100), (10, 130), (20, 90)], 3600, True),
        # what takes an hour and a half of the share rests so long
        ([(0, 540)], 5399, False),
        ([(0, 540)], 5400, True),
    ],
)
def test_trainings_keep_to_six_minutes_of_processor_time_in_an_hour(
    spent: list[tuple[float, float]], now: float, may: bool
) -> None:
    assert may_train(spent, now) is may


@given(costs=st.lists(st.floats(0.1, 360), min_size=1, max_size=60), wait=st.floats(0, 120))
def test_no_hour_has_more_than_six_minutes_of_trainings_that_take_alike(costs: list[float], wait: float) -> None:
    """Each takes no longer than the one before."""
    now, spent = 0.0, []
    for cost in sorted(costs, reverse=True):
        while not may_train(spent, now):
            now += wait + 1
        spent.append((now, cost))
        assert sum(cpu for end, cpu in spent if now - 3600 < end) <= 360 + 1e-6


class Trains:
    """`offramp train` as another process that ends with these codes, or never. given: its calls."""

    def __init__(self, *codes: int | Exception | None) -> None:
        self.codes = list(codes)
        self.given: list[list[dict[str, Any]]] = []
        self.returncode: int | None = None
        self.stopped: list[str] = []
        self.ends_on = "terminate"

    async def __call__(self, *command: str, **_: Any) -> "Trains":
        assert {"--calls", "--refit", "--json", "--yes"} <= set(command)
        code = self.codes.pop(0)
        if isinstance(code, Exception):
            raise code
        self.returncode = code
        return self

    async def communicate(self, calls: bytes) -> tuple[bytes, bytes]:
        self.given.append([json.loads(line) for line in calls.splitlines()])
        if self.returncode is None:
            await asyncio.Event().wait()
        vectors = ["" if call["vector"] else "aGk=" for call in self.given[-1]]
        made = {"missed": ["a goal"] * bool(self.returncode), "version": "v2", "vectors": vectors}
        return json.dumps([made]).encode(), b"a fault"

    def terminate(self) -> None:
        self.stopped.append("terminate")

    def kill(self) -> None:
        self.stopped.append("kill")

    async def wait(self) -> None:
        if self.ends_on not in self.stopped:
            await asyncio.Event().wait()


class Learns:
    """A gateway with texts, whose trainings end so. now: seconds of its clock; cpu_s: processor time of a training."""

    def __init__(
        self, loaded: Loaded, policy: Policy, monkeypatch: pytest.MonkeyPatch, *codes: int | Exception | None
    ) -> None:
        self.trains = Trains(*codes)
        monkeypatch.setattr(asyncio, "create_subprocess_exec", self.trains)
        self.file = loaded.file.parent / "policies" / "bank.yaml"
        self.file.parent.mkdir()
        self.write(policy)
        self.store = ContractStore(loaded.file.parent / "offramp.db")
        self.owner, self.metrics, self.now, self.cpu_s = Owner(self.store), Metrics(), 0.0, 0.0
        rules = compile_rules(loaded.settings.rules, {"bank": policy}, loaded.replies)
        current = CurrentSnapshot(Snapshot(rules=rules, policies={"bank": policy}, versions={"bank": "v1"}))
        self.retrainer = Retrainer(
            loaded=loaded,
            owner=self.owner,
            current=current,
            metrics=self.metrics,
            clock=lambda: self.now,
            cpu=lambda: self.cpu_s * len(self.trains.given),
        )

    def write(self, policy: Policy) -> None:
        self.file.write_text(policy.model_dump_json(exclude_unset=True), "utf-8")

    def keep(self, count: int, source: str = BANK) -> None:
        for number in range(count):
            self.store.keep("intents", f"text [{number}](time)", "card", among=source, at=time.time(), weight=20)

    async def look(self, *, ends: bool = True) -> list[str]:
        """The outcomes so far, after a look and what it began."""
        await self.retrainer.tick()
        training = self.retrainer._training
        if training is not None and ends:
            await training
        outcomes = ("published", "refused", "failed")
        return [outcome for outcome in outcomes for _ in range(counted(self.metrics, outcome))]


@pytest.fixture
def learns(
    load: Callable[[str], Loaded], policies: dict[str, Policy], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Learns]]:
    """learns(*codes): with 130 texts of its calls, of which 125 are enough to train on."""
    made: list[Learns] = []

    def make(*codes: int | Exception | None) -> Learns:
        made.append(Learns(load(GATEWAY), policies["bank"], monkeypatch, *codes))
        made[-1].keep(130)
        return made[-1]

    yield make
    for learning in made:
        learning.owner.close()


@pytest.mark.parametrize(("code", "outcome"), [(0, "published"), (3, "refused")])
async def test_a_training_comes_after_so_many_texts_and_knows_them_all(
    learns: Callable[..., Learns], code: int, outcome: str
) -> None:
    learning = learns(code, code)
    assert await learning.look() == [outcome]
    learning.keep(124)
    assert await learning.look() == [outcome]
    learning.keep(1)
    assert await learning.look() == [outcome, outcome]
    assert [len(calls) for calls in learning.trains.given] == [130, 255]
    call = {"text": "text [0](time)", "label": "card", "weight": 20, "vector": ""}
    assert learning.trains.given[0][0] == call
    # what the first training has read is kept with the texts, even where its version is refused
    assert learning.trains.given[1][:130] == [
        call | {"text": f"text [{n}](time)", "vector": "aGk="} for n in range(130)
    ]
    assert {call["vector"] for call in learning.trains.given[1][130:]} == {""}


async def test_texts_of_other_labels_are_not_trained_on(learns: Callable[..., Learns]) -> None:
    learning = learns(0)
    learning.keep(10, among("bank", ["greeting", "card"]))
    learning.keep(10, among("shop", ["greeting", "rate", "card", "other"]))
    assert await learning.look() == ["published"]
    assert [len(calls) for calls in learning.trains.given] == [130]


@pytest.mark.parametrize("code", [0, 1])
async def test_a_training_waits_where_the_one_before_took_long(learns: Callable[..., Learns], code: int) -> None:
    """Also where that one failed."""
    learning = learns(code, 0)
    learning.cpu_s = 720
    first = await learning.look()
    learning.keep(130)
    learning.now = 7199
    assert await learning.look() == first
    learning.now = 7200
    assert await learning.look() == ["published", *first] if code else ["published"] * 2


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda policy: {"labels": {name: policy.labels[name] for name in ("greeting", "card")}},
            " names other labels",
        ),
        (lambda policy: {"labels": dict(reversed(policy.labels.items()))}, " names other labels"),
        (lambda _: {"other": None}, " names other labels"),
        (lambda _: {"name": "shop"}, ": its name: is shop, not bank"),
    ],
)
async def test_a_file_of_another_name_or_with_other_labels_than_the_version_in_use_is_not_trained(
    learns: Callable[..., Learns],
    policies: dict[str, Policy],
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Policy], dict[str, Any]],
    why: str,
) -> None:
    learning = learns(0)
    learning.write(policies["bank"].model_copy(update=change(policies["bank"])))
    assert await learning.look() == ["failed"]
    assert f"bank.yaml{why}" in caplog.text
    assert "; it is tried again in 1 h" in caplog.text


def test_without_its_extra_check_and_serve_refuse_it_where_it_is_written(
    load: Callable[[str], Loaded],
    publish: Callable[[datetime], str],
    policies: dict[str, Policy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = load(GATEWAY)
    file = loaded.file.parent / "policies" / "bank.yaml"
    file.parent.mkdir()
    file.write_text(policies["bank"].model_dump_json(), "utf-8")
    Registry(loaded.models_dir).promote("bank", publish(DAY))
    assert rule_problems(loaded, policies) == []
    monkeypatch.setattr("classifiers.errors.find_spec", lambda name: None)
    why = f"{loaded.file}:12:5: rules[0].retrain: sklearn is not installed; run: pip install 'offramp[train]'"
    assert list(map(str, rule_problems(loaded, policies))) == [why]
    with pytest.raises(ConfigError) as refused:
        load_runtime(loaded)
    assert str(refused.value) == why


def test_a_module_of_the_same_name_in_the_folder_is_not_run_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's own program may be called gateway, too."""
    (tmp_path / "gateway.py").write_text("print('another')\n")
    monkeypatch.chdir(tmp_path)
    done = subprocess.run([*this_program(), "version"], capture_output=True, text=True, check=True)
    assert gateway.__version__ in done.stdout


async def test_what_failed_is_tried_again_in_an_hour_and_then_more_seldom(learns: Callable[..., Learns]) -> None:
    learning = learns(1, OSError("no memory"), ValueError("a fault"), 0)
    for now, failed in ((0, 1), (3599, 1), (3600, 2), (3600 + 7199, 2), (10800, 3), (25199, 3)):
        learning.now = now
        assert await learning.look() == ["failed"] * failed
    learning.now = 25200
    assert await learning.look() == ["published"] + ["failed"] * 3


@pytest.mark.parametrize("stopped", [["terminate"], ["terminate", "kill"]])
async def test_a_training_that_a_stop_cuts_off_is_done_after_the_start(
    learns: Callable[..., Learns], monkeypatch: pytest.MonkeyPatch, stopped: list[str]
) -> None:
    monkeypatch.setattr("gateway.serving.retrain._TAKING_BACK_S", 0.1)
    learning = learns(None, 0)
    learning.trains.ends_on = stopped[-1]
    assert await learning.look(ends=False) == []
    while not learning.trains.given:  # noqa: ASYNC110 - nothing tells that it has begun
        await asyncio.sleep(0.01)
    await learning.retrainer.close()
    assert learning.trains.stopped == stopped
    assert await learning.look() == ["published"]
    assert [len(calls) for calls in learning.trains.given] == [130, 130]
