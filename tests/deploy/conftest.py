"""Real processes: gateways under a small traffic, and Debian's prometheus that scrapes them by deploy/'s own files."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from classifiers.encoder.session import Encoder, embed
from classifiers.model.artifact import save
from classifiers.model.model import Calibration, Head, Model, Novelty, Stage
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from tests.given import table_text

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
INSTALL = "apt-get install -y --no-install-recommends prometheus"
KEY = "key-of-the-tests"
RULES = table_text("given/deploy-conftest-rules.yaml")
SENTENCES = {
    "bank": {
        "card_arrival": ["where is my new card", "my card has not arrived yet"],
        "exchange_rate": ["what is the exchange rate", "which exchange rate do you use"],
    },
    "safe": {"violence": ["I will kill you", "I am going to hurt them badly"]},
}
ASKED = [
    ("gpt-4o", "where is my new card"),
    ("gpt-4o", "which exchange rate do you use"),
    ("gpt-4o", "I will kill you"),
    ("gpt-4o", "write a poem about the sea"),
    ("shaky", "write a poem about the sea"),
    *[("gone", "write a poem about the sea")] * 4,
    ("nobody-knows-me", "write a poem about the sea"),
    ("nobody-knows-me", "write to ann@example.com"),
    ("judged", "write a poem about the sea"),
    ("labels", "where is my new card"),
    *[("labels", "card_arrival or exchange_rate? where is my new card")] * 20,
]


def call(url: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
    """An answer's status and body, errors included."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"authorization": f"Bearer {KEY}", "content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, done: Callable[[], object], log: Path, process: "subprocess.Popen[bytes]") -> None:
    """Polls until `done` is true; fails with the log where the process ends or a minute and a half is over."""
    for _ in range(900):
        with contextlib.suppress(OSError):
            if done():
                return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come (exit code {process.poll()}): {log.read_text()}")


@contextlib.contextmanager
def running(command: list[str], url: str, folder: Path) -> Iterator["tuple[subprocess.Popen[bytes], Path]"]:
    """A process that answers at `url`, ended afterwards."""
    environment = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env={**environment, "OFFRAMP_KEY": KEY}, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        wait_for(url, lambda: call(url)[0] == 200, log, process)
        yield process, log
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def gateway(config: Path) -> Iterator[str]:
    """A gateway process for a file; its host:port."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gateway", "serve", str(config), "--port", address.partition(":")[2]]
    with running(command, f"http://{address}/ready", config.parent):
        yield address


def publish(encoder: Encoder, models_dir: Path) -> None:
    """Two classifiers by class centroids on the real encoder, and one that goes by patterns alone."""
    settings: dict[str, dict[str, Any]] = {
        "private": {"kind": "safety", "labels": {"contact": {"means": "an address", "patterns": ["email"]}}},
        "bank": {"kind": "intent", "labels": SENTENCES["bank"], "other": "anything else"},
        "safe": {"kind": "safety", "labels": SENTENCES["safe"]},
    }
    registry = Registry(models_dir)
    for name, kind in settings.items():
        sentences = SENTENCES.get(name, {})
        labels = {label: {"means": label} for label in sentences} or kind["labels"]
        policy = Policy.model_validate(
            {**kind, "version": 1, "name": name, "about": "messages to a bank", "labels": labels}
        )
        vectors = [embed(encoder, texts) for texts in sentences.values()]
        stages = [
            Stage(
                encoder=encoder.id,
                head=Head(
                    classes=tuple(sentences),
                    weights=np.stack([part.mean(axis=0) for part in vectors]),
                    bias=np.zeros(len(vectors), np.float32),
                ),
                calibration=Calibration(
                    scale=np.full(1, 12, np.float32),
                    offset=np.full(len(vectors), -5 if name == "safe" else 0, np.float32),
                ),
                thresholds={},
                novelty=Novelty(prototypes=np.concatenate(vectors), limit=0.6),
            )
            for _ in range(bool(vectors))
        ]
        with registry.staging(name) as folder:
            save(Model(policy=policy, stages=tuple(stages)), folder, report={})
            registry.publish(name, folder)


@pytest.fixture(scope="session")
def with_rules(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder, prepared_dir: Path) -> Iterator[str]:
    """A gateway with rules, an upstream that is down and an access key; its host:port."""
    folder = tmp_path_factory.mktemp("with_rules")
    (folder / "gateway.yaml").write_text(RULES)
    (folder / "policies").mkdir()
    (folder / "policies" / "bank.yaml").write_text("never read: what it trains on does not become so much")
    (folder / "models").mkdir()
    (folder / "models" / "encoders").symlink_to(prepared_dir / "encoders")
    publish(encoder, folder / "models")
    with gateway(folder / "gateway.yaml") as address:
        yield address


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway by the template without rules; its host:port."""
    folder = tmp_path_factory.mktemp("proxy")
    config = folder / "config" / "gateway.yaml"
    config.parent.mkdir()
    config.write_bytes((ROOT / "config" / "templates" / "proxy.yaml").read_bytes())
    with gateway(config) as address:
        yield address


class Prometheus:
    """A real Prometheus process's HTTP API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer. AssertionError with Prometheus's words where it is an error."""
        answer = json.loads(call(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")[1])
        assert answer["status"] == "success", f"{answer.get('error')}: {parameters}"
        assert not answer.get("warnings"), f"{answer['warnings']}: {parameters}"
        return answer["data"]

    def values(self, query: str) -> list[float]:
        """An instant query's values."""
        return [float(series["value"][1]) for series in self.get("query", query=query)["result"]]


def send_traffic(*addresses: str) -> int:
    """Some calls of every kind to each gateway; how many."""
    sent = 0
    for address in addresses:
        for model, text in [*ASKED, ASKED[0]]:
            body = {"model": model, "messages": [{"role": "user", "content": text}]}
            call(f"http://{address}/v1/chat/completions", body)
            call(f"http://{address}/v1/chat/completions", {**body, "stream": True})
            sent += 2
    return sent


@pytest.fixture(scope="session")
def prometheus(
    required: Any, tmp_path_factory: pytest.TempPathFactory, with_rules: str, proxy: str
) -> Iterator[Prometheus]:
    """A Prometheus by deploy/prometheus, quicker, that has scraped two gateways before and after some traffic."""
    program = required.program("prometheus", INSTALL)
    folder = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms", "scrape_timeout": "500ms"}
    config["rule_files"] = [str(DEPLOY / "prometheus" / name) for name in config["rule_files"]]
    (job,) = config["scrape_configs"]
    job["authorization"]["credentials_file"] = str(folder / "key")
    job["static_configs"] = [{"targets": [with_rules, proxy]}]
    (folder / "key").write_text(f"{KEY}\n")
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    with running(command, f"http://{address}/-/ready", folder) as (process, log):
        server = Prometheus(f"http://{address}")
        wait_for("a first scrape", lambda: server.values('sum(up{job="offramp"})') == [2.0], log, process)
        wait_for("a second", lambda: min(server.values("count_over_time(up[1m])")) >= 3, log, process)
        sent = send_traffic(with_rules, proxy)
        wait_for("the traffic", lambda: server.values("sum(offramp_requests_total)") == [sent], log, process)
        wait_for("recorded rules", lambda: server.values("offramp:saved:share > 0"), log, process)
        # alerts look at recorded figures, so theirs may come an evaluation later
        due = 'ALERTS{alertname=~"OfframpUpstreamFailing|OfframpErrorRatioHigh|OfframpUnpricedRequests"}'
        wait_for("alerts", lambda: server.values(f"count(count by (alertname) ({due}))") == [3.0], log, process)
        yield server
