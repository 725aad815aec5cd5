"""The Kubernetes manifests, as kubectl builds them: they fit Kubernetes' schemas, each other, the
images and the code.
"""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from build.engine import profiles
from build.engine.models import MODELS, engine_name
from gateway import server
from gateway.metrics import Metrics
from gateway.session import STOP_TIMEOUT_S
from gateway.settings import Settings, unknown_variables
from scripts import serve_engine
from tests.build.promql import selectors
from tests.build.test_compose import BALANCED, LATENCY, gateway_settings, services

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "build/kubernetes"
KUBECTL = Path(sys.executable).with_name("kubectl")
OVERLAYS = ("cpu", "gpu-latency", "mig-balanced")
OF_A_GPU = ("gpu-latency", "mig-balanced")
OLDEST, NEWEST = "1.30", "1.37"
"""Of Kubernetes: `preStop` sleeps since 1.30."""

SELECTS = {
    "PodDisruptionBudget": "selector",
    "NetworkPolicy": "podSelector",
    "Service": "selector",
}
"""What is meant for pods, and the field that says for which."""

Resource = dict[str, Any]

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
each_gpu = pytest.mark.parametrize("overlay", OF_A_GPU)


@cache
def built(overlay: str) -> dict[tuple[str, str], Resource]:
    """What an overlay applies, by kind and name without its hash."""
    command = [str(KUBECTL), "kustomize", str(KUBERNETES / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return {_key(resource): resource for resource in yaml.safe_load_all(done.stdout)}


def _key(resource: Resource) -> tuple[str, str]:
    kind, name = resource["kind"], resource["metadata"]["name"]
    return kind, name.rpartition("-")[0] if kind == "ConfigMap" else name


def gateway(overlay: str) -> Resource:
    return built(overlay)["Deployment", "gateway"]


def triton(overlay: str) -> Resource:
    return built(overlay)["StatefulSet", "triton"]


def pods(overlay: str) -> dict[str, Resource]:
    """The specification of every pod that there may be, by the name of what makes it."""
    found = {}
    for (kind, name), resource in built(overlay).items():
        if kind == "CronJob":
            found[name] = resource["spec"]["jobTemplate"]["spec"]["template"]
        elif "template" in resource.get("spec", {}):
            found[name] = resource["spec"]["template"]
    return found


def containers(pod: Resource) -> list[Resource]:
    spec = pod["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def only_container(resource: Resource) -> Resource:
    (container,) = resource["spec"]["template"]["spec"]["containers"]
    return dict(container)


def settings(overlay: str) -> dict[str, str]:
    return dict(built(overlay)["ConfigMap", "gateway"]["data"])


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@each_overlay
def test_everything_fits_kubernetes_schemas(overlay: str, version: str) -> None:
    for resource in built(overlay).values():
        kubernetes_validate.validate(resource, version, strict=True)


def test_the_schemas_find_a_slip() -> None:
    slip = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError, match="prots"):
        kubernetes_validate.validate(slip, NEWEST, strict=True)


@each_overlay
def test_everything_is_in_one_namespace_which_holds_it_to_the_restricted_standard(
    overlay: str,
) -> None:
    name = ("Namespace", "streaming-whisper")
    labels = built(overlay)[name]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    others = [resource for key, resource in built(overlay).items() if key != name]
    assert {resource["metadata"]["namespace"] for resource in others} == {name[1]}


@each_overlay
def test_every_pod_may_do_no_more_than_it_needs(overlay: str) -> None:
    for name, pod in pods(overlay).items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


@each_overlay
def test_every_container_has_its_share_and_its_volumes(overlay: str) -> None:
    for name, pod in pods(overlay).items():
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])}
        for container in containers(pod):
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]), name
            assert "memory" in resources["limits"], name
            mounted = [mount["name"] for mount in container["volumeMounts"]]
            assert set(mounted) <= volumes, name
            assert len({mount["mountPath"] for mount in container["volumeMounts"]}) == len(mounted)


@each_overlay
def test_images_are_those_of_docker_compose_in_the_operators_registry(overlay: str) -> None:
    every = services("--profile", "gpu", "--profile", "cpu", "--profile", "build")
    ours = {service["image"] for service in every.values()}
    for pod in pods(overlay).values():
        for container in containers(pod):
            registry, _, image = container["image"].rpartition("/")
            name, _, tag = image.partition(":")
            assert registry == "registry.example"
            assert name in ours
            assert tag
    is_embedded = "embedded" in only_container(triton(overlay))["image"]
    assert is_embedded is (overlay == "cpu")


