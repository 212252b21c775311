"""Which instances a command reaches, by the place of its binding."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.kit import Gateway, Upstream, get_over_both
from tests.end_to_end.test_plugin_runtime import call, environ, plugins, start

__all__ = ["environ", "plugins", "start"]

pytestmark = pytest.mark.timeout(300)

PLACES = """
from gateway_plugin_sdk import Plugin, Response, command, hookimpl

class Ledger(Plugin[None]):
    name = "ledger"

    @hookimpl
    async def gateway_pre_proxy(self, request):
        if request.path == f"/{self.context.route}":
            return Response(200, body=repr(await self.everywhere("where")).encode())

    @hookimpl
    def gateway_attempt(self):
        pass

    @command(role="viewer")
    def where(self) -> list:
        return [self.context.route, self.context.binding]
"""


@pytest.mark.parametrize("workers", [1, 2])
async def test_bindings_are_called_by_their_place_and_targets_of_several_routes_at_once(
    start: Callable[[str], Gateway], upstream: Upstream, environ: dict[str, str], plugins: Path, workers: int
) -> None:
    (plugins / "ledger_plugin.py").write_text(PLACES)
    gateway = start(
        f"""
listen: 127.0.0.1:0
workers: {workers}
shutdown_timeout: 5s
plugins: [{{name: ledger, id: wide}}]
upstreams: [{{name: u, endpoints: [{{url: "{upstream.url}"}}], plugins: [{{name: ledger, id: own}}]}}]
routes:
  - {{id: a, path: /a, targets: [{{target: u, plugins: [{{name: ledger, id: at}}]}}]}}
  - {{id: b, path: /b, targets: [{{target: u, plugins: [{{name: ledger, id: at}}]}}]}}
  - {{id: c, path: /c, target: u, plugins: [{{name: ledger}}]}}
"""
    )
    url = await gateway.ready()

    expected_places: dict[str, list[list[str | None]]] = {
        "wide": [[None, "wide"]],
        "upstreams/u/own": [[None, "own"]],
        "upstreams/u/at": [["a", "at"], ["b", "at"]],
        "c/ledger": [["c", "ledger"]],
    }
    for binding, places in expected_places.items():
        status, out, _ = call(environ, binding, "where", "--json")
        expected = [{"worker": number, "result": place} for number in range(workers) for place in places]
        assert (status, json.loads(out)) == (0, expected)
    assert await get_over_both(url, "/b") == (200, repr([["a", "at"], ["b", "at"]] * workers))
    await gateway.stops()
