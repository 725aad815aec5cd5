"""Prometheus, its alerts and Grafana's dashboard: they fit each other, the gateway and Triton.

`tests/end_to_end/test_monitoring.py` asks a real Prometheus every query.
"""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.gauges import Gauges, State, TritonState
from gateway.metrics import Metrics
from tests.build.promql import grouped_by, selectors
from tests.build.test_compose import Service, published, services

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "build/monitoring"
DASHBOARD: dict[str, Any] = json.loads(
    (MONITORING / "grafana/dashboards/streaming-whisper.json").read_text()
)
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in PANELS
    for target in panel["targets"]
}
ALERTS = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
PROFILES = ("--profile", "cpu", "--profile", "monitoring")
OF_PROMETHEUS = {"up"}
OF_TRITON = {
    "nv_cpu_utilization",
    "nv_gpu_utilization",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_pending_request_count",
    "nv_inference_queue_duration_us",
    "nv_inference_request_duration_us",
    "nv_inference_request_failure",
    "nv_inference_request_success",
}
"""By the metrics documentation of Triton 2.51; where there is no GPU, `nv_gpu_*` are not there."""
OF_EVERY_SAMPLE = {"job", "instance"}


def gateway_series() -> dict[str, set[str]]:
    """Labels by the names of all series that a gateway may have."""
    metrics = Metrics()
    triton = TritonState("triton:8001", is_well=True, streams=1)
    state = State(64, 3, False, False, 0.1, 0.2, 0.5, (triton,))
    metrics.registry.register(Gauges(lambda: state))
    found: dict[str, set[str]] = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


SERIES = gateway_series()


def monitoring(name: str) -> Service:
    return services(*PROFILES)[name]


def test_monitoring_is_a_profile_of_its_own() -> None:
    without = set(services("--profile", "cpu"))
    assert set(services(*PROFILES)) - without == {"prometheus", "grafana"}


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_what_watches_is_locked_in_pinned_and_offered_to_this_machine_alone(name: str) -> None:
    service = monitoring(name)
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", service["image"])
    assert {host for host, _, _ in published(service)} == {"127.0.0.1"}
    assert service["restart"] == "unless-stopped"


def test_every_file_that_is_mounted_is_there_and_read_only() -> None:
    mounts = [mount for name in ("prometheus", "grafana") for mount in monitoring(name)["volumes"]]
    binds = [mount for mount in mounts if mount["type"] == "bind"]
    assert len(binds) == 4
    for mount in binds:
        assert Path(mount["source"]).exists(), mount
        assert mount["read_only"], mount


def test_nobody_can_change_grafana_and_it_asks_nobody_outside() -> None:
    environment = monitoring("grafana")["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert environment["GF_ANALYTICS_REPORTING_ENABLED"] == "false"
    assert environment["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"


def test_the_gateways_metrics_are_read_inside_and_published_nowhere() -> None:
    ports = {target for _, _, target in published(monitoring("gateway"))}
    scraped = {
        job["job_name"]: job["dns_sd_configs"][0]
        for job in yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
        if "dns_sd_configs" in job
    }
    dockerfile = (ROOT / "build/gateway.Dockerfile").read_text()
    assert scraped["gateway"]["names"] == ["gateway"]
    assert f"GATEWAY_METRICS_PORT={scraped['gateway']['port']}" in dockerfile
    assert scraped["gateway"]["port"] not in ports
    assert (scraped["triton"]["names"], scraped["triton"]["port"]) == (["triton"], 8002)


def test_grafana_finds_its_datasource_and_its_dashboard() -> None:
    provisioning = MONITORING / "grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    (provider,) = yaml.safe_load((provisioning / "dashboards/dashboards.yml").read_text())[
        "providers"
    ]
    mounts = {mount["target"]: mount for mount in monitoring("grafana")["volumes"]}
    assert {"type": source["type"], "uid": source["uid"]} == DASHBOARD["panels"][1]["datasource"]
    assert source["url"] == "http://prometheus:9090"
    assert Path(mounts[provider["options"]["path"]]["source"]) == MONITORING / "grafana/dashboards"
    home = monitoring("grafana")["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/{DASHBOARD['uid']}.json"


def test_panels_have_their_own_place_and_say_what_they_show() -> None:
    taken: Counter[tuple[int, int]] = Counter()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert 0 <= at["x"] < at["x"] + at["w"] <= 24, panel["title"]
        for x in range(at["x"], at["x"] + at["w"]):
            taken.update((x, y) for y in range(at["y"], at["y"] + at["h"]))
    assert [place for place, count in taken.items() if count > 1] == []
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in PANELS:
        assert panel["description"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}, panel["title"]


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_panel_reads_series_that_there_are(query: str) -> None:
    assert_series_exist(query)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_reads_series_that_there_are_and_says_what_is_wrong(alert: dict[str, Any]) -> None:
    assert_series_exist(alert["expr"])
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"]["summary"].endswith((".", "?"))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_the_operator_reads_what_to_do_about_an_alert(alert: dict[str, Any]) -> None:
    text = (ROOT / "docs/operations.md").read_text()
    assert f"\n| `{alert['alert']}` |" in text


def assert_series_exist(query: str) -> None:
    read = selectors(query)
    assert read or query.startswith("vector"), query
    for selector in read:
        if selector.name in OF_TRITON | OF_PROMETHEUS:
            continue
        assert selector.name in SERIES, selector
        assert selector.labels <= SERIES[selector.name] | OF_EVERY_SAMPLE, selector
    known = {"model"} | OF_EVERY_SAMPLE | {label for labels in SERIES.values() for label in labels}
    assert grouped_by(query) <= known


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_legend_names_labels_that_its_query_keeps(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        kept = grouped_by(target["expr"]) or OF_EVERY_SAMPLE | {"gpu_uuid"}
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= kept, target


@pytest.mark.parametrize("name", sorted(SERIES))
def test_every_metric_stands_in_the_reference(name: str) -> None:
    text = (ROOT / "docs/operations.md").read_text()
    base = re.sub("_(bucket|sum|count)$", "", name)
    assert f"`{base}`" in text or base.startswith("process_")
