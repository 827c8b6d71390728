"""A classifier is trained anew, rolled back and damaged while a real gateway serves."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openai import OpenAI

from tests.given import table_text

from .conftest import until, user

GATEWAY = table_text("given/e2e-swap-gateway.yaml")
POLICY = table_text("given/e2e-swap-policy.yaml")


class Traffic:
    """Requests one after the other, in a thread: the versions that decided them."""

    def __init__(self, url: str) -> None:
        self.versions: list[str] = []
        self._ended = threading.Event()
        self._client = OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(0.01):
            raw = self._client.chat.completions.with_raw_response.create(model="gpt-4o", messages=user("hello there"))
            self.versions.append(raw.headers.get("x-offramp-classifier", "none").partition("@")[2])

    def until(self, version: str) -> None:
        until(lambda: self.versions[-1:] == [version] or not self._thread.is_alive())
        assert self._thread.is_alive()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(30)
        self._client.close()


def test_versions_change_between_two_requests(
    start_gateway: Callable[..., Any], run_offramp: Callable[..., Any], prepared_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "gateway.yaml").write_text(GATEWAY)
    (tmp_path / "greet.yaml").write_text(POLICY)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "encoders").symlink_to(prepared_dir / "encoders")

    def current() -> str:
        return (tmp_path / "models" / "greet" / "current").read_text().strip()

    def train() -> str:
        done = run_offramp("train", "greet.yaml", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return current()

    first = train()
    gateway = start_gateway(tmp_path / "gateway.yaml")
    traffic = Traffic(gateway.url)
    try:
        traffic.until(first)
        (tmp_path / "greet.yaml").write_text(POLICY.replace("good morning", "good evening"))
        second = train()
        assert second != first
        traffic.until(second)
        assert run_offramp("models", "rollback", "greet", cwd=tmp_path).returncode == 0
        traffic.until(first)

        # a version that is not whole is left alone until it is
        damaged = tmp_path / "models" / "greet" / second.replace(second[:8], "29990101")
        shutil.copytree(tmp_path / "models" / "greet" / second, damaged)
        weights = next(damaged.glob("*.safetensors"))
        whole = weights.read_bytes()
        weights.write_bytes(b"no weights")
        (tmp_path / "models" / "greet" / "current").write_text(damaged.name + "\n")
        until(lambda: gateway.metric("offramp_reload_failures_total") == 1)
        assert traffic.versions[-1] == first
        assert gateway.metric(f'offramp_classifier_info{{classifier="greet",version="{first}"}}') == 1
        assert gateway.metric(f'offramp_classifier_info{{classifier="greet",version="{second}"}}') == 0
        weights.write_bytes(whole)
        traffic.until(damaged.name)
    finally:
        traffic.close()
    assert list(dict.fromkeys(traffic.versions)) == [first, second, damaged.name]
    assert "cannot be taken up" in gateway.log.read_text()
