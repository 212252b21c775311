"""``gateway drain``, ``up``, ``release`` and ``log-level`` against a real gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from tests.commands import start as commands
from tests.end_to_end.admin_kit import Api
from tests.end_to_end.kit import PATIENCE, Gateway, Upstream, get

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONFIG = """
listen: "127.0.0.1:0"
workers: 2
upstreams:
  - {{name: users, endpoints: [{{id: a, url: "{one}"}}, {{id: b, url: "{two}"}}]}}
  - {{name: orders, endpoints: [{{id: b, url: "{two}"}}]}}
routes: [{{id: users, path_prefix: /, target: users}}, {{id: orders, path_prefix: /orders, target: orders}}]
"""


async def gateway(*arguments: str) -> tuple[int, str, str]:
    done = await asyncio.to_thread(commands.run, *arguments, timeout=PATIENCE)
    return done.returncode, done.stdout, done.stderr


async def test_operators_override_from_the_command_line(
    start: Callable[..., Gateway], upstream: Upstream, second_upstream: Upstream, api: Api
) -> None:
    running = start(CONFIG.format(one=upstream.url, two=second_upstream.url))
    url = await running.ready()

    status, out, _ = await gateway("drain", "a", "--reason", "new disk", "--for", "2h")
    assert (status, out.startswith("a is drained until ")) == (0, True)
    assert {(await get(url, "/x"))[1].split()[0] for _ in range(6)} == {"two"}
    status, out, _ = await gateway("status")
    assert "override       drain users/a, by local: new disk; ends in 1 h 59 min" in out

    status, _, error = await gateway("drain", "b", "--upstream", "users")
    assert (status, "last endpoint" in error, "--force" in error) == (1, True, True)
    status, _, error = await gateway("drain", "b", "--force")
    assert (status, "orders, users" in error) == (1, True)
    status, out, _ = await gateway("drain", "b", "--upstream", "users", "--force", "--json")
    assert (status, json.loads(out)["override"]["name"]) == (0, "b")
    assert (await get(url, "/x"))[0] == 503
    assert (await gateway("up", "a"))[:2] == (0, "a is up\n")
    assert (await get(url, "/x"))[0] == 200
    assert (await gateway("drain", "nothing"))[0] == 1
    assert (await gateway("drain", "a", "--for", "soon"))[0] == 1

    assert (await gateway("log-level", "debug"))[0] == 0
    assert (await api("GET", "overview"))[1]["gateway"]["log_level"] == "debug"
    assert (await gateway("log-level", "configured"))[1] == "the level of the log is as configured\n"
    assert (await gateway("log-level", "loud"))[0] == 2
    status, _, error = await gateway("release", "users/none")
    assert (status, "no binding" in error) == (1, True)
    await running.stops()
    assert (await gateway("up", "a"))[0] == 3