@each_overlay
def test_the_gateway_is_told_only_what_it_knows(overlay: str) -> None:
    given = settings(overlay)
    assert unknown_variables(given) == []
    (source,) = only_container(gateway(overlay))["envFrom"]
    name = built(overlay)["ConfigMap", "gateway"]["metadata"]["name"]
    assert source == {"configMapRef": {"name": name}}
    chosen = Settings.from_environment({"GATEWAY_HOST": "0.0.0.0", **given})
    assert chosen.log_format == "json"


@each_overlay
def test_the_gateway_names_every_triton_that_there_may_be(overlay: str) -> None:
    stateful_set = triton(overlay)
    service = built(overlay)["Service", stateful_set["spec"]["serviceName"]]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    most = built(overlay)["HorizontalPodAutoscaler", "triton"]["spec"]["maxReplicas"]
    name = stateful_set["metadata"]["name"]
    expected = [f"{name}-{n}.{service['metadata']['name']}:{ports['grpc']}" for n in range(most)]
    assert settings(overlay)["GATEWAY_TRITON"].split(",") == expected


@each_overlay
def test_keys_are_a_file_of_a_secret(overlay: str) -> None:
    container = only_container(gateway(overlay))
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "keys"]
    volumes = gateway(overlay)["spec"]["template"]["spec"]["volumes"]
    (secret,) = [volume["secret"] for volume in volumes if volume["name"] == "keys"]
    assert settings(overlay)["GATEWAY_API_KEYS_FILE"] == f"{mount['mountPath']}/keys"
    assert mount["readOnly"]
    assert secret == {"secretName": "gateway-keys", "defaultMode": 0o440}
    assert not [kind for kind, _ in built(overlay) if kind == "Secret"]


@each_overlay
def test_probes_ask_what_the_gateway_answers(overlay: str) -> None:
    container = only_container(gateway(overlay))
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"websocket": Settings().port, "metrics": 8003}
    asked = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("liveness", "readiness")}
    assert asked == {
        "liveness": {"path": "/healthz", "port": "websocket"},
        "readiness": {"path": "/readyz", "port": "websocket"},
    }
    routes = {resource.canonical for resource in server.create_app(Settings()).router.resources()}
    assert {probe["path"] for probe in asked.values()} <= routes


@each_overlay
def test_triton_is_asked_by_grpcs_own_health_protocol(overlay: str) -> None:
    container = only_container(triton(overlay))
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for kind in ("startup", "readiness", "liveness"):
        assert container[f"{kind}Probe"]["grpc"] == {"port": ports["grpc"]}
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 600


@each_overlay
def test_a_gateway_has_the_time_to_drain(overlay: str) -> None:
    spec = gateway(overlay)["spec"]["template"]["spec"]
    sleep_s = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain_s = float(settings(overlay)["GATEWAY_DRAIN_S"])
    needed_s = sleep_s + drain_s + server.STOP_TIMEOUT_S + STOP_TIMEOUT_S
    assert spec["terminationGracePeriodSeconds"] > needed_s
    assert gateway(overlay)["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@each_overlay
def test_budgets_policies_and_services_select_pods_that_there_are(overlay: str) -> None:
    labels = [pod["metadata"]["labels"] for pod in pods(overlay).values()]
    for (kind, name), resource in built(overlay).items():
        if kind in SELECTS:
            chosen = resource["spec"][SELECTS[kind]]
            wanted = chosen.get("matchLabels", chosen).items()
            assert len([found for found in labels if wanted <= found.items()]) == 1, (kind, name)


@each_overlay
def test_the_gateways_alone_reach_triton(overlay: str) -> None:
    policy = built(overlay)["NetworkPolicy", "triton"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    by_port = {rule["ports"][0]["port"]: rule["from"] for rule in policy["ingress"]}
    of_gateways = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}}}
    assert by_port["grpc"] == [of_gateways]
    assert set(by_port) == {"grpc", "metrics"}


