"""What becomes of a version that is tried, where a real runtime takes up what the folder of models says."""

import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

import gateway
from classifiers import Worker
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from gateway.config.load import Loaded
from gateway.config.problems import ConfigError
from gateway.contracts.memory import Trial
from gateway.contracts.owner import Owner
from gateway.contracts.scope import among
from gateway.contracts.store import ContractStore
from gateway.metrics.observe import Metrics
from gateway.rules.compile import compile_rules
from gateway.serving.reload import Reloader
from gateway.serving.retrain import Retrainer, this_program
from gateway.serving.snapshot import CurrentSnapshot, Snapshot, build_snapshot, load_runtime, rule_problems
from tests.given import table_text

GATEWAY = table_text("given/gateway-serving-retrain-gateway.yaml")
BANK = among("bank", ("greeting", "rate", "card", "other"))
OLD, NEW, THIRD = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))


class Tries:
    """An owner of contracts whose trial stands so."""

    def __init__(self, *, outdoes: bool, hopeful: bool = False) -> None:
        self._trial = Trial(pairs=10, outdoes=outdoes, hopeful=outdoes or hopeful)

    async def trial(self, *_: str, **__: str) -> Trial:
        return self._trial

    async def ask(self, _: Any) -> tuple[int, int]:
        """No text since the last training."""
        return 0, 0


@pytest.fixture
def trial(load: Callable[[str], Loaded], publish: Callable[[datetime], str]) -> tuple[Loaded, Registry, str, str]:
    """A gateway whose classifier has a version in use and one that is tried."""
    old, new = publish(OLD), publish(NEW)
    loaded = load(GATEWAY)
    registry = Registry(loaded.models_dir)
    registry.promote("bank", old)
    registry.propose("bank", new)
    return loaded, registry, old, new


@pytest.mark.parametrize("end", ["promoted", "withdrawn", ""])
async def test_the_end_of_a_trial_is_counted_once(
    trial: tuple[Loaded, Registry, str, str], policies: dict[str, Policy], end: str
) -> None:
    loaded, _, old, new = trial
    file = loaded.file.parent / "policies" / "bank.yaml"
    file.parent.mkdir()
    file.write_text(policies["bank"].model_dump_json(), "utf-8")
    runtime = load_runtime(loaded, proposed={"bank": new})
    current, metrics = CurrentSnapshot(build_snapshot(loaded, runtime, {"bank": new})), Metrics()
    assert runtime is not None
    with closing(Worker(runtime, max_queue=10)) as worker:
        reloader = Reloader(loaded, worker=worker, current=current, metrics=metrics)
        owner = cast("Owner", Tries(outdoes=end == "promoted", hopeful=not end))
        retrainer = Retrainer(loaded, owner=owner, current=current, metrics=metrics)
        for _ in range(4):
            await reloader.tick()
            await retrainer.tick()
        await retrainer.close()
    assert [counted(metrics, outcome) for outcome in ("promoted", "withdrawn")] == [
        end == "promoted",
        end == "withdrawn",
    ]
    assert current.snapshot.versions == {"bank": new if end == "promoted" else old}
    assert current.snapshot.proposed == ({} if end else {"bank": new})


def counted(metrics: Metrics, outcome: str) -> int:
    labels = {"rule": "intents", "outcome": outcome}
    return int(metrics.registry.get_sample_value("offramp_retrainings_total", labels) or 0)


@pytest.mark.parametrize("outdoes", [True, False])
@pytest.mark.parametrize("put", ["propose", "promote"])
async def test_what_is_put_there_by_hand_while_a_trial_ends_stays(
    trial: tuple[Loaded, Registry, str, str],
    publish: Callable[[datetime], str],
    policies: dict[str, Policy],
    outdoes: bool,
    put: str,
) -> None:
    loaded, registry, old, new = trial
    third = publish(THIRD)
    registry.promote("bank", old)
    registry.propose("bank", new)

    class Meanwhile(Tries):
        async def trial(self, *_: str, **__: str) -> Trial:
            getattr(registry, put)("bank", third)
            return await super().trial()

    current = CurrentSnapshot(Snapshot(policies=policies, versions={"bank": old}, proposed={"bank": new}))
    owner = cast("Owner", Meanwhile(outdoes=outdoes))
    await Retrainer(loaded, owner=owner, current=current, metrics=Metrics()).tick()
    expected = (old, third) if put == "propose" else (third, new)
    assert (registry.current("bank"), registry.proposed("bank")) == expected


