"""One stream through a real gateway process in front of a server that stands for the paid model."""

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from benchmarks.banking77.dataset import Dataset, write
from benchmarks.gateway.processes import gateway
from benchmarks.stream.paid import Paid
from gateway.contracts.store import ContractStore
from gateway.serving.retrain import texts_needed

_GATEWAY = """\
version: 1
models_dir: models
ledger: offramp.db
content: {{keep: 30d}}
limits: {{classify_time: 30s}}
upstreams:
  paid: {{kind: openai, base_url: "{url}"}}
models:
  gpt-4o: paid
rules:
  - name: intents
    classifier: bank
    when: {{any_system: true}}
    contract: {{max_disagreement: {target}, confidence: 95%}}
    retrain: true
    then: {{"*": {{answer: label}}}}
"""
_LOOK = 50
"""Calls that a connection is kept for."""
_BEGINS_S = 20.0
"""Within which a training that is due begins, unless the hour's processor time is spent."""
_SETTLE_S = 3.0
"""The gateway looks for new versions each second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """coin: of the contract's draws, which are those of a replay with the same order and coin; noise: of texts on which
    the paid model answers at random; swapped_at: the call from which on ten labels have changed their meaning."""

    name: str
    seed: int
    coin: int = 0
    target: float = 0.02
    noise: float = 0.0
    swapped_at: int | None = None


@dataclass(slots=True, kw_only=True)
class Outcome:
    """For each call: whether it was answered here, whether that answer is what the paid model would have said, and how
    many milliseconds it took. trainings, moves: (call, what) as they came; paid: calls that the paid model answered."""

    answered: list[bool] = field(default_factory=list)
    wrong: list[bool] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    events: list[tuple[int, str]] = field(default_factory=list)
    paid: int = 0
    reason: str = ""

    def share(self, start: int, end: int | None = None) -> float:
        """Answered here, of the calls in a range."""
        part = self.answered[start:end]
        return sum(part) / len(part) if part else 0.0

    def disagreement(self, start: int = 0, end: int | None = None) -> float:
        """Of the local answers in a range."""
        here = sum(self.answered[start:end])
        return sum(self.wrong[start:end]) / here if here else 0.0

    def local_ms(self) -> float:
        """Median of the calls that were answered here, from the client's side."""
        times = [ms for ms, here in zip(self.ms, self.answered, strict=True) if here]
        return median(times) if times else float("nan")

    def line(self) -> str:
        """The figures in one line."""
        return (
            f"answered {self.share(0):.1%}, of the last 2,000 {self.share(-2000):.1%}, disagreement "
            f"{self.disagreement():.2%}, {self.paid} calls paid, median {self.local_ms():.1f} ms; {self.reason}"
        )


def run(dataset: Dataset, case: Case, *, models: Path, calls: int | None) -> Outcome:
    """models: a folder whose prepared encoders are used, and kept for the next run."""
    stream = _stream(dataset, case)[:calls]
    gold = dict(stream)
    labels = sorted(dataset.policy.labels)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        server = Paid(gold.__getitem__)
        try:
            _prepare(dataset, folder, models)
            (folder / "gateway.yaml").write_text(_GATEWAY.format(url=server.url, target=f"{case.target:.0%}"))
            module = ("benchmarks.stream.coins", f"{case.seed}-{case.coin}")
            with gateway(folder / "gateway.yaml", module=module) as (_, _, address):
                outcome = _send(stream, labels, address, folder, server, case)
            outcome.paid = server.calls
            outcome.reason = _reason(folder)
        finally:
            server.close()
    return outcome


def _send(
    stream: list[tuple[str, str]], labels: list[str], address: str, folder: Path, server: Paid, case: Case
) -> Outcome:
    system = f"Name the intent of a bank customer's message. Answer with one of: {', '.join(labels)}"
    connection = HTTPConnection(address.removeprefix("http://"), timeout=120)
    outcome = Outcome()
    gold = dict(stream)
    swap = _swap(labels, case.seed)
    trainings = _Trainings(address, folder)
    for number, (text, label) in enumerate(stream):
        if case.swapped_at == number:
            gold = {one: swap.get(old, old) for one, old in gold.items()}
            server.say = gold.__getitem__
        body = {
            "model": "gpt-4o",
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": text}],
        }
        started = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        said = json.loads(answer.read())["choices"][0]["message"]["content"]
        outcome.ms.append(1000 * (time.perf_counter() - started))
        here = answer.headers["x-offramp-decision"] == "answer"
        outcome.answered.append(here)
        outcome.wrong.append(here and said.strip() != (gold[text] if case.swapped_at else label))
        ended = "" if here else trainings.ended()
        if ended:
            outcome.events.append((number + 1, ended))
        if ended or number % _LOOK == _LOOK - 1:
            # the gateway closes connections that are idle for long; the next request opens one
            connection.close()
    connection.close()
    return outcome


