from __future__ import annotations

from pathlib import Path

import pytest
from gateway_plugin_kubernetes.cluster import Cluster, ClusterError, in_cluster

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "6443"}


def test_a_pod_uses_what_is_mounted_into_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "namespace").write_text("shop")

    cluster = in_cluster(POD, tmp_path)

    assert (cluster.server, cluster.namespace) == ("https://10.96.0.1:6443", "shop")
    assert cluster.authorization() == {"Authorization": "Bearer first"}
    (tmp_path / "token").write_text("second")
    assert cluster.authorization() == {"Authorization": "Bearer second"}


def test_an_address_of_ipv6_gets_brackets(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")

    assert in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path).server == "https://[fd00::1]:443"


def test_what_is_missing_is_said_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="give a kubeconfig"):
        in_cluster({}, tmp_path)
    with pytest.raises(ClusterError, match="automountServiceAccountToken"):
        in_cluster(POD, tmp_path)

    (tmp_path / "token").write_text("t")
    (tmp_path / "ca.crt").write_text("no certificate")
    with pytest.raises(ClusterError, match="cannot be used"):
        in_cluster(POD, tmp_path)
    with pytest.raises(ClusterError, match="cannot be read"):
        Cluster("https://x", token_file=tmp_path / "gone").authorization()


def test_a_user_may_have_a_password_or_nothing() -> None:
    assert Cluster("https://x", username="me", password="word").authorization() == {
        "Authorization": "Basic bWU6d29yZA=="
    }
    assert Cluster("https://x").authorization() == {}
