"""The ways into a cluster, over TLS: as a pod, and with the client certificate of a kubeconfig."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import aiohttp
import pytest
from gateway_core.clock import SystemClock
from gateway_plugin_kubernetes.cluster import Cluster, in_cluster
from gateway_plugin_kubernetes.kubeconfig import load_kubeconfig
from gateway_plugin_kubernetes.source import KubernetesSource
from gateway_plugin_sdk import SourceContext
from gateway_plugin_sdk.testing import source_url

from tests.plugins.kubernetes.api_server import ApiServer


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a pod finds, and the key of the server beside it."""
    folder = tmp_path_factory.mktemp("serviceaccount")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-days", "1", "-subj", "/CN=k8s"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.crt")]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "token").write_text("good")
    (folder / "namespace").write_text("shop")
    return folder


@pytest.fixture
async def server(mounted: Path) -> AsyncIterator[ApiServer]:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(mounted / "ca.crt"))
    tls.load_cert_chain(mounted / "ca.crt", mounted / "key.pem")
    tls.verify_mode = ssl.CERT_OPTIONAL
    server = ApiServer()
    await server.start(tls)
    server.put("configmaps", "shop", "one", labels={"gateway/config": ""}, data={"a": "1"})
    yield server
    await server.stop()


async def names(cluster: Cluster, session: aiohttp.ClientSession) -> tuple[list[str], str]:
    """Return the documents that are found, or else the failure."""
    context = SourceContext(SystemClock(), Random(1), {}, lambda: session)
    source = KubernetesSource(source_url(KubernetesSource, "kubernetes://"), context, lambda: cluster)
    found: list[str] = []
    states = source.documents()
    try:
        async for state in states:
            found = [document.name for document in state.documents]
            break
    except Exception as error:  # noqa: BLE001 - what the test looks at
        return [], str(error)
    finally:
        await states.aclose()
    return found, ""


async def test_a_pod_reads_with_its_service_account(
    server: ApiServer, mounted: Path, session: aiohttp.ClientSession
) -> None:
    pod = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)}

    assert await names(in_cluster(pod, mounted), session) == (["configmap/shop/one/a"], "")


async def test_a_server_with_another_certificate_is_not_spoken_with(
    server: ApiServer, mounted: Path, session: aiohttp.ClientSession
) -> None:
    found, failure = await names(Cluster(f"https://127.0.0.1:{server.port}", "shop", token="good"), session)

    assert found == []
    assert "certificate verify failed" in failure
    assert server.requests == []


async def test_a_client_certificate_is_shown(
    server: ApiServer, mounted: Path, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    config = tmp_path / "config"
    ca, key = mounted / "ca.crt", mounted / "key.pem"
    config.write_text(
        f"""
        current-context: t
        contexts: [{{name: t, context: {{cluster: c, user: u, namespace: shop}}}}]
        clusters: [{{name: c, cluster: {{server: "https://127.0.0.1:{server.port}", certificate-authority: {ca}}}}}]
        users: [{{name: u, user: {{client-certificate: {ca}, client-key: {key}, token: good}}}}]
        """
    )

    assert (await names(load_kubeconfig([config]), session))[0] == ["configmap/shop/one/a"]
    assert server.certificates[-1] is not None
