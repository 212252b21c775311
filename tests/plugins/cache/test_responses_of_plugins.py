"""What is stored of responses that plugins behind the cache make."""

from __future__ import annotations

import http.client
from collections.abc import AsyncIterator

import pytest
from gateway_plugin_cache import Cache
from gateway_plugin_sdk import Plugin, Request, Response, hookimpl
from gateway_plugin_sdk.testing import RunningGateway, StartGateway

FRESH = ("Cache-Control", "max-age=60")
CASES: dict[str, tuple[int, list[tuple[str, str]]]] = {
    "/fresh": (200, [FRESH]),
    "/expires": (200, [("Expires", "Fri, 01 Jan 2100 00:00:00 GMT")]),
    "/redirect": (301, [FRESH]),
    "/varies": (200, [FRESH, ("Vary", "X-Color")]),
    "/silent": (200, []),
    "/private": (200, [("Cache-Control", "private, max-age=60")]),
    "/refusal": (403, [FRESH]),
    "/missing": (404, [FRESH]),
    "/failure": (503, [FRESH]),
    "/cookie": (200, [FRESH, ("Set-Cookie", "a=b")]),
}


class Responds(Plugin[None]):
    """Responds to each request with how often it was called."""

    name = "responds"
    provides = frozenset({"response"})

    calls = 0

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response:
        self.calls += 1
        if request.path == "/problem":
            return Response.problem(200, str(self.calls), headers=[FRESH])
        if request.path == "/streamed":
            return Response(200, self._pieces(request), [FRESH])
        status, fields = CASES[request.path]
        return Response(status, str(self.calls), fields)

    async def _pieces(self, request: Request) -> AsyncIterator[bytes]:
        yield str(self.calls).encode()
        if request.query_string == "broken":
            raise RuntimeError("the body ends here")
        yield b"."


@pytest.fixture
def running(gateway: StartGateway) -> RunningGateway:
    """Return a gateway whose route has a cache before a plugin that responds."""
    bindings = [{"name": "cache", "config": {"default_ttl": "60s"}}, {"name": "responds"}]
    route = {"id": "test", "path_prefix": "/", "plugins": bindings}
    return gateway({"routes": [route]}, plugins=[Cache, Responds])


@pytest.mark.parametrize("path", ["/fresh", "/expires", "/redirect", "/streamed"])
def test_a_response_that_states_its_lifetime_is_stored(running: RunningGateway, path: str) -> None:
    first, second = running.get(path), running.get(path)

    assert first.body == second.body
    assert first.headers["cache-status"].endswith("; stored")
    assert second.headers["cache-status"].startswith("gateway; hit")


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/silent", "no-lifetime"),
        ("/private", "private"),
        ("/refusal", "own"),
        ("/missing", "own"),
        ("/failure", "own"),
        ("/cookie", "set-cookie"),
        ("/problem", "own"),
    ],
)
def test_any_other_one_is_for_its_request_alone(running: RunningGateway, path: str, detail: str) -> None:
    first, second = running.get(path), running.get(path)

    assert first.body != second.body
    assert second.headers["cache-status"].endswith(f"; detail={detail}")


def test_what_they_vary_by_keeps_them_apart(running: RunningGateway) -> None:
    red, blue, again = (running.get("/varies", headers={"X-Color": color}) for color in ("red", "blue", "red"))

    assert red.body == again.body != blue.body


def test_a_body_that_breaks_off_is_not_stored(running: RunningGateway) -> None:
    with pytest.raises((http.client.HTTPException, OSError)):
        running.get("/streamed?broken")

    assert running.call("test/cache", "stats") == {
        "entries": 0, "bytes": 0, "evictions": 0, "fetches": 0, "waiting": 0
    }  # fmt: skip


def test_the_date_of_what_is_stored_stays(running: RunningGateway) -> None:
    first, second = running.get("/fresh"), running.get("/fresh")

    assert second.headers.count("date") == 1
    assert second.headers["date"] <= first.headers["date"]
