"""The chart: what it makes of values, held against Kubernetes' schemas and the rules of PodSecurity "restricted"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy.chart_files import CHART, files
from tests.ship.charts import run, template, validate

EVERYTHING: dict[str, Any] = {
    "image": {"repository": "registry.example.com/gateway", "digest": "sha256:" + "0" * 64},
    "autoscaling": {"enabled": True},
    "source": "kubernetes://web/config",
    "secrets": ["gateway-tls"],
    "env": [{"name": "ZONE", "value": "a"}],
    "ports": {"http": 8080, "https": 8443, "admin": 9090},
    "service": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "annotations": {"a": "b"}},
    "rbac": {"namespaces": ["web", "shop"]},
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True},
        "dashboards": {"enabled": True},
    },
    "podLabels": {"team": "edge"},
    "podAnnotations": {"a": "b"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "edge", "operator": "Exists"}],
}
CUSTOM = {"ServiceMonitor", "PrometheusRule"}
"""Kinds that Kubernetes itself does not have."""

both = pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])


def of(manifests: list[dict[str, Any]], kind: str, name: str = "edge-gateway") -> dict[str, Any]:
    (found,) = [each for each in manifests if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def pods(manifests: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in manifests:
        if each["kind"] in {"Deployment", "Job"}:
            yield each["spec"]["template"]["spec"]


def test_helm_finds_nothing_to_complain_about() -> None:
    done = run("lint", "--strict", CHART)

    assert done.returncode == 0, done.stdout + done.stderr


@both
@pytest.mark.parametrize("version", ["1.27", "1.37"])
def test_kubernetes_takes_the_manifests(values: dict[str, Any], version: str) -> None:
    for manifest in template(values):
        if manifest["kind"] not in CUSTOM:
            validate(manifest, version)


def test_a_manifest_with_a_misspelt_key_is_refused() -> None:
    """The check above can fail."""
    deployment = of(template(), "Deployment")
    deployment["spec"]["replica"] = 2

    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        validate(deployment, "1.37")


@both
def test_pods_are_what_restricted_asks_for(values: dict[str, Any]) -> None:
    for pod in pods(template(values)):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        for volume in pod["volumes"]:
            assert volume.keys() - {"name"} <= {"configMap", "emptyDir", "secret"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert all("hostPort" not in port for port in container.get("ports", ()))


@both
def test_files_that_change_reach_the_pods(values: dict[str, Any]) -> None:
    for pod in pods(template(values)):
        for container in pod["containers"]:
            assert all("subPath" not in mount for mount in container["volumeMounts"])


def test_a_pod_is_given_the_time_to_drain() -> None:
    manifests = template()
    document = yaml.safe_load(of(manifests, "ConfigMap")["data"]["gateway.yaml"])
    needed = sum(int(document[key].removesuffix("s")) for key in ("drain_delay", "shutdown_timeout")) + 5

    assert of(manifests, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= needed


def test_an_upgrade_checks_the_files_that_it_brings() -> None:
    config = {"gateway.yaml": "listen: 0.0.0.0:8080\n"}

    manifests = template({"config": config})

    job = of(manifests, "Job", "edge-gateway-check")
    pod = job["spec"]["template"]["spec"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert pod["containers"][0]["args"][0] == "check"
    assert {"name": "config", "configMap": {"name": "edge-gateway-check"}} in pod["volumes"]
    assert of(manifests, "ConfigMap", "edge-gateway-check")["data"] == config


def test_a_config_map_of_ones_own_is_mounted_and_checked() -> None:
    manifests = template({"existingConfigMap": "mine"})

    assert [each["metadata"]["name"] for each in manifests if each["kind"] == "ConfigMap"] == []
    for pod in pods(manifests):
        assert {"name": "config", "configMap": {"name": "mine"}} in pod["volumes"]


def test_rights_are_those_that_sources_and_discovery_need() -> None:
    assert [each for each in template() if each["kind"] in {"Role", "RoleBinding", "ClusterRole"}] == []

    roles = [each for each in template({"rbac": {"namespaces": ["shop"]}}) if each["kind"] == "Role"]

    assert [role["metadata"]["namespace"] for role in roles] == ["shop"]
    assert {verb for rule in roles[0]["rules"] for verb in rule["verbs"]} == {"list", "watch"}


def test_metrics_are_for_those_named_only() -> None:
    manifests = template({"networkPolicy": {"adminFrom": []}})

    ports = [port["port"] for rule in of(manifests, "NetworkPolicy")["spec"]["ingress"] for port in rule["ports"]]
    clients = [port["name"] for port in of(manifests, "Service")["spec"]["ports"]]
    assert (ports, clients) == (["http"], ["http"])


def test_the_default_configuration_is_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gateway_core.cli import main

    for name, text in of(template(), "ConfigMap")["data"].items():
        (tmp_path / name).write_text(text)

    with pytest.raises(SystemExit) as ended:
        main(["check", "-c", str(tmp_path)])
    assert ended.value.code == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"replica": 2}, "replica"),
        ({"image": {"repository": "gateway", "digest": "latest"}}, "/image/digest"),
        ({"ports": {"http": 0.5, "admin": 9090}}, "/ports/http"),
        ({"service": {"type": "ExternalName"}}, "/service/type"),
        ({"source": "etcd"}, "/source"),
    ],
)
def test_values_that_are_wrong_are_refused_with_their_place(values: dict[str, Any], place: str, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))

    done = run("template", "edge", CHART, "--values", file)

    assert done.returncode != 0
    assert place.strip("/").split("/")[-1] in done.stderr


def test_rules_and_dashboards_are_those_of_deploy() -> None:
    found = {name: (CHART / name).read_text("utf-8") for name in files()}

    assert found == files(), "run: python -m deploy.chart_files"
    rules = of(template(EVERYTHING), "PrometheusRule")
    expected = [yaml.safe_load(text) for name, text in sorted(files().items()) if "prometheus" in name]
    assert rules["spec"]["groups"] == [group for each in expected for group in each["groups"]]


def test_the_chart_has_the_version_of_the_gateway() -> None:
    from gateway_core import __version__

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["version"] == chart["appVersion"] == __version__
