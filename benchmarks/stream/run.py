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
"""Calls from one look for a training to the next."""
_SETTLE_S = 3.0
"""The gateway looks for new versions each second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """noise: of texts on which the paid model answers at random; swapped_at: the call from which on ten labels have
    changed their meaning."""

    name: str
    seed: int
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
            with gateway(folder / "gateway.yaml") as (_, _, address):
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
    done = 0
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
        if number % _LOOK == _LOOK - 1:
            done = _wait(address, folder, outcome, number + 1, done)
            # the gateway closes connections that are idle for long; the next request opens one
            connection.close()
    connection.close()
    return outcome


def _wait(address: str, folder: Path, outcome: Outcome, number: int, done: int) -> int:
    """Notes what became of trainings, and waits for one that runs. done: events seen so far; returns them by now."""
    begun = _count(folder, "SELECT count(*) FROM contract_trainings")
    while True:
        ended = _ended(address)
        if sum(ended.values()) > done:
            time.sleep(_SETTLE_S)
            outcome.events.append((number, ", ".join(f"{name} {count:g}" for name, count in ended.items() if count)))
            done = int(sum(ended.values()))
        if sum(ended.values()) >= begun:
            return done
        time.sleep(0.5)


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
    with closing(sqlite3.connect(folder / "offramp.db")) as db:
        states = [json.loads(state) for (state,) in db.execute("SELECT state FROM contracts ORDER BY at DESC LIMIT 1")]
    return "; ".join(f"{state['phase']}: {state['reason']}" for state in states)


def _count(folder: Path, query: str) -> int:
    with closing(sqlite3.connect(folder / "offramp.db", timeout=30)) as db:
        return int(db.execute(query).fetchone()[0])
