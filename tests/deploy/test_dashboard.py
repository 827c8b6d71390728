import json
import re
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.given import table

GRAFANA = Path(__file__).resolve().parents[2] / "deploy" / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "offramp.json").read_text())
PANELS = DASHBOARD["panels"]
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]
QUERIES = [(panel, target) for panel in SHOWN for target in panel["targets"]]
VARIABLES = {"$notional": ".*", "$__rate_interval": "1m", "$__range": "5m"}
ROWS = ["Money", "Where", "Savings", "Decisions", "Classifiers", "Contracts", "Reliability", "Data quality"]


def filled(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def name_of(query: tuple[dict[str, Any], dict[str, Any]]) -> str:
    return f"{query[0]['title']}-{query[1]['refId']}"


@pytest.mark.parametrize("query", QUERIES, ids=name_of)
def test_every_query_runs_and_has_data(prometheus: Any, query: tuple[dict[str, Any], dict[str, Any]]) -> None:
    target = query[1]
    expression = filled(target["expr"])
    assert "$" not in expression
    if target["instant"]:
        values = [[series["value"]] for series in prometheus.get("query", query=expression)["result"]]
    else:
        now = time.time()
        times = {"start": str(now - 60), "end": str(now), "step": "1"}
        values = [series["values"] for series in prometheus.get("query_range", query=expression, **times)["result"]]
    numbers = [float(value) for series in values for _, value in series]
    assert any(number == number for number in numbers), f"no data: {expression}"


@pytest.mark.parametrize("query", QUERIES, ids=name_of)
def test_legends_name_labels_that_are_there(prometheus: Any, query: tuple[dict[str, Any], dict[str, Any]]) -> None:
    target = query[1]
    wanted = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    found = prometheus.get("query", query=f"last_over_time(({filled(target['expr'])})[1m:1s])")["result"]
    assert all(wanted <= set(series["metric"]) for series in found)


def test_money_adds_up(prometheus: Any, with_rules: str) -> None:
    """What the panels show is what the counters hold."""
    saved = prometheus.get("query", query='sum by (notional) (offramp_saved_dollars_total{reason!="block"})')["result"]
    found = {series["metric"]["notional"]: float(series["value"][1]) for series in saved}
    # the only calls that are charged for are those to a judge, which save nothing
    assert (found["true"] > 0, found["false"]) == (True, 0)
    calls = prometheus.get("query", query="sum by (reason) (offramp_saved_calls_total)")["result"]
    assert {series["metric"]["reason"]: series["value"][1] for series in calls} == {"local_answer": "4", "block": "2"}


SUMS = table("given/deploy-dashboard-sums.yaml")


@pytest.mark.parametrize("title", SUMS)
def test_what_a_panel_adds_up(required: Any, tmp_path: Path, title: str) -> None:
    promtool = required.program("promtool", "apt-get install -y --no-install-recommends prometheus")
    ((_, target),) = [query for query in QUERIES if query[0]["title"] == title]
    moved, shown = SUMS[title]
    case = {
        "expr": filled(target["expr"]),
        "eval_time": "10m",
        "exp_samples": [{"labels": labels, "value": value} for labels, value in shown.items()],
    }
    series = [{"series": name, "values": values} for name, values in moved.items()]
    tests = {"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": [case]}]}
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(tests))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_ids_are_unique() -> None:
    assert [key for key, times in Counter(panel["id"] for panel in PANELS).items() if times > 1] == []
    assert all(isinstance(panel["id"], int) and panel["id"] > 0 for panel in PANELS)
    assert [panel["title"] for panel in PANELS if panel["type"] == "row"] == ROWS
    for panel in SHOWN:
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs), panel["title"]


def test_everything_asks_the_datasource_variable() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert variables["notional"]["allValue"] == VARIABLES["$notional"]
    for panel in SHOWN:
        for asked in (panel, *panel["targets"]):
            assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


@pytest.mark.parametrize("panel", SHOWN, ids=lambda panel: panel["title"])
def test_a_panel_explains_itself(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].rstrip().endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    dollars = any("dollars" in target["expr"] for target in panel["targets"])
    if dollars and panel["type"] != "table":
        assert panel["fieldConfig"]["defaults"]["unit"] in ("currencyUSD", "percentunit")
        assert all("notional" in target["expr"] for target in panel["targets"]), "real and notional dollars are mixed"
    if panel["type"] == "stat":
        assert all(target["instant"] for target in panel["targets"])
