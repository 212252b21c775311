"""Requests that are over, and loggers that are running."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from gateway_plugin_logger import Logger
from gateway_plugin_logger.config import LoggerConfig
from gateway_plugin_sdk import (
    Attempt,
    Clock,
    Headers,
    Identity,
    Metrics,
    PluginContext,
    Record,
    Request,
    Response,
    RouteInfo,
)
from gateway_plugin_sdk.testing import ManualClock


@dataclass
class Event:
    """A request that is over, with every value that a line may say."""

    request: Request
    response: Response
    record: Record

    def __iter__(self) -> Any:
        return iter((self.request, self.response, self.record))


def make_event(
    target: str = "/api/users/7?page=2",
    *,
    method: str = "GET",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    response_headers: Mapping[str, str] | None = None,
    route: str | None = "users",
    duration: float = 0.0125,
    error: str | None = None,
    aborted: str | None = None,
    attempts: int = 1,
    client_ip: str = "203.0.113.9",
    subject: str | None = "alice",
    claims: Mapping[str, Any] | None = None,
    host: str = "api.example.com:8080",
    request_id: str = "01J-abc",
) -> Event:
    fields = Headers(headers if headers is not None else {"Host": host, "User-Agent": "curl/8.1"})
    request = Request(
        method,
        target,
        headers=fields,
        host=host,
        client_ip=client_ip,
        peer_ip="10.1.2.3",
        request_id=request_id,
    )
    request.route = RouteInfo(route, "/api/users/:id") if route is not None else None
    request.path_params = {"id": "7"}
    request.identity = Identity(subject, "jwt", dict(claims or {})) if subject is not None else None
    record = Record()
    record.started_at, record.duration, record.upstream_duration = 1_795_389_621.123, duration, duration * 0.8
    record.bytes_received, record.bytes_sent, record.upstream, record.produced_by = 5, 1024, "people", "upstream"
    record.attempts = [
        Attempt(f"users-{n + 1}", "responded", status, 0.01, f"http://10.0.0.{n + 1}:80") for n in range(attempts)
    ]
    record.error, record.aborted = error, aborted
    return Event(request, Response(status, b"", response_headers or {}), record)


@pytest.fixture(name="make_event")
def make_event_fixture() -> Callable[..., Event]:
    return make_event


async def eventually(holds: Callable[[], object]) -> None:
    """Wait until something holds; the timeout of the test is the deadline."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        await asyncio.sleep(0.005)


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[[Callable[[], object]], Awaitable[None]]:
    return eventually


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(monotonic=1_795_389_621.0, wall=1_795_389_621.0)


@dataclass
class Loggers:
    """Makes loggers and stops them when the test is over."""

    clock: Clock
    metrics: Metrics = field(default_factory=Metrics)
    running: list[Logger] = field(default_factory=list)

    async def start(self, config: Mapping[str, Any], *, binding: str = "logger") -> Logger:
        logger = self.make(config, binding=binding)
        await logger.start()
        self.running.append(logger)
        return logger

    def make(self, config: Mapping[str, Any], *, binding: str = "logger") -> Logger:
        context = PluginContext(binding, None, self.clock, logging.getLogger("test.logger"), self.metrics)
        return Logger(LoggerConfig.model_validate(config), context)

    async def stop(self, logger: Logger) -> None:
        self.running.remove(logger)
        await logger.stop()

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"gateway_logger_{name}_total", labels) or 0.0


@pytest.fixture
async def loggers(clock: ManualClock) -> AsyncIterator[Loggers]:
    loggers = Loggers(clock)
    yield loggers
    for logger in loggers.running:
        await logger.stop()
