from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.kit import PATIENCE, Client, Gateway, Upstream, close, get, get_over_both, in_flight
from tests.end_to_end.load import clients

Start = Callable[..., Gateway]


def config(upstream: Upstream, listen: str = "127.0.0.1:0", more: str = "") -> str:
    return f"listen: {listen}\n{more}routes:\n  - {{id: all, path_prefix: /, target: '{upstream.url}'}}\n"


async def test_says_where_it_listens_serves_and_ends_with_status_0(start: Start, upstream: Upstream) -> None:
    gateway = start(config(upstream), python=sys.executable)

    status, body = await get_over_both(await gateway.ready(), "/hello")
    await gateway.stops()

    assert (status, body) == (200, "one GET /hello HTTP/1.1")


async def test_listens_on_ipv6_and_on_a_unix_socket(start: Start, upstream: Upstream, tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    gateway = start(config(upstream, f'["[::1]:0", "unix:{path}"]'))

    urls = [await gateway.says(r"listening on http://\[::1\]"), await gateway.says("listening on unix:")]

    for url in urls:
        assert (await get(url.removeprefix("listening on "), "/x"))[0] == 200
    await gateway.stops()
    assert not path.exists()


async def test_a_taken_port_is_one_line_and_status_1(start: Start, upstream: Upstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        gateway = start(config(upstream, address), python=sys.executable)

        assert await gateway.ends() == 1

    lines = [line for line in gateway.lines if line != "<end of output>"]
    assert len(lines) == 1
    assert f"cannot listen on {address}: address already in use" in lines[0]


async def test_a_missing_file_is_named_and_status_1(start: Start, tmp_path: Path) -> None:
    gateway = start("", path=tmp_path / "nowhere.yaml", python=sys.executable)

    assert await gateway.ends() == 1
    assert "nowhere.yaml: does not exist" in gateway.text


async def test_every_problem_is_printed_with_its_place(start: Start, upstream: Upstream) -> None:
    gateway = start("listen: nonsense\nroutes:\n  - {id: a, path: /a, target: nobody}\n  - {id: b, path: x}\n")

    assert await gateway.ends() == 1
    assert "gateway.yaml:1:9: listen" in gateway.text
    assert 'gateway.yaml:3:31: routes[0].target: "nobody"' in gateway.text
    assert "gateway.yaml:4" in gateway.text
    assert "^" in gateway.text


async def test_a_signal_before_it_is_ready_is_told(start: Start, upstream: Upstream) -> None:
    asked = asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        gateway = start(config(upstream), "-c", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/gateway.yaml")
        await asyncio.wait_for(asked.wait(), PATIENCE)
        gateway.signal(signal.SIGTERM)

        assert await gateway.ends() == 0
    assert "gateway: stopped by SIGTERM before it was ready" in gateway.lines


def test_wrong_usage_is_status_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway_core.cli", "run", "--nonsense"], capture_output=True, check=False, timeout=60
    )

    assert done.returncode == 2


async def test_a_request_in_flight_is_answered_after_sigterm(start: Start, upstream: Upstream) -> None:
    gateway = start(config(upstream))
    clients = await in_flight(await gateway.ready(), upstream)

    gateway.signal(signal.SIGTERM)
    await gateway.says("stopping")
    upstream.go.set()

    assert [await each.answer() for each in clients] == [(200, "one GET /slow HTTP/1.1")] * 2
    assert await gateway.ends() == 0
    close(clients)


@pytest.mark.parametrize("workers", [1, 2])
async def test_connections_are_refused_while_requests_finish(start: Start, upstream: Upstream, workers: int) -> None:
    # An address of its own: another test's server may get the port of 127.0.0.1 as soon as it is free.
    gateway = start(config(upstream, "127.0.0.93:0", more=f"workers: {workers}\n"))
    clients = await in_flight(await gateway.ready(), upstream)

    gateway.signal(signal.SIGTERM)
    await gateway.says("stopping")
    await is_refused(await gateway.address())
    upstream.go.set()

    assert [await each.answer() for each in clients] == [(200, "one GET /slow HTTP/1.1")] * 2
    assert await gateway.ends() == 0
    close(clients)


async def is_refused(url: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                client = await Client.to(url)
            except ConnectionRefusedError:
                return
            except ConnectionResetError:
                continue  # the system had taken it when the socket closed
            client.close()
            await asyncio.sleep(0.01)


async def test_the_deadline_ends_what_does_not_finish(start: Start, upstream: Upstream) -> None:
    gateway = start(config(upstream, more="shutdown_timeout: 300ms\n"))
    clients = await in_flight(await gateway.ready(), upstream)

    gateway.signal(signal.SIGTERM)

    assert await gateway.ends() == 0
    close(clients)


async def test_a_second_signal_ends_it_at_once(start: Start, upstream: Upstream) -> None:
    gateway = start(config(upstream, more="shutdown_timeout: 10m\n"))
    clients = await in_flight(await gateway.ready(), upstream)

    gateway.signal(signal.SIGINT)
    await gateway.says("stopping")
    gateway.signal(signal.SIGINT)

    assert await gateway.ends() == 0
    close(clients)


async def test_sigterm_under_load_loses_no_answer(start: Start, upstream: Upstream) -> None:
    gateway = start(config(upstream))

    async with clients(await gateway.ready(), 16) as load:
        await load.answered_more(200)
        await gateway.stops()

    assert load.lost == []


async def test_a_start_with_a_bad_file_serves_what_was_in_force_last_if_asked(
    start: Start, upstream: Upstream, tmp_path: Path
) -> None:
    state = ("--state", str(tmp_path / "state"))
    before = start(config(upstream), *state)
    await before.ready()
    await before.stops()
    refused = start("routes: 7", *state)
    assert await refused.ends() == 1

    gateway = start("routes: 7", "--last-good", *state)
    url = await gateway.ready()

    assert (await get_over_both(url, "/a"))[0] == 200
    await gateway.says("the one that was in force last is started")
    await gateway.rewrites(config(upstream, more="via: false\n"))
    await gateway.stops()


@pytest.mark.parametrize("workers", [1, 2])
async def test_connections_are_accepted_and_ready_fails_for_the_drain_delay(
    start: Start, upstream: Upstream, tmp_path: Path, workers: int
) -> None:
    admin = f"unix:{tmp_path}/admin"
    more = f"admin: {{listen: '{admin}'}}\nworkers: {workers}\ndrain_delay: 600s\n"
    gateway = start(config(upstream, more=more))
    url = await gateway.ready()
    assert await get(admin, "/ready") == (200, "ready\n")

    gateway.signal(signal.SIGTERM)
    await gateway.says("stopping")

    assert await get(admin, "/ready") == (503, "draining\n")
    assert (await get_over_both(url, "/a"))[0] == 200
    gateway.signal(signal.SIGTERM)  # in a hurry
    assert await gateway.ends() == 0


async def test_the_service_manager_is_told(upstream: Upstream, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(config(upstream))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        gateway = Gateway(tmp_path / "gateway.yaml", environ=environ)
        try:
            await gateway.ready()
            await told(manager, b"READY=1")
            await told(manager, b"WATCHDOG=1")
            gateway.signal(signal.SIGHUP)
            await told(manager, b"RELOADING=1")
            await told(manager, b"READY=1")
            gateway.signal(signal.SIGTERM)
            await told(manager, b"STOPPING=1")
            assert await gateway.ends() == 0
        finally:
            gateway.kill()


async def told(manager: socket.socket, state: bytes) -> None:
    while not (await asyncio.to_thread(manager.recv, 500)).startswith(state):
        pass


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("files", [6, 8, 10, 12, 14, 18, 24, 30])
def test_a_start_that_the_system_has_no_descriptors_for_is_one_line_and_status_1(
    files: int, workers: int, tmp_path: Path
) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(
        f"listen: 127.0.0.1:0\nworkers: {workers}\nroutes: [{{id: a, path: /, redirect: {{path: /b}}}}]\n"
    )
    command = f"ulimit -n {files}; exec {sys.executable} -m gateway_core.cli run -c {config}"

    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("gateway: too many open files")
    assert "ulimit -n" in done.stderr