@each_overlay
def test_metrics_are_for_the_monitoring_namespace_alone(overlay: str) -> None:
    monitoring = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    }
    for name in ("gateway", "triton"):
        rules = built(overlay)["NetworkPolicy", name]["spec"]["ingress"]
        (rule,) = [rule for rule in rules if rule["ports"] == [{"port": "metrics"}]]
        assert rule["from"] == [monitoring]
        annotations = pods(overlay)[name]["metadata"]["annotations"]
        ports = {port["name"]: port for port in containers(pods(overlay)[name])[-1]["ports"]}
        assert annotations["prometheus.io/port"] == str(ports["metrics"]["containerPort"])
    service = built(overlay)["Service", "gateway"]["spec"]
    assert [port["targetPort"] for port in service["ports"]] == ["websocket"]


@each_overlay
def test_both_grow_with_the_streams_that_prometheus_counts(overlay: str) -> None:
    rules = yaml.safe_load((KUBERNETES / "adapter.yaml").read_text())["rules"]
    counted = {sample.name for family in Metrics().registry.collect() for sample in family.samples}
    for rule in (*rules["custom"], *rules["external"]):
        (selector,) = selectors(rule["seriesQuery"])
        assert selector.name in counted
    of_gateways = built(overlay)["HorizontalPodAutoscaler", "gateway"]["spec"]
    of_tritons = built(overlay)["HorizontalPodAutoscaler", "triton"]["spec"]
    for spec in (of_gateways, of_tritons):
        target = spec["scaleTargetRef"]
        assert (target["kind"], target["name"]) in built(overlay)
        assert "replicas" not in built(overlay)[target["kind"], target["name"]]["spec"]
    assert of_gateways["metrics"][0]["pods"]["metric"]["name"] == "whisper_streams"
    metric = of_tritons["metrics"][0]["external"]["metric"]["name"]
    assert metric == rules["external"][0]["name"]["as"]
    target = int(of_tritons["metrics"][0]["external"]["target"]["averageValue"])
    assert target < int(settings(overlay)["GATEWAY_MAX_STREAMS"])  # before the others are full


@pytest.mark.parametrize(
    ("overlay", "mode"), [("gpu-latency", LATENCY), ("mig-balanced", BALANCED)]
)
def test_an_overlay_has_the_settings_of_docker_composes_mode(
    overlay: str, mode: tuple[str, ...]
) -> None:
    of_compose = gateway_settings(*mode, WHISPER_GPU="MIG-5")
    places = ("GATEWAY_TRITON", "GATEWAY_PUBLISHED_HOST")
    wanted = {name: value for name, value in of_compose.items() if name not in places}
    assert wanted.items() <= settings(overlay).items()


@pytest.mark.parametrize(
    ("overlay", "resource"),
    [("gpu-latency", "nvidia.com/gpu"), ("mig-balanced", "nvidia.com/mig-3g.40gb")],
)
def test_one_gpu_or_slice_is_checked_built_for_and_served_from(overlay: str, resource: str) -> None:
    for name in ("triton", "build-engine"):
        for container in containers(pods(overlay)[name]):
            limits = container["resources"]["limits"]
            assert {key: n for key, n in limits.items() if key.startswith("nvidia")} == {
                resource: "1"
            }
    assert "nvidia" not in str(gateway(overlay))


@each_gpu
def test_the_engine_that_is_built_is_the_one_that_is_served(overlay: str) -> None:
    (build,) = containers(pods(overlay)["build-engine"])
    arguments = dict(zip(build["args"][::2], build["args"][1::2], strict=True))
    assert arguments["--model"] in MODELS
    profile = profiles.find_profile(arguments["--profile"])
    name = engine_name(arguments["--model"], "float16", profile.name)
    (output,) = [mount for mount in build["volumeMounts"] if mount["name"] == "engines"]
    assert output == {"name": "engines", "mountPath": "/server/build/output"}
    check, serving = containers(pods(overlay)["triton"])
    for container in (check, serving):
        (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "engines"]
        assert mount == {
            "name": "engines",
            "mountPath": str(serve_engine.ENGINE),
            "subPath": f"engines/{name}",
            "readOnly": True,
        }
    assert check["args"] == ["python3", "scripts/serve_engine.py", "--check"]
    assert check["image"] == serving["image"]


@each_gpu
def test_building_waits_for_somebody_to_ask(overlay: str) -> None:
    job = built(overlay)["CronJob", "build-engine"]["spec"]
    assert job["suspend"] is True
    assert job["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert job["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_the_overlay_for_cpus_has_no_engine_to_build() -> None:
    assert not [key for key in built("cpu") if key[0] in ("CronJob", "PersistentVolumeClaim")]
    assert "nvidia" not in str(built("cpu"))
