"""A gateway starts again while what has its documents is away, silent, or sends anything but documents."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.end_to_end.kit import Gateway, ToClients, Upstream, eventually, get
from tests.plugins.consul.agent import Agent
from tests.plugins.etcd.server import Etcd
from tests.plugins.kubernetes.api_server import ApiServer
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def reply(status: str, body: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


FAULTS: dict[str, bytes | None] = {
    "away": b"",
    "silent": None,
    "refusing": reply("403 Forbidden", b'{"message": "permission denied"}'),
    "failing": reply("500 Internal Server Error", b"rpc error", "text/plain"),
    "not found": reply("404 Not Found", b"<html>no such page</html>", "text/html"),
    "an object": reply("200 OK", b"{}"),
    "a list": reply("200 OK", b"[1, 2]"),
    "a page": reply("200 OK", b"<html>log in</html>", "text/html"),
    "a part": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[{",
}


class Door:
    """Leads to a registry, or shows another response in its place (none at all where that is None)."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._shown: bytes | None = None
        self._is_open = True
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            if self._is_open:
                await self._join(reader, writer)
            elif self._shown is None:
                await reader.read()
            elif self._shown:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self._shown)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", self._behind)
        self._writers.add(ours)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            for each in (writer, ours):
                each.close()

        await asyncio.gather(copy(reader, ours), copy(theirs, writer))
        self._writers.discard(ours)

    def show(self, response: bytes | None) -> None:
        self._is_open, self._shown = False, response
        self._cut()

    def open(self) -> None:
        self._is_open = True
        self._cut()

    def _cut(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()


class Store(Protocol):
    """Has documents by name."""

    port: int

    def url(self, port: int) -> str:
        """Return the source, as a gateway has it that connects to this port."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def put(self, name: str, text: str) -> None: ...

    async def delete(self, name: str) -> None: ...


class _Etcd:
    def __init__(self, directory: Path) -> None:
        self._server = Etcd(directory / "etcd")
        self.port = self._server.port
        self.start, self.stop = self._server.start, self._server.stop

    def url(self, port: int) -> str:
        return f"etcd://127.0.0.1:{port}/gateway?timeout=1s&ping=1s"

    async def put(self, name: str, text: str) -> None:
        await self._server.put(f"/gateway/{name}", text)

    async def delete(self, name: str) -> None:
        await self._server.delete(f"/gateway/{name}")


class _Consul:
    def __init__(self, _directory: Path) -> None:
        self._server = Agent()
        self._server.port = self.port = free_port()
        self.start, self.stop = self._server.start, self._server.stop

    def url(self, port: int) -> str:
        return f"consul://127.0.0.1:{port}/gateway?timeout=1s&wait=1s"

    async def put(self, name: str, text: str) -> None:
        self._server.put_key(f"gateway/{name}", text)

    async def delete(self, name: str) -> None:
        self._server.delete_key(f"gateway/{name}")


class _Kubernetes:
    def __init__(self, directory: Path) -> None:
        self._server = ApiServer()
        self._server.port = self.port = free_port()
        self.start, self.stop = self._server.start, self._server.stop
        self._kubeconfig = directory / "kubeconfig"

    def url(self, port: int) -> str:
        self._kubeconfig.write_text(
            "current-context: it\n"
            "contexts: [{name: it, context: {cluster: here, user: me, namespace: shop}}]\n"
            f"clusters: [{{name: here, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n"
            "users: [{name: me, user: {token: good}}]\n"
        )
        return f"kubernetes://shop?kubeconfig={self._kubeconfig}&timeout=1s"

    async def put(self, name: str, text: str) -> None:
        self._server.put("configmaps", "shop", name, labels={"gateway/config": ""}, data={"it.yaml": text})

    async def delete(self, name: str) -> None:
        self._server.delete("configmaps", "shop", name)


@asynccontextmanager
async def behind_a_door(store: Store) -> AsyncIterator[Door]:
    await store.start()
    door = Door(store.port)
    try:
        async with await asyncio.start_server(door.serve, "127.0.0.1", 0) as listening:
            door.port = listening.sockets[0].getsockname()[1]
            yield door
            door.show(b"")
    finally:
        await store.stop()


@asynccontextmanager
async def running(config: Path, to_clients: ToClients) -> AsyncIterator[Gateway]:
    gateway = Gateway(config, "--state", str(config.parent / "state"), to_clients=to_clients)
    try:
        yield gateway
    finally:
        gateway.kill()


@pytest.mark.parametrize("make", [_Etcd, _Consul, _Kubernetes], ids=["etcd", "consul", "kubernetes"])
async def test_the_last_good_documents_serve_whatever_comes_in_place_of_new_ones(
    make: Callable[[Path], Store], upstream: Upstream, tmp_path: Path, to_clients: ToClients
) -> None:
    store, config, admin = make(tmp_path), tmp_path / "gateway.yaml", f"unix:{tmp_path}/admin"

    def route(name: str) -> str:
        return f"routes: [{{id: {name}, path: /{name}, target: u}}]"

    async with behind_a_door(store) as door:
        config.write_text(
            f"listen: 127.0.0.1:0\nadmin: {{listen: '{admin}'}}\nsources: [{{url: '{store.url(door.port)}'}}]\n"
        )
        await store.put("u", f"upstreams: [{{name: u, endpoints: [{{url: '{upstream.url}'}}]}}]")
        await store.put("a", route("a"))
        for name, fault in FAULTS.items():
            async with running(config, to_clients) as gateway:
                url = await gateway.ready()
                await eventually(url, "/a", "200")
                door.show(fault)
                await eventually(admin, "/ready", "200 degraded")
                assert (await get(url, "/a"))[0] == 200, name
                await gateway.stops()

            async with running(config, to_clients) as gateway:
                url = await gateway.ready()
                assert (await get(url, "/a"))[0] == 200, name
                await eventually(admin, "/ready", "200 degraded")
                assert "Traceback" not in gateway.text, name

                door.open()
                await eventually(admin, "/ready", "200 ready")
                await store.put("b", route(name.replace(" ", "-")))
                await eventually(url, f"/{name.replace(' ', '-')}", "200")
                await gateway.stops()


@pytest.mark.parametrize("make", [_Etcd, _Consul, _Kubernetes], ids=["etcd", "consul", "kubernetes"])
async def test_a_document_that_others_need_stays_when_it_is_lost_while_the_gateway_is_down(
    make: Callable[[Path], Store], upstream: Upstream, tmp_path: Path, to_clients: ToClients
) -> None:
    store, config, admin = make(tmp_path), tmp_path / "gateway.yaml", f"unix:{tmp_path}/admin"
    async with behind_a_door(store) as door:
        config.write_text(
            f"listen: 127.0.0.1:0\nadmin: {{listen: '{admin}'}}\nsources: [{{url: '{store.url(door.port)}'}}]\n"
        )
        await store.put("u", f"upstreams: [{{name: u, endpoints: [{{url: '{upstream.url}'}}]}}]")
        await store.put("a", "routes: [{id: a, path: /a, target: u}]")
        await store.put("b", f"routes: [{{id: b, path: /b, target: '{upstream.url}'}}]")
        async with running(config, to_clients) as gateway:
            url = await gateway.ready()
            await eventually(url, "/a", "200")
            await gateway.stops()

        await store.delete("u")
        await store.delete("b")
        async with running(config, to_clients) as gateway:
            url = await gateway.ready()
            assert (await get(url, "/a"))[0] == 200
            await eventually(admin, "/ready", "200 degraded")

            await store.put("a", f"routes: [{{id: a, path: /c, target: '{upstream.url}'}}]")
            await eventually(url, "/c", "200")
            assert (await get(url, "/b"))[0] == 404  # which could not be told from what is needed before
            await eventually(admin, "/ready", "200 ready")
            await gateway.stops()
