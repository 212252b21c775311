"""Live events of real gateways: streamed over all workers, through reloads, ends of workers and restarts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.end_to_end.admin_kit import Api
from tests.end_to_end.dashboard.browser import make_token
from tests.end_to_end.kit import PATIENCE, Gateway, Upstream, get

CONFIG = """
listen: "127.0.0.1:0"
admin: {{listen: "127.0.0.1:{admin}"}}
workers: {workers}
upstreams: [{{name: users, endpoints: [{{url: "{url}"}}]}}]
routes: [{{id: users, path_prefix: /users, target: users}}]
"""


class Events:
    """The events of a stream, one by one."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.last_id = ""

    async def next(self) -> tuple[str, Any]:
        """Return name and data of the next event; at the end of the stream an empty name."""
        fields: dict[str, str] = {}
        while True:
            line = (await self._response.content.readline()).decode()
            if not line or (line == "\n" and "event" in fields):
                break
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value
        self.last_id = fields.get("id", self.last_id)
        return fields.get("event", ""), json.loads(fields.get("data", "null"))

    async def until(self, condition: Callable[[str, Any], bool]) -> Any:
        """Return the data of the first event that fulfils a condition."""
        async with asyncio.timeout(PATIENCE):
            while True:
                name, data = await self.next()
                assert name, "the stream has ended"
                if condition(name, data):
                    return data

    async def change(self, event: str) -> Any:
        return await self.until(lambda name, data: name == "change" and data["event"] == event)


@asynccontextmanager
async def streamed(port: int, query: str = "", last_id: str = "", token: str = "") -> AsyncIterator[Events]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(timeout=timeout, read_bufsize=1 << 20) as session,
        session.get(f"http://127.0.0.1:{port}/api/v1/events{query}", headers=headers) as response,
    ):
        assert response.status == 200, await response.text()
        events = Events(response)
        assert (await events.next())[0] == "hello"
        yield events


@pytest.mark.parametrize("workers", [1, 2])
async def test_traffic_has_the_requests_of_all_workers(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, api: Api, workers: int
) -> None:
    running = start(CONFIG.format(url=upstream.url, admin=unused_tcp_port, workers=workers))
    url = await running.ready()
    async with streamed(unused_tcp_port, "?types=traffic") as events:
        first = await events.until(lambda name, _: name == "traffic")
        assert (first["gateway"]["requests"], first["workers"]) == (0, list(range(workers)))
        for number in range(20):
            assert (await get(url, f"/users/{number}"))[0] == 200
        assert (await get(url, "/nothing"))[0] == 404

        requests, shown = 0, dict[str | None, int]()
        while requests < 21:
            data = await events.until(lambda name, _: name == "traffic")
            requests += data["gateway"]["requests"]
            for row in data["routes"]:
                shown[row["route"]] = shown.get(row["route"], 0) + row["requests"]

        assert (requests, shown) == (21, {"users": 20, None: 1})
    await running.stops()


async def test_changes_of_all_processes_are_streamed_and_a_reader_that_comes_back_misses_none(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, api: Api
) -> None:
    text = CONFIG.format(url=upstream.url, admin=unused_tcp_port, workers=2)
    running = start(text)
    await running.ready()
    async with streamed(unused_tcp_port, "?types=change") as events:
        await running.rewrites(text + "drain_delay: 1ms\n")
        applied = await events.change("config.applied")
        assert (applied["process"], applied["level"]) == ("program", "info")
        position = events.last_id
    await running.rewrites(text + "nonsense: 1\n", "configuration rejected")
    workers = (await api("GET", "overview"))[1]["workers"]
    os.kill(workers[1]["pid"], signal.SIGKILL)
    await running.says("worker 1 .* ended unexpectedly")

    async with streamed(unused_tcp_port, "?types=change", position) as events:
        rejected = await events.change("config.rejected")
        gap = await events.until(lambda name, _: name == "gap")
        ended = await events.change("worker.ended")
        replaced = await events.change("worker.replaced")
        assert (rejected["fields"]["problems"], ended["fields"]["worker"], replaced["fields"]["worker"]) == (1, 1, 1)
        assert (gap["reason"], gap["lost"], gap["worker"]) == ("process-ended", None, 1)

        running.signal(signal.SIGTERM)
        end = await events.until(lambda name, _: name == "end")
        assert end == {"reason": "stopping"}
    assert await running.ends() == 0


async def test_a_restart_ends_streams_and_is_a_gap_for_those_who_come_back(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, api: Api
) -> None:
    running = start(CONFIG.format(url=upstream.url, admin=unused_tcp_port, workers=2))
    await running.ready()
    async with streamed(unused_tcp_port) as events:
        running.signal(signal.SIGUSR2)
        assert await events.until(lambda name, _: name == "end") == {"reason": "restarting"}
        position = events.last_id
    await running.says("server.restarted")

    async with streamed(unused_tcp_port, "?types=traffic,change", position) as events:
        assert (await events.until(lambda name, _: name == "gap"))["reason"] == "restarted"
        data = await events.until(lambda name, _: name == "traffic")
        assert data["workers"] == [0, 1]
    await running.stops()


