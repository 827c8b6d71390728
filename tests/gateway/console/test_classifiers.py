"""Versions of classifiers on pages."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from classifiers.model.registry import Registry
from gateway.console.access import ConsoleKey
from gateway.console.app import create_console
from gateway.console.data import ConsoleData

URL = "http://127.0.0.1:8081"
KEY = ConsoleKey(key="k" * 32, url=URL)
GATEWAY = """\
version: 1
models_dir: {models}
upstreams: {{e: {{kind: echo}}}}
models: {{m: e}}
rules:
  - {{name: r, classifier: bank, when: {{any_system: true}}, then: {{card: {{answer: "Yes."}}, rate: block}}}}
  - {{name: other, classifier: untrained, when: {{any_system: true}}, then: {{"*": flag}}}}
"""


@pytest.fixture
def browser(load: Callable[..., Any], models_dir: Path) -> TestClient:
    client = TestClient(create_console(ConsoleData(load(GATEWAY.format(models=models_dir)), ""), KEY), base_url=URL)
    client.get("/login", params={"key": KEY.key})
    client.headers["origin"] = URL
    return client


@pytest.fixture
def made(publish: Callable[..., str]) -> list[str]:
    """Three versions, the oldest first; the last is in use."""
    return [publish(datetime(2026, 11, day, tzinfo=UTC)) for day in (28, 29, 30)]


def test_a_version_is_put_in_use_and_rolled_back(browser: TestClient, models_dir: Path, made: list[str]) -> None:
    shown = browser.get("/classifiers").text
    assert [shown.index(f'">{version} ') for version in made[::-1]] == sorted(shown.index(f'">{v} ') for v in made)
    assert "It is not trained yet" in shown
    registry = Registry(models_dir)
    for given, used in (
        ({"do": "rollback"}, made[1]),
        ({"version": made[2]}, made[2]),
        ({"version": made[0]}, made[0]),
    ):
        answer = browser.post("/classifiers", data={"name": "bank", **given}).text
        assert registry.current("bank") == used
        assert f'value="{used}"' not in answer
        assert answer.count("in use<") == 1


@pytest.mark.parametrize(
    "given", [{"name": "bank", "do": "rollback"}, {"name": "bank", "version": "../.."}, {"name": "encoders"}, {}]
)
def test_what_cannot_be_put_in_use_is_a_problem(browser: TestClient, models_dir: Path, given: Any, made: Any) -> None:
    registry = Registry(models_dir)
    registry.promote("bank", made[0])
    assert 'role="alert"' in browser.post("/classifiers", data=given).text
    assert registry.current("bank") == made[0]


def test_a_report_is_framed_and_nothing_in_it_runs(browser: TestClient, models_dir: Path, made: list[str]) -> None:
    (models_dir / "bank" / made[0] / "report.html").write_text("<script>alert(1)</script>")
    page = browser.get("/classifiers", params={"name": "bank", "version": made[0]}).text
    address = f"/classifiers/bank/{made[0]}/report"
    assert f'src="{address}" sandbox></iframe>' in page
    assert "<iframe" not in browser.get("/classifiers", params={"name": "bank", "version": "x"}).text
    answer = browser.get(address)
    policy = set(answer.headers["content-security-policy"].split("; "))
    assert policy == {"default-src 'none'", "style-src 'unsafe-inline'", "frame-ancestors 'self'", "sandbox"}
    assert [browser.get(f"/classifiers/{one}/report").status_code for one in (f"bank/{made[1]}", "x/y")] == [503, 503]
