"""What becomes of a fetch whose response goes to no client as it is."""

from __future__ import annotations

import pytest
from gateway_plugin_cache import Cache
from gateway_plugin_sdk import Plugin, Request, Response, hookimpl
from gateway_plugin_sdk.testing import ScriptedUpstream, StartGateway, eventually, one_route

FRESH = [("Cache-Control", "max-age=60")]


class Replaces(Plugin[None]):
    """Sends another response in place of the one it gets, or fails."""

    name = "replaces"

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> Response | None:
        if request.path == "/fails":
            raise RuntimeError(request.path)
        return Response.problem(403, "not for you") if request.path == "/replaced" else None


@pytest.mark.parametrize("path", ["/replaced", "/fails"])
def test_a_fetch_ends_with_its_request_whatever_was_sent(
    gateway: StartGateway, upstream: ScriptedUpstream, path: str
) -> None:
    running = gateway(one_route(upstream.url, {"name": "replaces"}, {"name": "cache"}), plugins=[Cache, Replaces])
    upstream.answer_with(200, "x", FRESH)

    statuses = [running.get(path).status for _ in range(2)]

    assert statuses[0] == statuses[1] != 200
    eventually(lambda: running.call("test/cache", "stats")["fetches"] == 0)
