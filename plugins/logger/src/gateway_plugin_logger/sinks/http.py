"""Sends batches by HTTP: lines for anybody, and OpenTelemetry's logs for a collector."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from gateway_plugin_sdk import SecretUrl

from gateway_plugin_logger.config.sinks import HttpSink, OtlpSink
from gateway_plugin_logger.sinks.otlp import Refusal, encoding_of
from gateway_plugin_logger.sinks.retry import DeliveryError, RejectedError

_LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_LATER_OTLP: Final = frozenset({429, 502, 503, 504})  # OTLP specification 1.7, "Retryable Response Codes"
_MOST_RESPONSE: Final = 64 * 1024
_USER_AGENT: Final = "gateway-plugin-logger"


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """Where and how batches are sent."""

    url: str = field(repr=False)
    method: str
    headers: Mapping[str, str] = field(repr=False)
    make_body: Callable[[Sequence[str]], bytes]
    compress: bool
    timeout: float
    keepalive: float = 15.0
    retried_statuses: frozenset[int] = _LATER
    read_response: Callable[[bytes], Refusal] | None = None
    """Reads from a response how many lines of the batch were refused."""


def lines_target(sink: HttpSink, format_name: str) -> HttpTarget:
    """Return how batches of lines go to an HTTP sink."""
    is_json = format_name == "json"
    default_type = "application/json" if sink.body == "array" else "application/x-ndjson" if is_json else "text/plain"
    return HttpTarget(
        url=sink.url.reveal(),
        method=sink.method,
        headers={
            "content-type": sink.content_type or default_type,
            **{name: value.reveal() for name, value in sink.headers.items()},
        },
        make_body=_array_body if sink.body == "array" else _lines_body,
        compress=sink.compress,
        timeout=sink.timeout,
        keepalive=sink.keepalive,
    )


def otlp_target(sink: OtlpSink) -> HttpTarget:
    """Return how batches of records go to a collector."""
    encoding = encoding_of(sink)
    endpoint = sink.endpoint.reveal()
    has_path = urlsplit(endpoint).path not in {"", "/"}
    return HttpTarget(
        url=endpoint if has_path else endpoint.rstrip("/") + "/v1/logs",
        method="POST",
        headers={
            "content-type": encoding.content_type,
            **{name: value.reveal() for name, value in sink.headers.items()},
        },
        make_body=encoding.make_body,
        compress=sink.compress,
        timeout=sink.timeout,
        keepalive=sink.keepalive,
        retried_statuses=_LATER_OTLP,
        read_response=encoding.read_response,
    )


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for (RFC 9110 section 10.2.3); None if it says nothing."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return None


class HttpClient:
    """Sends batches to one target over kept connections."""

    def __init__(
        self,
        target: HttpTarget,
        wall: Callable[[], float],
        refused: Callable[[Refusal], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take a target.

        :param tls: how its server is trusted; None for the usual way.
        """
        self._target = target
        self._wall = wall
        self._refused = refused
        headers = {"user-agent": _USER_AGENT, **{name.lower(): value for name, value in target.headers.items()}}
        if target.compress:
            headers["content-encoding"] = "gzip"
        verified = tls or True
        connector = (
            aiohttp.TCPConnector(ssl=verified, keepalive_timeout=target.keepalive)
            if target.keepalive
            else aiohttp.TCPConnector(ssl=verified, force_close=True)
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=target.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
        )

    async def deliver(self, lines: Sequence[str]) -> None:
        """Send a batch; see `gateway_plugin_logger.sinks.sender.Deliver`."""
        target = self._target
        # A batch is up to a mebibyte: packing it takes longer than requests should wait.
        body = await asyncio.to_thread(self._pack, lines)
        try:
            async with self._session.request(target.method, target.url, data=body, allow_redirects=False) as response:
                body = await response.content.read(_MOST_RESPONSE)
                status, after = response.status, response.headers.get("retry-after")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # aiohttp names the URL in some of its errors, with the password.
            raise DeliveryError(str(SecretUrl(f"{type(error).__name__}: {error}"))) from None
        if status in target.retried_statuses:
            raise DeliveryError(f"status {status}", retry_after=retry_after(after, self._wall()))
        if not 200 <= status < 300:
            raise RejectedError(f"status {status}")
        if target.read_response is not None:
            refusal = target.read_response(body)
            if refusal.records or refusal.why:
                self._refused(Refusal(max(0, min(refusal.records, len(lines))), refusal.why))

    def _pack(self, lines: Sequence[str]) -> bytes:
        body = self._target.make_body(lines)
        return gzip.compress(body, compresslevel=4, mtime=0) if self._target.compress else body

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()


def _lines_body(lines: Sequence[str]) -> bytes:
    return "".join(lines).encode("utf-8", "backslashreplace")


def _array_body(lines: Sequence[str]) -> bytes:
    return f"[{','.join([line.rstrip() for line in lines])}]".encode("utf-8", "backslashreplace")
