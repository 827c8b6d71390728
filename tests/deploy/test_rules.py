import re
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DOCS = DEPLOY.parent / "docs" / "metrics.md"
RULES = DEPLOY / "prometheus" / "rules.yml"
RULES_TEST = DEPLOY / "prometheus" / "rules_test.yml"
GROUPS = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
QUESTIONS = re.findall(
    r"^# .+\n((?:(?!#).+\n)+)", re.findall(r"```promql\n(.*?)```", DOCS.read_text(), re.DOTALL)[0], re.MULTILINE
)
RECORDED = [rule for group in GROUPS for rule in group["rules"] if "record" in rule]


@pytest.fixture
def promtool(required: Any) -> str:
    return str(required.program("promtool", "apt-get install -y --no-install-recommends prometheus"))


def run(*command: str, text: bytes | None = None) -> None:
    done = subprocess.run(command, input=text, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_the_configuration_is_valid(promtool: str, tmp_path: Path) -> None:
    config = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    key = tmp_path / "key"
    key.write_text("secret")
    (tmp_path / "rules.yml").write_bytes(RULES.read_bytes())
    (tmp_path / "prometheus.yml").write_text(config.replace("/run/secrets/offramp_key", str(key)))
    run(promtool, "check", "config", "--lint=all", "--lint-fatal", str(tmp_path / "prometheus.yml"))


def test_the_rules_do_what_their_tests_say(promtool: str) -> None:
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    run(promtool, "test", "rules", str(RULES_TEST))


def test_each_alert_is_tested_firing_and_not_firing() -> None:
    cases = [
        case for test in yaml.safe_load(RULES_TEST.read_text())["tests"] for case in test.get("alert_rule_test", ())
    ]
    names = {alert["alert"] for alert in ALERTS}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert set(alert["annotations"]) == {"summary", "runbook"}
    assert "\n" not in alert["annotations"]["runbook"]


def test_metrics_are_well_formed(promtool: str, with_rules: str, proxy: str, prometheus: Any) -> None:
    for address in (with_rules, proxy):
        request = urllib.request.Request(
            f"http://{address}/metrics", headers={"authorization": "Bearer key-of-the-tests"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            run(promtool, "check", "metrics", text=answer.read())


def test_a_real_prometheus_runs_all_rules(prometheus: Any) -> None:
    groups = prometheus.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(ALERTS) + len(RECORDED)
    assert {(rule["name"], rule["health"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"} == set()
    assert [target["health"] for target in prometheus.get("targets")["activeTargets"]] == ["up", "up"]


@pytest.mark.parametrize("rule", ALERTS + RECORDED, ids=lambda rule: rule.get("alert") or rule["record"])
def test_what_a_rule_selects_is_there(prometheus: Any, rule: dict[str, Any]) -> None:
    """So that no alert sleeps because of a name or a label."""
    assert prometheus.get("query", query=rule["expr"])["resultType"] == "vector"
    selected = re.findall(r"\b(?:offramp[:_][\w:]+|up)\b(?:\{[^}]*\})?", rule["expr"])
    assert selected
    for selector in selected:
        assert prometheus.values(selector), selector


@pytest.mark.parametrize("query", QUESTIONS)
def test_the_questions_of_the_docs_are_answered(prometheus: Any, query: str) -> None:
    assert prometheus.values(query)


def test_the_traffic_fires_what_it_should(prometheus: Any) -> None:
    """An upstream is down and a model has no price: both are pending or firing; the rest is quiet."""
    active = {alert["labels"]["alertname"] for alert in prometheus.get("alerts")["alerts"]}
    assert active >= {"OfframpUpstreamFailing", "OfframpUnpricedRequests", "OfframpErrorRatioHigh"}
    assert not active & {"OfframpDown", "OfframpVerdictsBroken", "OfframpLedgerRowsLost", "OfframpLedgerLagging"}
