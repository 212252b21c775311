"""Active health checks: the I/O around ``health``.

Each check makes a connection of its own, as requests do (the resolver's addresses by happy eyeballs, or the unix
socket; a header of the PROXY protocol that names no client; TLS), so that it proves that the endpoint accepts some. Of
the response only the status counts, so no more of it is read. A check of type ``grpc`` needs HTTP/2, which a
`GrpcProbe` speaks over the connection.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from aiohappyeyeballs import start_connection

from gateway_core.clock import Clock
from gateway_core.config import HealthCheckConfig
from gateway_core.descriptors import EXHAUSTED, LocalErrors
from gateway_core.events import ENDPOINT_HEALTHY, ENDPOINT_UNHEALTHY, Event, emit
from gateway_core.failure_text import system_reason
from gateway_core.proxy_protocol import ProxyVersion, proxy_header
from gateway_core.tasks import Tasks
from gateway_core.upstreams.endpoint import EndpointSpec, authority_of
from gateway_core.upstreams.health import HealthState, first_delay, next_delay, note_result
from gateway_core.upstreams.resolver import Resolver

USER_AGENT: Final = "gateway-health-check"
_HAPPY_EYEBALLS_DELAY: Final = 0.25
"""RFC 8305 section 5."""
_HAVE_CONTENT: Final = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose requests carry ``Content-Length: 0`` (RFC 9110 section 8.6)."""


class CheckFailedError(Exception):
    """The endpoint responded, but not as it should."""


@dataclass(frozen=True, slots=True)
class HealthCall:
    """A call of ``grpc.health.v1.Health/Check``."""

    service: str
    """Empty is the whole server."""
    authority: str
    is_tls: bool
    seconds: float
    """How long it may take."""
    fields: Mapping[str, str]


GrpcProbe = Callable[[asyncio.StreamReader, asyncio.StreamWriter, HealthCall], Awaitable[None]]
"""Makes the call over the connection of a check, and raises `CheckFailedError` unless the response is SERVING."""


async def no_grpc(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _call: HealthCall) -> None:
    """Fail each check of type ``grpc``, where nothing speaks it."""
    raise CheckFailedError("this process makes no checks of type grpc")


