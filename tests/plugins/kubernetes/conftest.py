from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from gateway_core.clock import SystemClock
from gateway_core.leases import Leases
from gateway_plugin_kubernetes.discovery import KubernetesDiscovery
from gateway_plugin_kubernetes.source import KubernetesSource
from gateway_plugin_sdk import DiscoveryContext, SourceContext, SourceState
from gateway_plugin_sdk.testing import factory_config, source_url

from tests.following import Followed, Following, new_connections
from tests.plugins.kubernetes.api_server import ApiServer


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with new_connections() as session:
        yield session


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("good\n")
    return file


@pytest.fixture
def rotate(token_file: Path) -> Callable[[str], object]:
    """Puts another token into the file."""
    return token_file.write_text


@pytest.fixture
def kubeconfig(server: ApiServer, tmp_path: Path, token_file: Path) -> Path:
    file = tmp_path / "config"
    file.write_text(
        f"""
        current-context: test
        contexts: [{{name: test, context: {{cluster: here, user: me, namespace: shop}}}}]
        clusters: [{{name: here, cluster: {{server: "{server.url}"}}}}]
        users: [{{name: me, user: {{tokenFile: token}}}}]
        """
    )
    return file


class Start(Following):
    """Starts discoveries and sources that end with the test."""

    def __init__(self, session: aiohttp.ClientSession, kubeconfig: Path) -> None:
        super().__init__()
        self._session = session
        self._kubeconfig = kubeconfig
        self._shared: Leases[Any, Any] = Leases()

    def make_discovery(self, **config: Any) -> KubernetesDiscovery:
        context = DiscoveryContext("shop", SystemClock(), Random(1), lambda: self._session, shared=self._shared)
        return KubernetesDiscovery(
            factory_config(KubernetesDiscovery, {"kubeconfig": str(self._kubeconfig), **config}), context
        )

    def make_source(self, url: str) -> KubernetesSource:
        context = SourceContext(SystemClock(), Random(1), {"KUBECONFIG": str(self._kubeconfig)}, lambda: self._session)
        return KubernetesSource(source_url(KubernetesSource, url), context)

    def discovery(self, **config: Any) -> Followed:
        return self.follow(self.make_discovery(**config).watch())

    def source(self, url: str) -> Followed:
        return self.follow(self.make_source(url).documents())


@pytest.fixture
async def start(session: aiohttp.ClientSession, kubeconfig: Path) -> AsyncIterator[Start]:
    start = Start(session, kubeconfig)
    yield start
    await start.aclose()


def documents(state: SourceState) -> dict[str, str]:
    return {document.name: document.text for document in state.documents}
