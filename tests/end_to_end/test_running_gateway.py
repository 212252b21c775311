"""The commands that ask a running gateway: status, reload, match --running."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands import start as commands
from tests.end_to_end.kit import Gateway, Upstream, get, get_over_both

CONFIG = """
listen: "127.0.0.1:0"
admin: {{listen: "127.0.0.1:{admin}"}}
workers: {workers}
upstreams: [{{name: users, endpoints: [{{url: "{url}"}}]}}]
routes:
  - {{id: users, path_prefix: /users, target: users, strip_path: true}}
  - {{id: post, path: /users/new, methods: [POST], headers: {{x-team: "a"}}, target: users}}
  - {{id: hosts, path_prefix: /, hosts: [a.example.com], target: users}}
"""


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for control sockets that no other gateway of this machine uses."""
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


def config_of(upstream: Upstream, port: int, workers: int = 1) -> str:
    return CONFIG.format(url=upstream.url, admin=port, workers=workers)


async def gateway(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the gateway."""
    return await asyncio.to_thread(commands.run, *arguments)


async def overview(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((await gateway("status", "--output", "json", *arguments)).stdout)
    return found


@pytest.mark.parametrize("workers", [1, 2])
async def test_status_shows_what_is_in_force(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, workers: int
) -> None:
    running = start(config_of(upstream, unused_tcp_port, workers))
    url = await running.ready()
    await get_over_both(url, "/users/1")

    done = await gateway("status")

    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0].startswith(f"gateway 0.1.0, process {running.process.pid}, up ")
    assert lines[1] == "state ready"
    assert f"listening {await running.address()}" in lines
    assert any(line.startswith("last reload ok ") for line in lines)
    assert any(line.startswith("users weighted-round-robin 127.0.0.1:") and " up " in line for line in lines)
    by_admin = await overview("--admin", f"http://127.0.0.1:{unused_tcp_port}")
    assert by_admin["gateway"]["pid"] == running.process.pid
    await running.stops()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_reload_is_waited_for_and_its_verdict_is_the_exit_status(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, workers: int
) -> None:
    text = config_of(upstream, unused_tcp_port, workers)
    running = start(text)
    await running.ready()

    fine = await gateway("reload", "--wait")
    assert fine.returncode == 0, fine.stderr
    assert fine.stdout.startswith("configuration in force: ")

    running.config.write_text(text.replace("strip_path", "strip_pat"))
    rejected = await gateway("reload", "--wait")
    checked = await gateway("check", running.config)
    assert (rejected.returncode, rejected.stdout) == (1, "")
    problem = checked.stderr.splitlines()[0].partition("gateway.yaml")[2]
    assert 'unknown key "strip_pat"' in problem
    assert problem in rejected.stderr
    assert rejected.stderr.rstrip().endswith("configuration rejected, the old one stays in force")

    status = await gateway("status")
    assert status.returncode == 1
    assert "  - the last reload failed" in status.stdout
    assert 'unknown key "strip_pat"' in status.stdout

    running.config.write_text(text.replace("id: hosts", "id: others"))
    mended = await gateway("reload", "--wait", "--json")
    assert (mended.returncode, json.loads(mended.stdout)["result"]) == (0, "ok")
    told = await overview()
    assert (told["state"], told["last_failed_reload"]["result"]) == ("ready", "rejected")
    assert told["version"] == json.loads(mended.stdout)["version"]
    await running.stops()


async def test_a_reload_that_exchanges_the_program_is_waited_for_as_well(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int
) -> None:
    running = start(config_of(upstream, unused_tcp_port))
    await running.ready()
    before = await overview()

    running.signal(signal.SIGUSR2)
    done = await gateway("reload", "--wait")

    assert done.returncode == 0, done.stderr
    assert (await overview())["gateway"]["pid"] == before["gateway"]["pid"]
    await running.says("the new program has taken over")
    await running.stops()


async def test_what_cannot_be_decided_has_a_status_of_its_own(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, tmp_path: Path
) -> None:
    for command in (["status"], ["reload", "--wait"], ["match", "GET", "/", "--running"], ["call", "a", "b"]):
        gone = await gateway(*command)
        assert (gone.returncode, gone.stdout) == (3, ""), gone.stderr
        assert "no gateway of this user runs" in gone.stderr

    running = start(config_of(upstream, unused_tcp_port))
    await running.ready()
    denied = await gateway("reload", "--wait", "--admin", f"http://127.0.0.1:{unused_tcp_port}")
    assert (denied.returncode, denied.stdout) == (3, "")
    assert "operations need a token with the role operator" in denied.stderr
    refused = await gateway("status", "--admin", "http://127.0.0.1:1")
    assert (refused.returncode, refused.stderr) == (3, "gateway: the gateway at 127.0.0.1:1: Connection refused\n")
    elsewhere = await gateway("status", "-c", tmp_path / "other.yaml")
    assert elsewhere.returncode == 3
    assert f"--pid ({running.process.pid})" in elsewhere.stderr
    await running.stops()


async def test_of_a_gateway_that_is_starting_commands_name_what_it_waits_for(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int
) -> None:
    source = f"http://127.0.0.1:{unused_tcp_port}/routes?interval=50ms"
    running = start(f"routes: [{{id: all, path_prefix: /, target: '{upstream.url}'}}]", "-c", source)
    await running.says("waiting for http")

    status, reload = await gateway("status"), await gateway("reload", "--wait")

    begin = (
        f"gateway: the gateway is starting and serves nothing yet: process {running.process.pid} is waiting for http"
    )
    assert (status.returncode, status.stdout) == (reload.returncode, reload.stdout) == (3, "")
    assert status.stderr.startswith(begin)
    assert reload.stderr.startswith(begin)
    await running.stops()
    assert "no gateway of this user runs" in (await gateway("status")).stderr


async def test_a_gateway_that_does_not_respond_in_time_leaves_it_undecided() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = await gateway("reload", "--wait", "--timeout", "0.2", "--admin", f"127.0.0.1:{silent.getsockname()[1]}")

    assert done.returncode == 3
    assert "did not respond within 0.2 s" in done.stderr


@pytest.mark.parametrize("body", [b"{}", b"[1]", b"1", b'{"status": "UP"}'])
@pytest.mark.parametrize("command", ["status", "status --json", "reload --wait", "match GET /"])
async def test_a_server_that_is_no_gateway_leaves_it_undecided(command: str, body: bytes) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    done = await gateway(*command.split(), "--admin", f"127.0.0.1:{port}")
    server.close()

    assert (done.returncode, done.stdout) == (3, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("workers", [1, 2])
async def test_matching_asks_the_configuration_in_force_and_not_the_file(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int, workers: int
) -> None:
    running = start(config_of(upstream, unused_tcp_port, workers))
    url = await running.ready()
    running.config.write_text("nonsense: true\n")
    await running.says("configuration rejected")

    found = await gateway("match", "GET", "/users/7?x=1", "--running", "--json")

    assert found.returncode == 0, found.stderr
    matched = json.loads(found.stdout)
    assert (matched["route"], matched["path"]) == ("users", "/7?x=1")
    assert (await get(url, "/users/7?x=1"))[1] == f"one GET {matched['path']} HTTP/1.1"
    nothing = await gateway("match", "GET", "/nothing", "--pid", str(running.process.pid))
    assert nothing.returncode == 1
    assert nothing.stdout.startswith("no route: 404, ")
    assert (await get(url, "/nothing"))[0] == 404
    await running.stops()


async def test_matching_agrees_with_what_requests_get(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int
) -> None:
    running = start(config_of(upstream, unused_tcp_port))
    url = await running.ready()

    for path, status in (("/users/%2e%2e/x", 400), ("/users/a%2Fb", 400), ("/users//x", 200), ("/users/;v=1/x", 200)):
        matched = json.loads((await gateway("match", "GET", path, "--running", "--json")).stdout)
        got, body = await get(url, path)
        assert got == status
        if status == 200:
            assert body == f"one GET {matched['path']} HTTP/1.1"
        else:
            assert matched["status"] == status
    wrong = await gateway("match", "GET", "/", "--running", "--listener", "other")
    assert wrong.returncode == 2
    assert "there is no listener 'other'" in wrong.stderr
    await running.stops()
