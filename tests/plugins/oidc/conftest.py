"""A provider, gateways in front of a scripted upstream, and a browser with a jar of cookies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
from gateway_plugin_oidc import Oidc
from gateway_plugin_sdk.testing import (
    Answer,
    Client,
    ManualClock,
    RunningGateway,
    ScriptedUpstream,
    one_route,
)

from tests.plugins.oidc.provider import Provider

KEY = "k" * 32
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}
HOST = "app.localhost"


class Browser:
    """Follows redirects and keeps cookies, as a browser does for one site; what it asks elsewhere has none."""

    def __init__(self, gateway: RunningGateway, host: str = HOST) -> None:
        self.gateway = gateway
        self.host = host
        self.cookies: dict[str, str] = {}
        self.visited: list[str] = []

    def send(self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        """Send one request to the gateway, with the cookies and without following a redirect."""
        cookie = {"Cookie": "; ".join(f"{n}={v}" for n, v in self.cookies.items())} if self.cookies else {}
        answer = self.gateway.request(
            method, target, headers={"Host": self.host, **cookie, **(headers or {})}, body=body
        )
        self._keep(answer)
        return answer

    def get(self, target: str) -> Answer:
        """Send one request as a script of the page does."""
        return self.send("GET", target, {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"})

    def visit(self, target: str) -> Answer:
        """Go to a page, through every redirect."""
        answer = self.send("GET", target, NAVIGATION)
        for _ in range(8):
            location = answer.headers.get("location")
            if location is None:
                return answer
            answer = self.follow(location)
        raise AssertionError(f"redirects go round: {self.visited[-8:]}")

    def follow(self, location: str) -> Answer:
        self.visited.append(location)
        parts = urlsplit(location)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if parts.hostname == self.host.partition(":")[0]:
            return self.send("GET", target, {**NAVIGATION, "Sec-Fetch-Site": "cross-site"})
        return Client(parts.hostname or "", parts.port or 80).request("GET", target)

    def to_provider(self, target: str = "/") -> str:
        """Begin a login, and return the callback that the provider sends the browser to."""
        there = self.send("GET", target, NAVIGATION).headers.get("location", "")
        return self.follow(there).headers.get("location", "")

    def to_provider_again(self) -> str:
        """Begin a login although there is a session, as another tab may have done before."""
        kept = {name: self.cookies.pop(name) for name in list(self.cookies) if ".s" not in name}
        callback = self.to_provider()
        self.cookies |= kept
        return callback

    def _keep(self, answer: Answer) -> None:
        for field in answer.headers.get_all("set-cookie"):
            name, _, value = field.partition(";")[0].partition("=")
            if "Max-Age=0" in field:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value


StartOidc = Callable[..., RunningGateway]


@pytest.fixture
def clock() -> ManualClock:
    """Move it to let sessions and tokens end; the provider's clock goes on by itself."""
    return ManualClock(wall=time.time())  # noqa: TID251 - where the provider's clock is


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as running:
        running.redirect_uris = [f"http://{HOST}/cb"]
        yield running


@pytest.fixture
def options(provider: Provider) -> dict[str, Any]:
    return {
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "client_secret": provider.client_secrets[0],
        "redirect_uri": f"http://{HOST}/cb",
        "keys": [KEY],
    }


@pytest.fixture
def start(options: dict[str, Any], upstream: ScriptedUpstream, clock: ManualClock) -> Iterator[StartOidc]:
    """Start gateways: ``start(unauthenticated="deny")``."""
    with ExitStack() as running:

        def make(
            *,
            binding: dict[str, Any] | None = None,
            second: dict[str, Any] | None = None,
            target: str = "",
            at: ManualClock | None = None,
            **changes: Any,
        ) -> RunningGateway:
            config = {name: value for name, value in {**options, **changes}.items() if value is not None}
            entry = {"name": "oidc", "config": config, **(binding or {})}
            document: dict[str, Any] = {**one_route(target or upstream.url), "plugins": [entry]}
            if second is not None:  # each on a route of its own
                routes = [("all", "/", config), ("b", "/b", second)]
                document = {
                    "routes": [
                        {"id": i, "path_prefix": p, "target": upstream.url, "plugins": [{"name": "oidc", "config": c}]}
                        for i, p, c in routes
                    ]
                }
            return running.enter_context(RunningGateway(document, plugins=[Oidc], clock=at or clock))

        yield make


@pytest.fixture
def browser(start: StartOidc) -> Browser:
    return Browser(start())