class _Trainings:
    """Waits for each training at the call with which it is due, as a replay fits a version at once."""

    def __init__(self, address: str, folder: Path) -> None:
        self._address, self._db = address, folder / "offramp.db"
        self._done, self._refused = 0, -1

    def ended(self) -> str:
        """Waits for a training that is due or runs; how many there were by then if one has ended, else nothing."""
        with closing(ContractStore(self._db, read_only=True)) as store:
            since, known = store.texts_since_training("intents", self._among())
        begun = self._begun()
        if since >= texts_needed(known) and self._refused != begun:
            until = time.monotonic() + _BEGINS_S
            while self._begun() == begun and time.monotonic() < until:
                time.sleep(0.1)
            if self._begun() == begun:
                # the hour's processor time is spent: calls go on until it begins
                self._refused = begun
        if self._begun() == self._done:
            return ""
        while sum((counts := _ended(self._address)).values()) < self._begun():
            time.sleep(0.2)
        self._done = int(sum(counts.values()))
        time.sleep(_SETTLE_S)
        return ", ".join(f"{name} {count:g}" for name, count in counts.items() if count)

    def _begun(self) -> int:
        return _count(self._db, "SELECT count(*) FROM contract_trainings")

    def _among(self) -> str:
        with closing(sqlite3.connect(self._db, timeout=30)) as db:
            return str((db.execute("SELECT among FROM contract_texts LIMIT 1").fetchone() or ("",))[0])


def _ended(address: str) -> dict[str, float]:
    """Trainings by outcome, as the gateway's metrics have them."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    found = {}
    for outcome in ("published", "refused", "failed"):
        sample = f'offramp_retrainings_total{{outcome="{outcome}",rule="intents"}}'
        found[outcome] = next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(sample)), 0.0)
    return found


def _prepare(dataset: Dataset, folder: Path, models: Path) -> None:
    """A workspace whose classifier was trained from the policy and the teacher's sentences."""
    (folder / "policies").mkdir()
    (folder / "models").mkdir()
    (models / "encoders").mkdir(parents=True, exist_ok=True)
    (folder / "models" / "encoders").symlink_to((models / "encoders").resolve())
    sentences = write(dataset.sentences, folder / "policies" / "sentences.jsonl")
    values = json.loads(dataset.policy.model_dump_json(by_alias=True, exclude_defaults=True))
    values |= {"version": 1, "kind": "intent", "name": "bank", "teacher": {"file": sentences.name}}
    (folder / "policies" / "bank.yaml").write_text(json.dumps(values), encoding="utf-8")
    kept = models / "bank"
    if kept.is_dir():
        shutil.copytree(kept, folder / "models" / "bank")
        return
    command = ["train", "policies/bank.yaml", "--models", "models"]
    subprocess.run([sys.executable, "-m", "gateway", *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    shutil.copytree(folder / "models" / "bank", kept)


def _stream(dataset: Dataset, case: Case) -> list[tuple[str, str]]:
    """All distinct messages in an order of chance, with what the paid model says."""
    chance = random.Random(case.seed)
    distinct = {" ".join(text.split()).casefold(): (text, label) for text, label in (*dataset.test, *dataset.train)}
    rows = list(distinct.values())
    chance.shuffle(rows)
    labels = sorted(dataset.policy.labels)
    return [(text, chance.choice(labels) if chance.random() < case.noise else label) for text, label in rows]


def _swap(labels: list[str], seed: int) -> dict[str, str]:
    """Ten labels, each with the one whose meaning it takes."""
    chosen = random.Random(seed).sample(labels, 10)
    return dict(zip(chosen, [*chosen[1:], chosen[0]], strict=True))


def _reason(folder: Path) -> str:
    with closing(ContractStore(folder / "offramp.db", read_only=True)) as store:
        sides = [
            (side.phase.value, side.reason) for one in store.newest(1, lambda _: True) for side in one.contract.sides
        ]
    return "; ".join(f"{phase}: {reason}" for phase, reason in sides)


def _count(db: Path, query: str) -> int:
    with closing(sqlite3.connect(db, timeout=30)) as file:
        return int(file.execute(query).fetchone()[0])
