"""Versions of classifiers and other thresholds on pages."""

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
from gateway.review import ReviewedAgain
from tests.given import table

URL = "http://127.0.0.1:8081"
KEY = ConsoleKey(key="k" * 32, url=URL)
GIVEN = table("console.yaml")


@pytest.fixture
def browser(load: Callable[..., Any], models_dir: Path) -> TestClient:
    data = ConsoleData(load(GIVEN["gateway"].format(models=models_dir)), "")
    client = TestClient(create_console(data, KEY), base_url=URL)
    client.get("/login", params={"key": KEY.key})
    client.headers["origin"] = URL
    return client


@pytest.fixture
def made(publish: Callable[..., str], policies: Any) -> list[str]:
    """Three versions of `bank`, the oldest first; the last is in use."""
    publish(datetime(2026, 11, 27, tzinfo=UTC), policies["safe"])
    return [publish(datetime(2026, 11, day, tzinfo=UTC)) for day in (28, 29, 30)]


def test_a_version_is_put_in_use_and_rolled_back(browser: TestClient, models_dir: Path, made: list[str]) -> None:
    shown = browser.get("/classifiers").text
    assert [shown.index(f">{version} ") for version in made[::-1]] == sorted(shown.index(f">{v} ") for v in made)
    for given, place in (({"do": "rollback"}, 1), ({"version": made[2]}, 2), ({"version": made[0]}, 0)):
        answer = browser.post("/classifiers", data={"name": "bank", **given}).text
        assert Registry(models_dir).current("bank") == made[place]
        assert f'value="{made[place]}"' not in answer
        assert answer.count("in use<") == 2


@pytest.mark.parametrize("given", [{"name": "bank", "do": "rollback"}, {"name": "bank", "version": "../.."}, {}])
def test_what_cannot_be_put_in_use_is_a_problem(browser: TestClient, models_dir: Path, given: Any, made: Any) -> None:
    Registry(models_dir).promote("bank", made[0])
    assert 'role="alert"' in browser.post("/classifiers", data=given).text
    assert Registry(models_dir).current("bank") == made[0]


def test_a_report_is_framed_and_nothing_in_it_runs(browser: TestClient, models_dir: Path, made: list[str]) -> None:
    (models_dir / "bank" / made[0] / "report.html").write_text("<script>alert(1)</script>")
    page = browser.get("/classifiers", params={"name": "bank", "version": made[0]}).text
    assert f'src="/classifiers/bank/{made[0]}/report" sandbox></iframe>' in page
    assert "<iframe" not in browser.get("/classifiers", params={"name": "bank", "version": "x"}).text
    policy = browser.get(f"/classifiers/bank/{made[0]}/report").headers["content-security-policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
    assert [browser.get(f"/classifiers/{one}/report").status_code for one in (f"bank/{made[1]}", "x/y")] == [503, 503]


def test_reviewed_texts_are_asked_of_two_versions(
    load: Callable[..., Any], tmp_path: Path, models_dir: Path, made: list[str]
) -> None:
    loaded = load(GIVEN["gateway"].format(models=models_dir))
    (tmp_path / "policies").mkdir()
    lines = ('{"text": "rate", "label": "rate"}', '{"text": "card", "label": "rate"}', '{"text": "", "label": "other"}')
    (tmp_path / "policies" / "bank.reviewed.jsonl").write_text("\n".join(lines))
    again = ReviewedAgain.of(loaded, "bank", (made[0], made[1]))
    assert (again.rows, again.right) == (3, (2, 2))
    assert again.wrong == [("card", {"rate"}, {"card"})]
