"""Every metric, label, recorded figure and alert: in the code, on the dashboard or in an alert, and in the docs."""

import json
import re
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from gateway.metrics.observe import Metrics

from .conftest import ROOT, rows

DOCS = (ROOT / "docs" / "metrics.md").read_text()
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/offramp.json").read_text())
GROUPS = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
ALERTS = {rule["alert"]: rule["expr"] for rule in RULES if "alert" in rule}
SHOWN = " ".join(target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ()))
QUERIES = re.findall(r"```promql\n(.*?)```", DOCS, re.DOTALL)
NAME = re.compile(r"\bofframp_\w+")
FIGURE = re.compile(r"\bofframp:[\w:]+")


def instruments() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Name as scraped → type and labels."""
    metrics = Metrics()
    wrapped = {one._name: one._labelnames for one in vars(metrics).values() if isinstance(one, MetricWrapperBase)}
    found = {}
    for family in metrics.registry.collect():
        if family.name.startswith("offramp_"):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = wrapped[family.name] if family.name in wrapped else family.samples[0].labels
            found[name] = (family.type, tuple(labels))
    return found


INSTRUMENTS = instruments()


def names_in(text: str) -> set[str]:
    """The metrics a text uses; a histogram by its own name."""
    found = set()
    for name in NAME.findall(text):
        histogram = re.sub(r"_(bucket|count|sum)$", "", name)
        found.add(histogram if INSTRUMENTS.get(histogram, ("",))[0] == "histogram" else name)
    return found


def test_every_metric_is_shown_or_alerted_on() -> None:
    shown = " ".join([SHOWN, *ALERTS.values()])
    assert names_in(" ".join([shown, *(RECORDED[figure] for figure in FIGURE.findall(shown))])) == set(INSTRUMENTS)


def test_every_recorded_figure_is_used() -> None:
    assert set(FIGURE.findall(" ".join([SHOWN, *ALERTS.values()]))) == set(RECORDED)


def test_every_metric_is_documented_as_it_is() -> None:
    documented = {
        name.strip("`"): (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in rows(DOCS, "metric")
    }
    assert documented == INSTRUMENTS
    assert QUERIES
    assert names_in(DOCS) <= {*INSTRUMENTS, "offramp_key"}


def test_every_label_is_documented() -> None:
    documented = {label for cells in rows(DOCS, "label") for label in re.findall(r"`(\w+)`", cells[0])}
    assert documented == {label for _, labels in INSTRUMENTS.values() for label in labels}


@pytest.mark.parametrize(("header", "expected"), [("recorded", RECORDED), ("alert", ALERTS)])
def test_rules_are_documented(header: str, expected: dict[str, str]) -> None:
    assert [cells[0].strip("`") for cells in rows(DOCS, header)] == list(expected)


@pytest.mark.parametrize("text", [SHOWN, *RECORDED.values(), *ALERTS.values(), *QUERIES])
def test_selectors_use_labels_that_are_there(text: str) -> None:
    for name, inside in re.findall(r"\b(offramp_\w+)\{([^}]*)\}", text):
        metric = next(iter(names_in(name)))
        labels: Any = INSTRUMENTS[metric][1]
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside)) <= {*labels, "job", "instance"}, name
