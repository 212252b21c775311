"""A gateway in a thread of the test's process, whose clients speak HTTP/2 and HTTP/1 in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

from gateway_core.testing import Client, RunningGateway
from gateway_core.testing.loop_thread import LoopThread

from tests.protocols.alternating import in_turn, trusting
from tests.protocols.bridges import http2_to
from tests.protocols.fixtures import Bridges


@contextmanager
def http2_port(running: RunningGateway) -> Iterator[int]:
    """Run a bridge over which clients speak HTTP/2 to a gateway's first listener, and yield its port."""
    bridges = Bridges()
    try:
        yield bridges.run(http2_to(running.port, trusting("h2") if running.url.startswith("https:") else None))
    finally:
        bridges.close()


@contextmanager
def spoken_to_in_turn(running: RunningGateway) -> Iterator[RunningGateway]:
    """Have every second connection to a gateway's first listener speak HTTP/2, also where the listener has TLS.

    :raises AssertionError: at the end, when there was only one connection.
    """
    thread, stack = LoopThread("bridge"), AsyncExitStack()
    try:
        bridges = thread.run(stack.enter_async_context(in_turn()))
        before = running.url, running.port, running.client
        running.url = thread.run(bridges.to(running.url))
        running.port = int(running.url.rpartition(":")[2])
        running.client = Client("127.0.0.1", running.port)
        yield running
        running.url, running.port, running.client = before
    finally:
        try:
            thread.run(stack.aclose())
        finally:
            thread.close()
