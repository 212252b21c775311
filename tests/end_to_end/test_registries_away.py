"""A gateway restarts, and its program is replaced, while the registry of an upstream is away."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import pytest

from tests.commands import start as commands
from tests.core.upstreams.discovery.test_dnsmasq import Dnsmasq
from tests.end_to_end.kit import Gateway, ToClients, Upstream, eventually, get
from tests.plugins.consul.agent import Agent, instance
from tests.plugins.etcd.server import Etcd
from tests.plugins.kubernetes.api_server import ApiServer, pod
from tests.ports import free_port

pytestmark = pytest.mark.slow


class Registry(Protocol):
    """Has the endpoint of one upstream."""

    discovery: str
    """The section of the configuration."""

    async def begin(self, port: int) -> None:
        """Be there, with an endpoint at this port."""
        ...

    async def stop(self) -> None:
        """Be away."""
        ...


class _Etcd:
    def __init__(self, directory: Path) -> None:
        self._server = Etcd(directory / "etcd")
        self.discovery = f"{{name: etcd, config: {{endpoints: ['{self._server.url}'], prefix: /users}}}}"
        self.stop = self._server.stop

    async def begin(self, port: int) -> None:
        await self._server.start()
        await self._server.put("/users/1", f"http://127.0.0.1:{port}")


class _Consul:
    def __init__(self, _directory: Path) -> None:
        self._server = Agent()
        self._server.port = free_port()
        self.discovery = f"{{name: consul, config: {{service: users, address: '{self._server.url}'}}}}"
        self.stop = self._server.stop

    async def begin(self, port: int) -> None:
        # An agent that starts again counts from the beginning.
        self._server.index = 3
        self._server.put("users", instance("127.0.0.1", port))
        await self._server.start()


class _Kubernetes:
    def __init__(self, directory: Path) -> None:
        self._server = ApiServer()
        self._server.port = free_port()
        (directory / "token").write_text("good\n")
        kubeconfig = directory / "kubeconfig"
        kubeconfig.write_text(
            "current-context: it\n"
            "contexts: [{name: it, context: {cluster: here, user: me, namespace: shop}}]\n"
            f"clusters: [{{name: here, cluster: {{server: '{self._server.url}'}}}}]\n"
            "users: [{name: me, user: {tokenFile: token}}]\n"
        )
        self.discovery = f"{{name: kubernetes, config: {{service: users, kubeconfig: {kubeconfig}}}}}"
        self.stop = self._server.stop

    async def begin(self, port: int) -> None:
        self._server.expire()
        self._server.put("services", "shop", "users")
        self._server.put_slice("users", "users", [pod("127.0.0.1")], ports=[{"name": "http", "port": port}])
        await self._server.start()


class _Dns:
    def __init__(self, directory: Path) -> None:
        self._server = Dnsmasq(directory)
        self._server.hosts.write_text("127.0.0.1 here.test\n")
        options = (
            f"host: _http._tcp.here.test, record: srv, interval: 1s, nameservers: ['127.0.0.1:{self._server.port}']"
        )
        self.discovery = f"{{name: dns, config: {{{options}}}}}"

    async def begin(self, port: int) -> None:
        self._server.services = [f"--srv-host=_http._tcp.here.test,here.test,{port}"]
        await asyncio.to_thread(self._server.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.stop)


@asynccontextmanager
async def running(config: Path, to_clients: ToClients) -> AsyncIterator[Gateway]:
    gateway = Gateway(config, "--state", str(config.parent / "state"), to_clients=to_clients)
    try:
        yield gateway
    finally:
        gateway.kill()


def port_of(upstream: Upstream) -> int:
    return urlsplit(upstream.url).port or 0


@pytest.mark.parametrize(
    ("make", "workers"), [(_Etcd, 2), (_Consul, 1), (_Kubernetes, 2), (_Dns, 1)], ids=["etcd", "consul", "k8s", "dns"]
)
async def test_the_endpoints_that_were_found_last_serve_until_the_registry_is_back(
    make: Callable[[Path], Registry],
    workers: int,
    upstream: Upstream,
    second_upstream: Upstream,
    tmp_path: Path,
    to_clients: ToClients,
) -> None:
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)  # dnsmasq may drop the rights to read what only root may
    registry, admin = make(tmp_path), f"unix:{tmp_path / 'admin'}"
    config = tmp_path / "gateway.yaml"
    config.write_text(
        f"listen: 127.0.0.1:0\nworkers: {workers}\nadmin: {{listen: '{admin}'}}\n"
        f"upstreams: [{{name: u, discovery: {registry.discovery}}}]\nroutes: [{{path: /a, target: u}}]\n"
    )
    served = [(200, "one GET /a HTTP/1.1")] * 4
    await registry.begin(port_of(upstream))
    try:
        async with running(config, to_clients) as gateway:
            url = await gateway.ready()
            await eventually(url, "/a", "200 one")
            await registry.stop()
            await gateway.says("discovery of u is stale")

            after = len(gateway.lines)
            gateway.signal(signal.SIGUSR2)
            await gateway.says("the new program has taken over", after=after)
            assert [await get(url, "/a") for _ in range(4)] == served
            await gateway.stops()

        async with running(config, to_clients) as gateway:
            url = await gateway.ready()
            await gateway.says("discovery of u is stale, the endpoints that it found last stay in use")
            assert [await get(url, "/a") for _ in range(4)] == served
            assert await get(admin, "/ready") == (200, "degraded\ndiscovery of upstream u is stale\n")
            shown = (await asyncio.to_thread(commands.run, "status", "--admin", admin)).stdout
            assert "discovery of upstream u is stale" in shown

            await registry.begin(port_of(second_upstream))
            await eventually(url, "/a", "200 two")
            await gateway.says("discovery of u is up to date again")
            await eventually(admin, "/ready", "200 ready")
            await gateway.stops()
    finally:
        await registry.stop()
