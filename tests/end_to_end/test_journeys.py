"""What an operator finds and mends with the command line alone: a slow route, a bad plugin, an endpoint that dies.

A bad deploy and its rollback are in test_version_commands.py; the same with the dashboard alone is in
dashboard/test_journeys.py.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.end_to_end.kit import PATIENCE, Gateway, Upstream, get
from tests.end_to_end.test_running_gateway import gateway, runtime

__all__ = ["runtime"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@asynccontextmanager
async def traffic(url: str, *paths: str) -> AsyncIterator[None]:
    """Send requests all the time."""

    async def send() -> None:
        while True:
            for path in paths:
                await get(url, path)

    async with asyncio.TaskGroup() as group:
        sending = group.create_task(send())
        yield
        sending.cancel()


async def printed(condition: Callable[[str], bool], *arguments: str) -> str:
    """Run a command until its output fulfils a condition, and return it with single spaces."""
    deadline = time.monotonic() + 2 * PATIENCE
    while True:
        done = await gateway(*arguments)
        text = "\n".join(" ".join(line.split()) for line in done.stdout.splitlines())
        if condition(text):
            return text
        assert time.monotonic() < deadline, text + done.stderr


TOP = ("top", "--interval", "2", "--sort")
SHOP = """
listen: "127.0.0.1:0"
workers: 2
upstreams:
  - {{name: shop, endpoints: [{{url: "{fast}"}}]}}
  - {{name: orders, endpoints: [{{id: old, url: "{fast}"}}, {{id: new, url: "{slow}"}}]}}
routes:
  - {{id: users, path_prefix: /users, target: shop}}
  - {{id: orders, path_prefix: /orders, target: orders}}
  - {{id: offers, path_prefix: /offers, target: shop}}
"""


async def test_a_slow_route_is_found_with_the_endpoint_that_makes_it_slow_which_is_drained(
    start: Callable[..., Gateway], upstream: Upstream
) -> None:
    async with Upstream("slow", delay=0.5) as slow:
        running = start(SHOP.format(fast=upstream.url, slow=slow.url))
        url = await running.ready()
        async with traffic(url, "/users/1", "/orders/1", "/offers/1"):

            def names_the_slow_one(text: str) -> bool:
                _, routes, upstreams, *_ = text.split("\n\n")
                return routes.splitlines()[1].startswith("orders ") and upstreams.splitlines()[1].startswith(
                    "orders new "
                )

            await printed(names_the_slow_one, *TOP, "time")

            assert (await gateway("drain", "new", "--reason", "slow")).returncode == 0
        assert {(await get(url, "/orders/1"))[1].split()[0] for _ in range(6)} == {upstream.name}
        assert "drain orders/new, by local: slow" in await printed(bool, "status")
        await running.stops()


PLUGIN = """
from pathlib import Path
from gateway_plugin_sdk import Plugin, hookimpl

class Tiny(Plugin[dict]):
    name = "tiny"
    config_schema = {{"type": "object"}}

    @hookimpl
    def gateway_pre_proxy(self, request):
        Path("{file}").read_text()
"""
BOUND = """
listen: "127.0.0.1:0"
workers: 2
routes:
  - {{id: users, path_prefix: /users, target: "{url}"}}
  - id: orders
    path_prefix: /orders
    target: "{url}"
    plugins: [{{name: tiny, quarantine: {{failures: 1, clients: 1, open_for: 1h}}}}]
"""


def install_tiny(site: Path, needs: Path) -> None:
    """Install a plugin that fails as long as a file is missing."""
    metadata = site / "tiny-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "tiny_plugin.py").write_text(PLUGIN.format(file=needs))
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gateway.plugins]\ntiny = tiny_plugin:Tiny\n")


async def test_a_bad_plugin_is_found_at_its_binding_with_the_reason_and_released_once_its_cause_is_mended(
    start: Callable[..., Gateway], upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenants = tmp_path / "tenants"
    install_tiny(tmp_path / "site", tenants)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    running = start(BOUND.format(url=upstream.url))
    url = await running.ready()
    async with traffic(url, "/users/1", "/orders/1"):
        await printed(
            lambda text: "binding orders/tiny of plugin tiny" in text and "FileNotFoundError" in text, "status"
        )
        await printed(lambda text: text.split("\n\n")[1].splitlines()[1].startswith("orders "), *TOP, "errors")
    assert (await get(url, "/users/1"))[0] == 200

    tenants.write_text("a")
    assert (await gateway("release", "orders/tiny", "--reason", "the file is back")).returncode == 0
    assert {(await get(url, "/orders/1"))[0] for _ in range(6)} == {200}
    assert "override release orders/tiny, by local: the file is back" in await printed(bool, "status")
    await running.stops()


DYING = """
listen: "127.0.0.1:0"
workers: 2
upstreams: [{{name: users, endpoints: [{{id: a, url: "{one}"}}, {{id: b, url: "{two}"}}]}}]
routes: [{{id: users, path_prefix: /, target: users}}]
"""


async def responds(url: str, name: str) -> None:
    """Send requests until an upstream has had one."""
    async with asyncio.timeout(PATIENCE):
        while (await get(url, "/"))[1].split()[0] != name:
            pass


async def test_a_dying_endpoint_is_found_with_the_reason_and_drained_until_it_is_back(
    start: Callable[..., Gateway], upstream: Upstream, unused_tcp_port: int
) -> None:
    running = start(DYING.format(one=upstream.url, two=f"http://127.0.0.1:{unused_tcp_port}"))
    url = await running.ready()
    async with Upstream("two", port=unused_tcp_port):
        await responds(url, "two")
    async with traffic(url, "/"):
        status = await printed(lambda text: "users weighted-round-robin b unreachable" in text, "status")
        assert "refused" in status.lower()
        assert (await gateway("drain", "b", "--reason", "its process is gone")).returncode == 0
    assert {(await get(url, "/"))[0] for _ in range(10)} == {200}

    found = json.loads((await gateway("status", "--json")).stdout)
    assert [(each["kind"], each["name"], each["reason"]) for each in found["overrides"]] == [
        ("drain", "b", "its process is gone")
    ]
    async with Upstream("two", port=unused_tcp_port):
        assert (await gateway("up", "b")).returncode == 0
        await responds(url, "two")
    await running.stops()
