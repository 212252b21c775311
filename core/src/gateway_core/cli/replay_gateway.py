"""The gateways that ``gateway replay`` compares: one that runs, or a configuration in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from aiohttp.client_reqrep import ClientResponse
from aiohttp.connector import Connection
from yarl import URL

from gateway_core.cli.comparison import Decision, Failure, Outcome
from gateway_core.cli.recording import RecordedRequest
from gateway_core.cli.replay_credentials import with_credentials
from gateway_core.errors import GatewayError
from gateway_core.messages.secret_fields import may_be_secret
from gateway_core.tasks import spawn

_START_TIMEOUT: Final = 120.0
"""Seconds; a configuration of many thousand routes, or one with many plugins, takes some."""
_STOP_TIMEOUT: Final = 10.0
_DECISION_TIMEOUT: Final = 5.0
"""Seconds from the end of a response until the gateway says which route it took."""
_MOST_DECISIONS: Final = 10_000
_LONGEST_LINE: Final = 1 << 20
_PIECE: Final = 1 << 16
_LONGEST_PROBLEM: Final = 1 << 16
_OF_ONE_REQUEST: Final = ("request_id", "trace_id")
"""Members of a problem (RFC 9457) of the gateway that are others each time."""
_GONE_AFTER: Final = 10
"""Requests in a row that cannot be sent, after which a gateway counts as gone."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What is compared of a response."""

    headers: Sequence[str]
    """Names in lower case."""
    has_body: bool
    timeout: float
    """Seconds for a request and its response."""


class _Response(ClientResponse):
    """A response that knows the port that it was asked for from."""

    local_port = 0

    async def start(self, connection: Connection) -> ClientResponse:
        transport = connection.transport
        self.local_port = 0 if transport is None else (transport.get_extra_info("sockname") or (0, 0))[1]
        return await super().start(connection)


