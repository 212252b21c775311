"""Requests to a Kubernetes API server: pages of a list, and the stream of a watch."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import aiohttp
from gateway_plugin_sdk import GatewayError
from gateway_plugin_sdk.unstable import LineSplitter
from yarl import URL

from gateway_plugin_kubernetes.cluster import Cluster, LoadCluster

Object = Mapping[str, Any]

LARGEST_PAGE: Final = 256 * 1024 * 1024
LARGEST_LINE: Final = 16 * 1024 * 1024
"""Bytes; no object in a Kubernetes API server comes near it (etcd takes 1.5 MiB)."""

CONNECT_TIMEOUT: Final = 5.0
_UNAUTHORIZED: Final = 401
_GONE: Final = 410
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
"""A watch is silent for minutes: without probes, a server whose machine is gone would go unnoticed for as long."""


class ApiError(GatewayError):
    """A refusal by the API server, as a status or within a watch."""

    def __init__(self, status: int, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        """Seconds that the server asks us to wait."""

    @property
    def is_expired(self) -> bool:
        """Whether the version that a watch or a page was to go on from is known no more: list anew."""
        return self.status == _GONE


class Api:
    """One API server, as ourselves."""

    def __init__(self, load: LoadCluster, session: Callable[[], aiohttp.ClientSession], timeout: float) -> None:
        """Read the credentials; nothing is connected yet.

        :param timeout: seconds for a page of a list, and for the head of a watch.
        :raises ClusterError: the credentials cannot be used.
        """
        self.cluster: Cluster = load()
        self._load = load
        self._session = session
        self._timeout = timeout

    async def get(self, path: str, query: Mapping[str, str]) -> Object:
        """Return one object, such as a page of a list.

        :raises ApiError: the server refuses.
        :raises OSError: it cannot be reached (aiohttp's errors of connections, and ``TimeoutError``, included).
        """
        timeout = aiohttp.ClientTimeout(total=self._timeout, sock_connect=CONNECT_TIMEOUT)
        response = await self._open(path, query, timeout)
        async with response:
            body = await _body(response)
        found = _object(body)
        if found is None:
            raise ApiError(response.status, f"the response to {path} is no JSON object")
        return found

    @asynccontextmanager
    async def watch(self, path: str, query: Mapping[str, str], seconds: int) -> AsyncIterator[AsyncGenerator[Object]]:
        """Open a watch, which the server ends after so many seconds.

        The events end when the server or the network ends them; a part of a line at the end is dropped.

        :raises ApiError: the server refuses.
        :raises OSError: it cannot be reached.
        """
        query = {**query, "watch": "true", "timeoutSeconds": str(seconds)}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=seconds + self._timeout)
        response = await self._open(path, query, timeout)
        async with response:
            _probe(response)
            yield _events(response)

    async def _open(self, path: str, query: Mapping[str, str], limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        try:
            response = await self._send(path, query, limits)
        except aiohttp.ClientSSLError:
            # An authority or a client certificate that was replaced: the next try has what the files say then.
            await self._reload()
            raise
        if response.status == _UNAUTHORIZED:
            # A token or a certificate that was replaced: what the files say now may be better.
            response.release()
            await self._reload()
            response = await self._send(path, query, limits)
        if response.status != 200:
            async with response:
                raise await _refusal(response, path)
        return response

    async def _reload(self) -> None:
        self.cluster = await asyncio.to_thread(self._load)

    async def _send(self, path: str, query: Mapping[str, str], limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        cluster = self.cluster
        # The head of a watch comes at once; what comes then may take as long as the watch.
        async with asyncio.timeout(self._timeout):
            return await self._session().get(
                URL(cluster.server + path).with_query(query),
                headers={**cluster.authorization(), "Accept": "application/json", "Accept-Encoding": "identity"},
                timeout=limits,
                ssl=cluster.tls,
                server_hostname=cluster.server_name,
                allow_redirects=False,
            )


async def _events(response: aiohttp.ClientResponse) -> AsyncGenerator[Object]:
    lines = LineSplitter(LARGEST_LINE)
    # The end of a watch looks like a broken connection where the server or something between us was stopped.
    with suppress(aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, TimeoutError, ConnectionError):
        async for part in response.content.iter_any():
            for line in lines.feed(part):
                event = _object(line)
                if event is None:
                    return
                yield event


def _probe(response: aiohttp.ClientResponse) -> None:
    """Let the system find out when the other side is gone without a word."""
    connection = response.connection
    transport = None if connection is None else connection.transport
    raw = None if transport is None else transport.get_extra_info("socket")
    if raw is None:
        return
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            raw.setsockopt(socket.IPPROTO_TCP, option, value)


async def _body(response: aiohttp.ClientResponse, largest: int = LARGEST_PAGE) -> bytes:
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > largest:
            raise ApiError(response.status, f"the response to {response.url.path} is larger than {largest} bytes")
    return bytes(body)


async def _refusal(response: aiohttp.ClientResponse, path: str) -> ApiError:
    """Return the error of a response; the server explains it in a ``Status`` object."""
    try:
        status = _object(await _body(response, 1 << 20)) or {}
    except (aiohttp.ClientError, TimeoutError, ApiError):
        status = {}
    message = status.get("message") or response.reason or "refused"
    retry_after = response.headers.get("Retry-After", "")
    wait = min(float(retry_after), 60.0) if retry_after.isdecimal() else 0.0
    return ApiError(response.status, f"the API server responds {response.status} to {path}: {message}", wait)


def _object(text: bytes) -> Object | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
