"""Active health checks: the I/O around ``health``."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from random import Random

import aiohttp
from yarl import URL

from gateway_core.clock import Clock
from gateway_core.config import HealthCheckConfig
from gateway_core.tasks import Tasks
from gateway_core.upstreams.endpoint import Endpoint, authority_of
from gateway_core.upstreams.health import StatusRanges, first_delay, next_delay, note_result

_logger = logging.getLogger("gateway.upstreams")

USER_AGENT = "gateway-health-check"


class CheckFailedError(Exception):
    """The endpoint answered, but not as it should."""


class Checker:
    """Checks one endpoint until it is closed."""

    __slots__ = (
        "_clock",
        "_endpoint",
        "_expected",
        "_headers",
        "_rng",
        "_server_name",
        "_session",
        "_settings",
        "_ssl",
        "_tasks",
        "url",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        settings: HealthCheckConfig,
        *,
        session: Callable[[], aiohttp.ClientSession],
        clock: Clock,
        rng: Random,
        tls: ssl.SSLContext | None = None,
        server_name: str = "",
    ) -> None:
        """Prepare the check.

        :param session: gives the session to ask with; it should not keep connections, so that each check proves that
            the endpoint still accepts some.
        :param tls: how https endpoints are verified; None is the system's way.
        :param server_name: name to ask for and to verify; empty is the endpoint's host.
        :raises ValueError: for expected statuses that are none.
        """
        self._endpoint = endpoint
        self._settings = settings
        self._session = session
        self._clock = clock
        self._rng = rng
        self._ssl: ssl.SSLContext | bool = True if tls is None else tls
        self._server_name = server_name or None
        self._expected = StatusRanges(settings.expected_statuses)
        self._tasks = Tasks()
        authority = authority_of(endpoint.host, settings.port or endpoint.port)
        self.url = URL(f"{settings.type or endpoint.scheme}://{authority}{settings.path}", encoded=True)
        self._headers = {"User-Agent": USER_AGENT, **{name: value.reveal() for name, value in settings.headers.items()}}
        if settings.host:
            self._headers["Host"] = settings.host

    def start(self) -> None:
        """Begin to check: the first time at once, give or take the jitter."""
        self._tasks.keep(self._run, name=f"health check of {self._endpoint.id}")

    async def aclose(self) -> None:
        """Stop checking."""
        await self._tasks.aclose()

    async def check(self) -> None:
        """Check once and note the result."""
        began = self._clock.monotonic()
        error = ""
        try:
            async with asyncio.timeout(self._settings.timeout):
                await (self._connect() if self._settings.type == "tcp" else self._ask())
        except TimeoutError:
            error = f"no answer within {self._settings.timeout:g} s"
        except (CheckFailedError, aiohttp.ClientError, OSError, ValueError) as failure:
            error = str(failure) or type(failure).__name__
        self._note(error, self._clock.monotonic() - began)

    async def _run(self) -> None:
        await asyncio.sleep(first_delay(self._settings, self._rng))
        while True:
            began = self._clock.monotonic()
            pause = next_delay(self._settings, self._rng)
            await self.check()
            await asyncio.sleep(max(0.0, pause - (self._clock.monotonic() - began)))

    async def _connect(self) -> None:
        port = self._settings.port or self._endpoint.port
        _, writer = await asyncio.open_connection(self._endpoint.host, port)
        writer.close()

    async def _ask(self) -> None:
        answer = await self._session().request(
            self._settings.method,
            self.url,
            headers=self._headers,
            allow_redirects=False,
            ssl=self._ssl,
            server_hostname=self._server_name,
        )
        # Only the head counts; closing does not wait for a body that may have no end.
        answer.close()
        if answer.status not in self._expected:
            raise CheckFailedError(f"answered {answer.status}, expected {self._expected}")

    def _note(self, error: str, seconds: float) -> None:
        endpoint = self._endpoint
        endpoint.last_check = self._clock.wall()
        endpoint.last_check_seconds = seconds
        endpoint.last_check_error = error
        if not note_result(self._settings, endpoint.health, passed=not error):
            return
        endpoint.notify()
        if error:
            _logger.warning("endpoint %s is unhealthy: %s", endpoint.id, error)
        else:
            _logger.info("endpoint %s is healthy again", endpoint.id)