class Checker:
    """Checks one address until it is closed."""

    __slots__ = (
        "_call",
        "_clock",
        "_config",
        "_expected",
        "_grpc",
        "_head",
        "_local_errors",
        "_preface",
        "_resolver",
        "_rng",
        "_server_name",
        "_spec",
        "_tasks",
        "_tls",
        "_upstreams",
        "health",
        "scheme",
    )

    def __init__(
        self,
        spec: EndpointSpec,
        config: HealthCheckConfig,
        *,
        resolver: Resolver,
        clock: Clock,
        rng: Random,
        tls: ssl.SSLContext | None = None,
        server_name: str = "",
        proxy_protocol: ProxyVersion | None = None,
        local_errors: LocalErrors | None = None,
        grpc: GrpcProbe = no_grpc,
    ) -> None:
        """Prepare the check.

        :param tls: how https endpoints are verified; unused for others.
        :param server_name: name to send as SNI and to verify; empty is the endpoint's host.
        :param proxy_protocol: version of the header that connections begin with.
        :param local_errors: logs checks that failed for lack of something on this machine.
        :param grpc: makes the call of a check of type ``grpc``.
        :raises ValueError: for expected statuses that are none.
        """
        self._local_errors = LocalErrors() if local_errors is None else local_errors
        self._spec = spec
        self.health = HealthState()
        """What is found."""
        self._config = config
        self._resolver = resolver
        self._clock = clock
        self._rng = rng
        self.scheme = config.type or spec.scheme
        """``http``, ``https``, ``tcp`` or ``grpc``."""
        self._tls = tls if is_encrypted(spec, config) else None
        self._grpc = grpc
        self._server_name = server_name or spec.host
        self._preface = b"" if proxy_protocol is None else proxy_header(proxy_protocol, None, None)
        self._expected = config.expected_statuses
        self._tasks = Tasks()
        fields = {name: value.reveal() for name, value in config.headers.items()}
        authority = _authority(spec, config)
        self._head = _request_head(config, authority, fields)
        self._call = HealthCall(config.service, authority, self._tls is not None, config.timeout, fields)
        self._upstreams: set[str] = set()

    @property
    def has_tls(self) -> bool:
        """Whether its connections begin with TLS."""
        return self._tls is not None

    def start(self) -> None:
        """Begin to check: the first time at once, give or take the jitter."""
        self._tasks.supervise(self._run, name=f"health check of {self._spec.id}")

    async def aclose(self) -> None:
        """Stop checking."""
        await self._tasks.aclose()

    async def check(self) -> None:
        """Check once and note the result."""
        began = self._clock.monotonic()
        error = ""
        try:
            async with asyncio.timeout(self._config.timeout):
                reader, writer = await self._connect()
                try:
                    if self._tls is not None:
                        await writer.start_tls(self._tls, server_hostname=self._server_name)
                    if self.scheme == "grpc":
                        await self._grpc(reader, writer, self._call)
                    elif self.scheme != "tcp":
                        writer.write(self._head)
                        await self._check_response(reader)
                finally:
                    writer.transport.abort()  # a body may have no end, and an endpoint may not close
        except TimeoutError:
            error = f"no response within {self._config.timeout:g} s"
        except (CheckFailedError, OSError, ValueError) as failure:
            error = system_reason(failure)
            if isinstance(failure, OSError) and self._is_local(failure):
                self._local_errors.note(error, began)
                return
        self._note(error, self._clock.monotonic() - began)

    async def _run(self) -> None:
        await asyncio.sleep(first_delay(self._config, self._rng))
        while True:
            began = self._clock.monotonic()
            pause = next_delay(self._config, self._rng)
            await self.check()
            await asyncio.sleep(max(0.0, pause - (self._clock.monotonic() - began)))

    def _is_local(self, error: OSError) -> bool:
        # Without IPv6 on this machine every IPv6 address is "not available": that is not for lack of a port.
        has_no_port = error.errno == errno.EADDRNOTAVAIL and ":" not in self._spec.host
        return error.errno in EXHAUSTED or has_no_port

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        spec = self._spec
        if spec.path:
            reader, writer = await asyncio.open_unix_connection(spec.path)
        else:
            addresses = await self._resolver.resolve(spec.host, self._config.port or spec.port)
            sock = await start_connection(addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY)
            reader, writer = await asyncio.open_connection(sock=sock)
        if self._preface:
            writer.write(self._preface)
        return reader, writer

    async def _check_response(self, reader: asyncio.StreamReader) -> None:
        """Read the status line of the final response."""
        status = _status_of(await reader.readline())
        while status < 200:
            while (await reader.readline()).strip():
                pass
            status = _status_of(await reader.readline())
        if not any(status in statuses for statuses in self._expected):
            expected = ", ".join(map(str, self._expected))
            raise CheckFailedError(f"responded {status}, expected {expected}")

    def _note(self, error: str, seconds: float) -> None:
        has_changed = note_result(self._config, self.health, self._clock.monotonic(), passed=not error)
        self.health.record(error, self._clock.wall(), seconds, has_changed=has_changed)
        if has_changed and error:
            self._emit(ENDPOINT_UNHEALTHY, f"is unhealthy: {error}", reason=error)
        elif has_changed:
            self._emit(ENDPOINT_HEALTHY, "is healthy again")

    def _emit(self, event: Event, text: str, reason: str | None = None) -> None:
        names = sorted(self._upstreams)
        whose = f" of upstream{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}" if names else ""
        message = f"endpoint {self._spec.id}{whose} {text} ({self.scheme} check)"
        emit(event, message, upstreams=names, endpoint=self._spec.id, check=self.scheme, reason=reason)

    def name_upstream(self, name: str) -> None:
        """Name an upstream that uses the check, for the log: several share the check of one address."""
        self._upstreams.add(name)


def _status_of(line: bytes) -> int:
    """Return the status of a response, of which this is the first line (RFC 9112 section 4).

    :raises CheckFailedError: if it is none.
    """
    if not line:
        raise CheckFailedError("the connection was closed without a response")
    version, _, rest = line.partition(b" ")
    status = rest[:3]
    if version not in {b"HTTP/1.1", b"HTTP/1.0"} or not status.isdigit() or not 100 <= int(status) <= 599:
        raise CheckFailedError(f"what it sent is no HTTP response: {line[:40]!r}")
    return int(status)


def is_encrypted(spec: EndpointSpec, config: HealthCheckConfig) -> bool:
    """Return whether a check begins with TLS."""
    return (spec.scheme if config.type in {None, "grpc"} else config.type) == "https"


def _authority(spec: EndpointSpec, config: HealthCheckConfig) -> str:
    """Return the Host of the request."""
    if config.host:
        return config.host
    if config.port and not spec.path:
        text = authority_of(spec.host, config.port)
        return text if text.isascii() else text.encode("idna").decode()
    return spec.authority.decode()


def _request_head(config: HealthCheckConfig, authority: str, more: Mapping[str, str]) -> bytes:
    fields = {
        "host": ("Host", authority),
        "user-agent": ("User-Agent", USER_AGENT),
        "accept": ("Accept", "*/*"),
    }
    if config.method in _HAVE_CONTENT:
        fields["content-length"] = ("Content-Length", "0")
    for name, value in more.items():
        fields[name.lower()] = (name, value)
    fields["connection"] = ("Connection", "close")
    lines = [f"{config.method} {config.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.values())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
