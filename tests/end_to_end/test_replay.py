"""``gateway replay`` as a process, with the gateways that it starts and those that run."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.kit import PATIENCE, Gateway, Upstream, children_of, get_over_both
from tests.end_to_end.test_follow import Command, following

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SLOWLY = ("--concurrency", "1", "--timeout", "300")
"""One request after the other, each of which may wait for the test."""

OLD = """
listen: [{{address: ":80", https_redirect: true}}, {{address: "{taken}", name: web, proxy_protocol: true}}]
admin: {{listen: "{taken_too}"}}
upstreams: [{{name: one, endpoints: [{{url: "{one}"}}]}}, {{name: two, endpoints: [{{url: "{two}"}}]}}]
routes:
  - {{id: users, path_prefix: /users, target: one}}
  - {{id: orders, path_prefix: /orders, respond: {{status: 302, headers: {{Location: /users}}, body: moved}}}}
"""


def recording(folder: Path, *requests: tuple[str, str]) -> str:
    lines: list[dict[str, Any]] = [{"type": "recording", "format": 1}]
    lines += [{"type": "request", "method": method, "host": "a.test", "path": path} for method, path in requests]
    file = folder / "requests.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(file)


def configs(folder: Path, one: Upstream, two: Upstream) -> tuple[str, str]:
    """Write two configurations that differ in one route, whose addresses are taken."""
    taken, taken_too = one.url.removeprefix("http://"), two.url.removeprefix("http://")
    old = OLD.format(one=one.url, two=two.url, taken=taken, taken_too=taken_too)
    (folder / "old.yaml").write_text(old)
    (folder / "new.yaml").write_text(old.replace("target: one", "target: two"))
    return str(folder / "old.yaml"), str(folder / "new.yaml")


async def output(command: Command) -> tuple[int, str, str]:
    out, error = await asyncio.wait_for(command.process.communicate(), PATIENCE * 6)
    assert command.process.returncode is not None
    return command.process.returncode, out.decode(), error.decode()


async def test_two_configurations_that_differ_in_one_route_differ_there_and_unsafe_requests_are_left_out(
    upstream: Upstream, second_upstream: Upstream, tmp_path: Path
) -> None:
    old, new = configs(tmp_path, upstream, second_upstream)
    file = recording(
        tmp_path, ("GET", "/users/1"), ("HEAD", "/users/2"), ("GET", "/orders"), ("GET", "/none"), ("POST", "/users/3")
    )
    async with following("replay", file, "--old", old, "--new", new, "--json") as command:
        status, out, error = await output(command)

    assert (status, error) == (1, "")
    found = json.loads(out)
    assert (found["compared"], found["different"], found["undecided"], found["left_out"]) == (4, 2, {}, {"POST": 1})
    (route,) = found["routes"]
    assert route["route"] == "users"
    assert {each["what"] for group in route["groups"] for each in group["differences"]} == {"upstream", "body"}
    assert {"what": "upstream", "old": "one", "new": "two"} in route["groups"][0]["differences"]
    assert sorted(line.split(" ")[0] for line in [*upstream.seen, *second_upstream.seen]) == [
        "GET",
        "GET",
        "HEAD",
        "HEAD",
    ]


async def test_unsafe_requests_are_sent_on_request_and_what_is_the_same_is_status_0(
    upstream: Upstream, second_upstream: Upstream, tmp_path: Path
) -> None:
    old, _ = configs(tmp_path, upstream, second_upstream)
    file = recording(tmp_path, ("POST", "/users/1"), ("GET", "/none"))
    async with following("replay", file, "--old", old, "--new", old, "--unsafe") as command:
        status, out, error = await output(command)

    assert (status, out, error) == (0, "2 compared, 0 different\n", "")
    assert [line.split(" ")[0] for line in upstream.seen] == ["POST", "POST"]


async def test_ctrl_c_ends_it_and_the_gateways_that_it_started_with_what_was_compared(
    upstream: Upstream, second_upstream: Upstream, tmp_path: Path
) -> None:
    old, new = configs(tmp_path, upstream, second_upstream)
    file = recording(tmp_path, ("GET", "/orders"), *[("GET", "/users/slow")] * 20)
    async with following("replay", file, "--old", old, "--new", new, *SLOWLY) as command:
        async with asyncio.timeout(PATIENCE * 5):
            await upstream.waiting.wait()
        started = children_of(command.process.pid)
        assert len(started) == 2
        command.process.send_signal(signal.SIGINT)
        status, out, error = await output(command)

    assert (status, error) == (3, "gateway: interrupted\n")
    assert out == "1 compared, 0 different, 20 not sent\n"
    assert [pid for pid in started if is_running(pid)] == []


async def test_its_gateways_end_when_it_is_killed(
    upstream: Upstream, second_upstream: Upstream, tmp_path: Path
) -> None:
    old, new = configs(tmp_path, upstream, second_upstream)
    file = recording(tmp_path, ("GET", "/users/slow"))
    async with following("replay", file, "--old", old, "--new", new, *SLOWLY) as command:
        async with asyncio.timeout(PATIENCE * 5):
            await upstream.waiting.wait()
            started = children_of(command.process.pid)
            command.process.kill()
            while any(is_running(pid) for pid in started):  # noqa: ASYNC110 - of other processes there is no event
                await asyncio.sleep(0.05)

    assert len(started) == 2


async def test_gateways_that_run_are_compared_by_their_urls_until_one_is_gone(
    start: Callable[..., Gateway], upstream: Upstream, tmp_path: Path
) -> None:
    running = start('listen: "127.0.0.1:0"\nroutes: [{id: all, path_prefix: /, respond: {status: 200, body: hello}}]')
    url = await running.ready()
    assert (await get_over_both(url, "/"))[0] == 200
    file = recording(tmp_path, *[("GET", f"/{n}") for n in range(30)])
    async with following("replay", file, "--old", url, "--new", url) as command:
        status, out, _ = await output(command)
        assert (status, out) == (0, "30 compared, 0 different\n")
    address = await running.address()  # past the bridge, which goes on to listen
    await running.stops()

    async with following("replay", file, "--old", upstream.url, "--new", address, "--concurrency", "1") as command:
        status, out, error = await output(command)
    assert (status, error) == (3, "gateway: the new gateway is gone\n")
    assert out.startswith("10 undecided: new: no connection: ")
    assert out.endswith("\n0 compared, 0 different, 10 undecided, 20 not sent\n")


async def test_what_cannot_be_served_or_read_is_status_3_or_2(upstream: Upstream, tmp_path: Path) -> None:
    file = recording(tmp_path, ("GET", "/"))
    (tmp_path / "bad.yaml").write_text("routes: [{id: a, path: /, target: nowhere}]")
    (tmp_path / "none.jsonl").write_text("{}\n")
    url, bad, none = upstream.url, str(tmp_path / "bad.yaml"), str(tmp_path / "none.jsonl")
    async with (
        following("replay", file, "--old", url, "--new", bad) as invalid,
        following("replay", none, "--old", url, "--new", url) as empty,
        following("replay", file, "--old", url, "--new", f"{url}/path") as path,
    ):
        status, _, error = await output(invalid)
        assert (status, "new: " in error, "bad.yaml:1" in error, "nowhere" in error) == (3, True, True, True)
        status, _, error = await output(empty)
        assert (status, "is no recording" in error) == (2, True)
        status, _, error = await output(path)
        assert (status, "is no URL of a gateway" in error) == (2, True)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")
