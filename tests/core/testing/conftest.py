"""Plugins that the tests of the kit use."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from gateway_core.config import ConfigModel
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response
from gateway_core.testing import ScriptedUpstream


class GreeterConfig(ConfigModel):
    """Whom to greet."""

    whom: str = "world"


class Greeter(Plugin[GreeterConfig]):
    """Greets the upstream, and refuses what is forbidden."""

    name = "greeter"
    config_model = GreeterConfig

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        request.headers["x-greeting"] = f"hello {self.config.whom}"
        return Response.problem(403, "forbidden") if request.path == "/forbidden" else None

    @hookimpl
    async def gateway_response(self, request: Request, response: Response) -> None:
        response.headers["x-at"] = str(self.clock.wall())

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        self.log.info("%s took %s", request.path, response.status)


class Broken(Plugin[None]):
    """Raises in every request."""

    name = "broken"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        raise LookupError("nothing there")


class Sleeper(Plugin[None]):
    """Blocks the loop."""

    name = "sleeper"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        if request.method == "GET":
            time.sleep(0.6)  # to hold up the loop is the point


@pytest.fixture
def greeter() -> type[Greeter]:
    return Greeter


@pytest.fixture
def broken() -> type[Broken]:
    return Broken


@pytest.fixture
def sleeper() -> type[Sleeper]:
    return Sleeper


@pytest.fixture
def target() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running