class _Decisions:
    """What a gateway did with each request, by the port that it came from."""

    def __init__(self) -> None:
        self._latest: dict[int, tuple[float, Decision]] = {}
        self._changed = asyncio.Event()

    def take(self, line: Mapping[str, Any]) -> None:
        """Take what it said of one."""
        self._latest.pop(line["port"], None)
        if len(self._latest) >= _MOST_DECISIONS:  # of requests that are no longer waited for
            self._latest.pop(next(iter(self._latest)))
        self._latest[line["port"]] = line["started"], Decision(line["route"], line["upstream"])
        self._changed.set()
        self._changed = asyncio.Event()

    async def of(self, port: int, sent_at: float) -> Decision | None:
        """Wait for what it says of a request; None if it does not in time.

        :param sent_at: of the clock that all processes of the machine have: what is older is of another request.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DECISION_TIMEOUT):
                while True:
                    found = self._latest.get(port)
                    if found is not None and found[0] >= sent_at:
                        return self._latest.pop(port)[1]
                    await self._changed.wait()
        return None


@dataclass
class Target:
    """Sends requests to one gateway."""

    url: str
    session: aiohttp.ClientSession
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Fields that are sent with every request."""
    decisions: _Decisions | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it does not take requests any more."""
    _failures: int = 0

    async def send(self, request: RecordedRequest, compared: Compared) -> Outcome | Failure:
        """Send a request, and return what it came to."""
        headers = with_credentials(request.headers, self.credentials)
        headers |= {"Host": request.host} if request.host else {}
        sent_at = time.monotonic()
        try:
            async with (
                asyncio.timeout(compared.timeout),
                self.session.request(
                    request.method,
                    URL(f"{self.url}{request.target}", encoded=True),
                    headers=headers,
                    allow_redirects=False,
                ) as response,
            ):
                body = await _digest(response) if compared.has_body else ""
        except TimeoutError:
            return Failure(f"no response within {compared.timeout:g} s")
        except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError, ConnectionError) as error:
            self._failures += 1
            if self._failures >= _GONE_AFTER:
                self.gone.set()
            reason = error.os_error.strerror if isinstance(error, aiohttp.ClientConnectorError) else None
            return Failure(f"no connection: {reason or 'closed without a response'}")
        except (aiohttp.ClientError, ValueError) as error:
            return Failure(f"no usable response: {type(error).__name__}")
        self._failures = 0
        found = {
            name: _shown(name, response.headers.getall(name)) for name in compared.headers if name in response.headers
        }
        decision = None
        if self.decisions is not None and isinstance(response, _Response):
            decision = await self.decisions.of(response.local_port, sent_at)
        return Outcome(response.status, found, body, decision)


def _shown(name: str, values: Sequence[str]) -> str:
    text = ", ".join(values)
    return f"hidden, {_sha256(text.encode())}" if may_be_secret(name) else text


def _sha256(data: bytes) -> str:
    return f"SHA-256 {hashlib.sha256(data).hexdigest()[:16]}"


async def _digest(response: ClientResponse) -> str:
    """Return length and digest of a body, without the content coding; a problem without what is of one request."""
    digest, size, problem = hashlib.sha256(), 0, bytearray()
    is_problem = response.headers.get("Content-Type", "").startswith("application/problem+json")
    async for piece in response.content.iter_chunked(_PIECE):
        size += len(piece)
        digest.update(piece)
        if is_problem and size <= _LONGEST_PROBLEM:
            problem += piece
    if is_problem and size <= _LONGEST_PROBLEM:
        with contextlib.suppress(ValueError, RecursionError):
            plain = json.loads(problem)
            if isinstance(plain, dict):
                kept = json.dumps({name: value for name, value in plain.items() if name not in _OF_ONE_REQUEST})
                return f"problem, {_sha256(kept.encode())}"
    return f"{size} bytes, SHA-256 {digest.hexdigest()[:16]}"


@asynccontextmanager
async def open_target(
    name: str, text: str, listener: str | None, concurrency: int, credentials: Mapping[str, str]
) -> AsyncIterator[Target]:
    """Give a gateway: the one at a URL, or a process that serves a configuration and ends with this.

    :param name: ``old`` or ``new``, for messages.
    :param listener: name of the listener of a configuration; None for the first one that does not redirect to HTTPS.
    :param credentials: fields that are sent with every request.
    :raises GatewayError: the configuration cannot be used, or its gateway does not start.
    """
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=concurrency),
        cookie_jar=aiohttp.DummyCookieJar(),
        response_class=_Response,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        timeout=aiohttp.ClientTimeout(total=None),
        max_line_size=_PIECE,
        max_field_size=_PIECE,
    )
    async with session:
        if is_url(text):
            yield Target(text.rstrip("/"), session, credentials)
            return
        async with _serving(name, text) as (listeners, decisions, gone):
            yield Target(_url_of(name, listeners, listener), session, credentials, decisions, gone)


def is_url(text: str) -> bool:
    """Whether a text names a gateway that runs, rather than a configuration."""
    return text.startswith(("http://", "https://"))


def _url_of(name: str, listeners: Sequence[Mapping[str, Any]], listener: str | None) -> str:
    for each in listeners:
        if each["name"] == listener if listener is not None else not each["redirects"]:
            return str(each["url"])
    if listener is None:
        return str(listeners[0]["url"])
    raise GatewayError(f"{name}: the configuration has no listener {listener!r}")


@asynccontextmanager
async def _serving(
    name: str, text: str
) -> AsyncIterator[tuple[Sequence[Mapping[str, Any]], _Decisions, asyncio.Event]]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "gateway_core.cli.replay_server", text),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        limit=_LONGEST_LINE,
        # Ctrl-C reaches this process only, which then ends the other.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    decisions, gone, latest = _Decisions(), asyncio.Event(), deque[bytes](maxlen=20)
    errors = spawn(_keep(process.stderr, latest), name=f"errors of the {name} gateway")
    reading = None
    try:
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                line = await process.stdout.readline()
        except TimeoutError:
            raise GatewayError(f"{name}: the gateway of {text} did not start in {_START_TIMEOUT:g} s") from None
        if not line:
            await errors
            raise GatewayError(f"{name}: the gateway of {text} ended: {_text(latest)}")
        said = json.loads(line)
        if "failed" in said:
            raise GatewayError(f"{name}: {text} cannot be served:\n{said['failed']}")
        reading = spawn(_read(process.stdout, decisions, gone), name=f"decisions of the {name} gateway")
        yield said["listeners"], decisions, gone
    finally:
        await _stop(process)
        errors.cancel()
        if reading is not None:
            reading.cancel()


def _text(lines: Sequence[bytes] | deque[bytes]) -> str:
    return b"".join(lines).decode(errors="replace").strip() or "it said nothing"


async def _keep(stream: asyncio.StreamReader, latest: deque[bytes]) -> None:
    while piece := await stream.read(1000):
        latest.append(piece)


async def _read(stream: asyncio.StreamReader, decisions: _Decisions, gone: asyncio.Event) -> None:
    try:
        while line := await stream.readline():
            decisions.take(json.loads(line))
    finally:
        gone.set()


async def _stop(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(_STOP_TIMEOUT):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    except asyncio.CancelledError:
        process.kill()
        raise
