import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())


def mounts(service: str) -> dict[str, str]:
    """Path in the container → source."""
    parts = [volume.split(":") for volume in SERVICES[service]["volumes"]]
    return {part[1]: part[0] for part in parts}


def container_port(service: str) -> str:
    (port,) = SERVICES[service]["ports"]
    return str(port).rpartition(":")[2]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_careful_and_finds_what_it_mounts(service: str) -> None:
    settings = SERVICES[service]
    for target, source in mounts(service).items():
        if source.startswith("."):
            assert (DEPLOY / source).exists(), source
            assert f"{source}:{target}:ro" in settings["volumes"]
        else:
            assert source in COMPOSE["volumes"]
    assert set(settings.get("secrets", ())) <= set(COMPOSE["secrets"])
    assert all(port.startswith("127.0.0.1:") for port in settings["ports"])
    assert settings["healthcheck"]["test"][0] == "CMD"
    assert settings["cap_drop"] == ["ALL"]
    assert "privileged" not in settings
    if "build" not in settings:
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", settings["image"]), "the tag is not pinned"
    for other, wanted in settings.get("depends_on", {}).items():
        assert (other in SERVICES, wanted) == (True, {"condition": "service_healthy"})
    for name, value in settings.get("environment", {}).items():
        if re.search(r"KEY|PASSWORD|TOKEN", name):
            assert value.startswith("${"), "a secret is written down"


def test_the_gateway_is_built_from_here() -> None:
    build = SERVICES["gateway"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert f"EXPOSE {container_port('gateway')}\n" in dockerfile
    for target in mounts("gateway"):
        assert target in dockerfile


def test_prometheus_finds_the_gateway_and_its_key() -> None:
    (job,) = PROMETHEUS["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"gateway:{container_port('gateway')}"]}]
    secret = Path(job["authorization"]["credentials_file"])
    assert str(secret.parent) == "/run/secrets"
    assert secret.name in SERVICES["prometheus"]["secrets"]
    variable = COMPOSE["secrets"][secret.name]["environment"]
    assert SERVICES["gateway"]["environment"][variable].startswith(f"${{{variable}:?")
    flags = dict(flag.removeprefix("--").split("=") for flag in SERVICES["prometheus"]["command"])
    config = flags["config.file"]
    assert mounts("prometheus")[config] == "./prometheus/prometheus.yml"
    for name in PROMETHEUS["rule_files"]:
        assert mounts("prometheus")[str(Path(config).parent / name)] == f"./prometheus/{name}"
    assert mounts("prometheus")[flags["storage.tsdb.path"]] == "prometheus"


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    grafana = DEPLOY / "grafana"
    (datasource,) = yaml.safe_load((grafana / "provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert datasource["url"] == f"http://prometheus:{container_port('prometheus')}"
    assert datasource["jsonData"]["timeInterval"] == PROMETHEUS["global"]["scrape_interval"]
    (provider,) = yaml.safe_load((grafana / "provisioning/dashboards/offramp.yaml").read_text())["providers"]
    folder = provider["options"]["path"]
    assert mounts("grafana")[folder] == "./grafana/dashboards"
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == folder
    assert (grafana / "dashboards" / home.name).is_file()


@pytest.mark.parametrize("service", ["gateway", "prometheus"])
def test_health_checks_work(service: str, required: Any, with_rules: str, prometheus: Any) -> None:
    """The commands themselves, against processes that are up."""
    _, program, *arguments = SERVICES[service]["healthcheck"]["test"]
    address = with_rules if service == "gateway" else prometheus.url.removeprefix("http://")
    arguments = [part.replace(f"127.0.0.1:{container_port(service)}", address) for part in arguments]
    assert any(address in part for part in arguments)
    if program == "python":
        program = sys.executable
    else:
        program = required.program(program, "apt-get install -y --no-install-recommends prometheus")
    done = subprocess.run([program, *arguments], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
