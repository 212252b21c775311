from __future__ import annotations

import base64
import os
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_plugin_kubernetes.cluster import Cluster, ClusterError
from gateway_plugin_kubernetes.kubeconfig import cluster_loader, load_kubeconfig


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(cert), "-days", "1", "-subj", "/CN=127.0.0.1"],
        check=True,
        capture_output=True,
    )
    return cert, key


def write(folder: Path, user: dict[str, Any], cluster: dict[str, Any] | None = None, **more: Any) -> Path:
    document = {
        "current-context": "main",
        "contexts": [
            {"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "shop"}},
            {"name": "bare", "context": {"cluster": "c"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://k8s.test:6443/", **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
        **more,
    }
    file = folder / "config"
    file.write_text(yaml.safe_dump(document))
    return file


def test_the_current_context_counts_unless_another_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, {"token": "secret"})

    main, bare = load_kubeconfig([file]), load_kubeconfig([file], "bare")

    assert (main.server, main.namespace) == ("https://k8s.test:6443", "shop")
    assert main.authorization() == {"Authorization": "Bearer secret"}
    assert (bare.namespace, bare.authorization()) == ("default", {})


def test_files_are_relative_to_the_kubeconfig_and_a_token_file_counts_more(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from the file")
    file = write(tmp_path, {"tokenFile": "token", "token": "old"})

    assert load_kubeconfig([file]).authorization() == {"Authorization": "Bearer from the file"}


@pytest.mark.parametrize("is_inline", [True, False])
def test_certificates_come_from_files_or_stand_in_it(
    tmp_path: Path, certificate: tuple[Path, Path], is_inline: bool
) -> None:
    def given(name: str, path: Path) -> dict[str, str]:
        return {f"{name}-data": base64.b64encode(path.read_bytes()).decode()} if is_inline else {name: str(path)}

    cert, key = certificate
    file = write(
        tmp_path,
        given("client-certificate", cert) | given("client-key", key),
        given("certificate-authority", cert) | {"tls-server-name": "other.test"},
    )

    cluster = load_kubeconfig([file])

    assert isinstance(cluster.tls, ssl.SSLContext)
    assert cluster.tls.verify_mode is ssl.CERT_REQUIRED
    assert [each["subject"] for each in cluster.tls.get_ca_certs()] == [((("commonName", "127.0.0.1"),),)]
    assert cluster.server_name == "other.test"


def test_a_pipe_is_no_kubeconfig_and_no_file_of_a_token(tmp_path: Path) -> None:
    """To read one would wait for a writer."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ClusterError, match=r"cannot be read: .*a pipe"):
        load_kubeconfig([tmp_path / "pipe"])
    with pytest.raises(ClusterError, match=r"cannot be read: .*a pipe"):
        Cluster("https://h", "default", token_file=tmp_path / "pipe").authorization()


def test_verification_may_be_switched_off(tmp_path: Path) -> None:
    cluster = load_kubeconfig([write(tmp_path, {}, {"insecure-skip-tls-verify": True})])

    assert isinstance(cluster.tls, ssl.SSLContext)
    assert cluster.tls.verify_mode is ssl.CERT_NONE


def test_of_several_files_the_first_that_names_something_counts(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = write(tmp_path / "a", {"token": "first"}, contexts=[])
    second = write(tmp_path / "b", {"token": "second"})

    load = cluster_loader(os.pathsep.join(map(str, (tmp_path / "none", first, second))), "", {})

    assert load().authorization() == {"Authorization": "Bearer first"}


def test_a_pod_uses_its_own_credentials_unless_a_kubeconfig_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, {"token": "t"})
    pod = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}

    assert cluster_loader(str(file), "", pod)().server == "https://k8s.test:6443"
    with pytest.raises(ClusterError, match="automountServiceAccountToken"):
        cluster_loader("", "", pod)()
    assert cluster_loader("", "", {"KUBECONFIG": str(file)})().server == "https://k8s.test:6443"


@pytest.mark.parametrize(
    ("user", "cluster", "message"),
    [
        ({"exec": {"command": "aws"}}, {}, "user 'u' of the kubeconfig: exec is not supported: use a token"),
        ({"auth-provider": {"name": "gcp"}}, {}, "auth-provider is not supported"),
        ({"token": 7}, {}, "token is 7: write a text"),
        ({"client-certificate-data": "%"}, {}, "client-certificate-data is not base64"),
        ({"client-certificate": "gone.pem"}, {}, "client-certificate cannot be read"),
        ({"client-certificate-data": "eA=="}, {}, "certificates cannot be used"),
        ({}, {"server": "k8s.test"}, "server is 'k8s.test': write a URL"),
        ({}, {"proxy-url": "http://p"}, "proxy-url is not supported"),
        ({}, {"certificate-authority-data": "eA=="}, "certificates cannot be used"),
    ],
)
def test_what_cannot_be_used_is_said(
    tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClusterError, match=message):
        load_kubeconfig([write(tmp_path, user, cluster)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "cannot be read"),
        ("- 1", "is no mapping"),
        ("{}", "has no current-context"),
        ("current-context: x", "has no context 'x'"),
        ("{current-context: x, contexts: [{name: x, context: {cluster: y}}]}", "has no cluster 'y'"),
    ],
)
def test_what_is_missing_in_a_kubeconfig_is_said(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)

    with pytest.raises(ClusterError, match=message):
        load_kubeconfig([file])