class Trains:
    """`offramp train` as another process that ends with these codes, or never. given: what it was told of calls."""

    def __init__(self, *codes: int | Exception | None) -> None:
        self.codes = list(codes)
        self.given: list[list[dict[str, str]]] = []
        self.returncode: int | None = None
        self.stopped: list[str] = []
        self.ends_on = "terminate"

    async def __call__(self, *command: str, **_: Any) -> "Trains":
        assert {"--calls", "--propose"} <= set(command)
        code = self.codes.pop(0)
        if isinstance(code, Exception):
            raise code
        self.returncode = code
        return self

    async def communicate(self, calls: bytes) -> tuple[bytes, None]:
        self.given.append([json.loads(line) for line in calls.splitlines()])
        if self.returncode is None:
            await asyncio.Event().wait()
        return b"", None

    def terminate(self) -> None:
        self.stopped.append("terminate")

    def kill(self) -> None:
        self.stopped.append("kill")

    async def wait(self) -> None:
        if self.ends_on not in self.stopped:
            await asyncio.Event().wait()


class Learns:
    """A gateway with texts, whose trainings end so. now: seconds of its clock."""

    def __init__(
        self, loaded: Loaded, policy: Policy, monkeypatch: pytest.MonkeyPatch, *codes: int | Exception | None
    ) -> None:
        self.trains = Trains(*codes)
        monkeypatch.setattr(asyncio, "create_subprocess_exec", self.trains)
        self.file = loaded.file.parent / "policies" / "bank.yaml"
        self.file.parent.mkdir()
        self.write(policy)
        self.store = ContractStore(loaded.file.parent / "offramp.db")
        self.owner, self.metrics, self.now = Owner(self.store), Metrics(), 0.0
        rules = compile_rules(loaded.settings.rules, {"bank": policy}, loaded.replies)
        current = CurrentSnapshot(Snapshot(rules=rules, policies={"bank": policy}, versions={"bank": "v1"}))
        self.retrainer = Retrainer(
            loaded, owner=self.owner, current=current, metrics=self.metrics, clock=lambda: self.now
        )

    def write(self, policy: Policy) -> None:
        self.file.write_text(policy.model_dump_json(exclude_unset=True), "utf-8")

    def keep(self, count: int, source: str = BANK) -> None:
        for number in range(count):
            self.store.keep("intents", f"text [{number}](time)", "card", among=source, at=time.time())

    async def look(self, *, ends: bool = True) -> list[str]:
        """The outcomes so far, after a look and what it began."""
        await self.retrainer.tick()
        training = self.retrainer._training
        if training is not None and ends:
            await training
        outcomes = ("proposed", "refused", "failed")
        return [outcome for outcome in outcomes for _ in range(counted(self.metrics, outcome))]


@pytest.fixture
def learns(
    load: Callable[[str], Loaded], policies: dict[str, Policy], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Learns]]:
    """learns(*codes): with 60 texts of its calls, of which 50 are enough to train on."""
    made: list[Learns] = []

    def make(*codes: int | Exception | None) -> Learns:
        loaded = load(GATEWAY.replace("500 pairs", "50 pairs"))
        made.append(Learns(loaded, policies["bank"], monkeypatch, *codes))
        made[-1].keep(60)
        return made[-1]

    yield make
    for learning in made:
        learning.owner.close()


@pytest.mark.parametrize(("code", "outcome"), [(0, "proposed"), (3, "refused")])
async def test_the_next_training_knows_twice_as_much(learns: Callable[..., Learns], code: int, outcome: str) -> None:
    learning = learns(code, code)
    assert await learning.look() == [outcome]
    learning.keep(59)
    assert await learning.look() == [outcome]
    learning.keep(1)
    assert await learning.look() == [outcome, outcome]
    assert [len(calls) for calls in learning.trains.given] == [60, 120]
    assert learning.trains.given[0][0] == {"text": "text [0](time)", "label": "card"}


async def test_texts_of_other_labels_are_not_trained_on(learns: Callable[..., Learns]) -> None:
    learning = learns(0)
    learning.keep(10, among("bank", ["greeting", "card"]))
    learning.keep(10, among("shop", ["greeting", "rate", "card", "other"]))
    assert await learning.look() == ["proposed"]
    assert [len(calls) for calls in learning.trains.given] == [60]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda policy: {"labels": {name: policy.labels[name] for name in ("greeting", "card")}},
            " names other labels",
        ),
        # in which the contract of the trial would not be that of the version in use
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
    Registry(loaded.models_dir).promote("bank", publish(OLD))
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
    assert await learning.look() == ["proposed"] + ["failed"] * 3


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
    assert await learning.look() == ["proposed"]
    assert [len(calls) for calls in learning.trains.given] == [60, 60]
