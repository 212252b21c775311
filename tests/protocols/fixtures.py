"""The fixtures ``gateway`` and ``upstream`` of the SDK, over both protocols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import pytest
from gateway_core.testing import Client, RunningGateway, ScriptedUpstream
from gateway_core.testing.loop_thread import LoopThread
from gateway_plugin_sdk.testing import StartGateway

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
def gateway(gateway: StartGateway, protocols: Protocols, bridges: Bridges) -> StartGateway:
    def start(config: str | Mapping[str, Any], **more: Any) -> RunningGateway:
        ports = http2_ports()
        running = gateway(with_http2_upstreams(config, ports) if ports else config, **more)
        return over(protocols, running, bridges)

    return start


def over(protocols: Protocols, running: RunningGateway, bridges: Bridges) -> RunningGateway:
    """Have a gateway's client speak a protocol to its first listener, if that is a plain one."""
    if protocols.downstream == "http2" and running.url.startswith("http:") and running.port:
        running.port = bridges.run(http2_to(running.port))
        running.client = Client("127.0.0.1", running.port)
    return running