async def test_a_tail_has_the_requests_of_all_workers_through_a_reload_and_the_end_of_a_worker(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, api: Api
) -> None:
    text = CONFIG.format(url=upstream.url, admin=unused_tcp_port, workers=2)
    running = start(text)
    url = await running.ready()
    token = await make_token("ops", "--role", "viewer", "--tail")
    query = "?types=tail&route=users&status=2xx"
    async with streamed(unused_tcp_port, query, token=token) as events:

        async def follows(first: int) -> None:
            """Send requests until each worker has had one, and find them all in the stream."""
            wanted, seen = set[str](), set[int]()
            for number in range(first, first + 100):
                assert (await get(url, f"/users/{number}?api_key=secret"))[0] == 200
                assert (await get(url, "/nothing"))[0] == 404
                wanted.add(f"/users/{number}")
                data = await events.until(lambda name, _: name == "tail")
                assert (data["route"], data["query"]) == ("users", "api_key=REDACTED")
                wanted.discard(data["path"])
                seen.add(data["worker"])
                if seen == {0, 1}:
                    break
            assert (wanted, seen) == (set(), {0, 1})

        await follows(0)
        await running.rewrites(text + "drain_delay: 1ms\n")
        await follows(1000)
        workers = (await api("GET", "overview"))[1]["workers"]
        os.kill(workers[1]["pid"], signal.SIGKILL)
        gap = await events.until(lambda name, _: name == "gap")
        assert (gap["kind"], gap["reason"], gap["worker"]) == ("tail", "process-ended", 1)
        await running.says("worker.replaced")
        await follows(2000)
    await running.stops()


async def slow_reader(port: int, token: str, types: str = "traffic,change,tail") -> socket.socket:
    """Open a stream of requests, read its head, and nothing of what follows."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    fields = f"Host: localhost\r\nAuthorization: Bearer {token}\r\n"
    await loop.sock_sendall(sock, f"GET /api/v1/events?types={types} HTTP/1.1\r\n{fields}\r\n".encode())
    assert (await asyncio.wait_for(loop.sock_recv(sock, 12), PATIENCE)) == b"HTTP/1.1 200"
    return sock


TCP_ESTABLISHED = 1
"""The state of a connection that neither side has ended, as Linux numbers it (``netinet/tcp.h``)."""


def descriptors_of(running: Gateway) -> int:
    return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))


@pytest.mark.slow
async def test_fifty_readers_that_do_not_read_take_nothing_from_others_and_leave_nothing_behind(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, api: Api
) -> None:
    running = start(CONFIG.format(url=upstream.url, admin=unused_tcp_port, workers=2))
    url = await running.ready()
    token = await make_token("ops", "--tail")
    await api("GET", "overview")
    before = descriptors_of(running)  # perhaps with the connection of that request

    slow = [await slow_reader(unused_tcp_port, token) for _ in range(50)]
    async with streamed(unused_tcp_port, "?types=tail&path=/users/last", token=token) as events:
        for number in range(400):
            assert (await get(url, f"/users/{number}?{'x' * 900}"))[0] == 200
        assert (await get(url, "/users/last"))[0] == 200
        assert (await events.until(lambda name, _: name == "tail"))["path"] == "/users/last"
    assert {each.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] for each in slow} == {TCP_ESTABLISHED}
    for each in slow:
        each.close()

    async with asyncio.timeout(PATIENCE):
        while descriptors_of(running) > before:
            await api("GET", "session")
    # As many streams as there may be can be opened again, once the gateway has seen that their readers are gone.
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE):
        opened = 0
        while opened < 100:
            try:
                await stack.enter_async_context(streamed(unused_tcp_port, "?types=change", token=token))
            except AssertionError as error:
                if "too-many-streams" not in str(error):
                    raise
            else:
                opened += 1
    await running.stops()


async def pipelined(url: str, paths: Sequence[str]) -> None:
    """Send requests over one connection without waiting for responses, and read all of those."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"".join(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for path in paths))
    for _ in paths:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        await reader.readexactly(int(lengths[0].partition(b":")[2]))
    writer.close()


class Counted:
    """What a reader of a stream finds in it: requests, and those that are reported as lost."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._text = b""
        self.paths: list[str] = []
        self.lost = 0

    async def read(self, least: int) -> None:
        """Read so many bytes at least, and count what is complete."""
        parts = [self._text]
        while least > 0:
            parts.append(await asyncio.get_running_loop().sock_recv(self._sock, 64 << 10))
            assert parts[-1], "the stream has ended"
            least -= len(parts[-1])
        *complete, self._text = b"".join(parts).replace(b"\r", b"").split(b"\n\n")
        for each in complete:
            fields = dict(line.split(": ", 1) for line in each.decode().split("\n") if ": " in line)
            if fields.get("event") == "tail":
                self.paths.append(json.loads(fields["data"])["path"].split("/")[2])
            elif fields.get("event") == "gap":
                self.lost += json.loads(fields["data"])["lost"]


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_what_a_slow_reader_has_and_what_is_reported_as_lost_add_up_to_all_requests(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, api: Api
) -> None:
    running = start(CONFIG.format(url=upstream.url, admin=unused_tcp_port, workers=2))
    url = await running.ready()
    sock = await slow_reader(unused_tcp_port, await make_token("ops", "--tail"), "tail")
    found = Counted(sock)
    long, rounds, size = "x" * 900, 20, 200  # some ten megabytes of events, more than are kept for a reader

    for each in range(rounds):
        paths = [f"/users/{number}/{long}?{long}" for number in range(each * size, (each + 1) * size)]
        await asyncio.gather(pipelined(url, paths[::2]), pipelined(url, paths[1::2]))
        await found.read(64 << 10)  # so little that events are lost, and so much that the stream is not given up
    while len(found.paths) + found.lost < rounds * size:
        await found.read(1)
    assert found.lost > 0
    assert len(found.paths) == len(set(found.paths)) == rounds * size - found.lost

    await pipelined(url, ["/users/last"])
    while len(found.paths) + found.lost == rounds * size:
        await found.read(1)
    assert (found.paths[-1], len(found.paths) + found.lost) == ("last", rounds * size + 1)
    sock.close()
    await running.stops()
