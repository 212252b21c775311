"""The fixtures ``gateway`` and ``upstream`` of the SDK, over both protocols."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import pytest
from gateway_core.testing import Client, RunningGateway, ScriptedUpstream
from gateway_core.testing.loop_thread import LoopThread
from gateway_plugin_sdk.testing import StartGateway

from tests.protocols.alternating import port_in_turn
from tests.protocols.bridges import http2_in_front_of, http2_ports, http2_to
from tests.protocols.choice import Protocols, with_http2_upstreams


class Bridges:
    """Runs bridges in a thread of their own, for tests that are plain functions."""

    def __init__(self) -> None:
        self._thread = LoopThread("bridges")
        self._stack = AsyncExitStack()

    def run(self, bridge: AbstractAsyncContextManager[int]) -> int:
        """Run a bridge until the end of the test, and return its port."""
        return self._thread.run(self._stack.enter_async_context(bridge))

    def close(self) -> None:
        try:
            self._thread.run(self._stack.aclose())
        finally:
            self._thread.close()


@pytest.fixture
def bridges() -> Iterator[Bridges]:
    running = Bridges()
    yield running
    running.close()


@pytest.fixture
def upstream(upstream: ScriptedUpstream, protocols: Protocols, bridges: Bridges) -> ScriptedUpstream:
    if protocols.upstream == "http2":
        upstream.port = bridges.run(http2_in_front_of(upstream.port))
    return upstream


@pytest.fixture
def gateway(
    request: pytest.FixtureRequest, gateway: StartGateway, protocols: Protocols, bridges: Bridges
) -> StartGateway:
    is_in_turn = request.node.get_closest_marker("in_turn") is not None

    def start(config: str | Mapping[str, Any], **more: Any) -> RunningGateway:
        ports = http2_ports()
        running = gateway(with_http2_upstreams(config, ports) if ports else config, **more)
        if is_in_turn and running.url.startswith("http:"):
            return by_bridge(running, bridges.run(port_in_turn(running.port)))
        return over(protocols, running, bridges)

    return start


SpokenTo = Callable[[RunningGateway], RunningGateway]


@pytest.fixture
def spoken_to(protocols: Protocols, bridges: Bridges) -> SpokenTo:
    """Return what has the client of a gateway speak the test's protocol."""
    return lambda running: over(protocols, running, bridges)


def over(protocols: Protocols, running: RunningGateway, bridges: Bridges) -> RunningGateway:
    """Have a gateway's client speak a protocol to its first listener, if that is a plain one."""
    if protocols.downstream == "http2" and running.url.startswith("http:") and running.port:
        return by_bridge(running, bridges.run(http2_to(running.port)))
    return running


def by_bridge(running: RunningGateway, port: int) -> RunningGateway:
    """Have a gateway's client connect to a port."""
    running.port = port
    running.client = Client("127.0.0.1", port)
    return running
