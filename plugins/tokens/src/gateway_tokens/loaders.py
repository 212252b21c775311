"""Load documents over HTTP and from files, with bounds on everything."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar
from urllib.parse import urlsplit

import aiohttp
from gateway_plugin_sdk import SecretUrl, client_tls_context

from gateway_tokens.documents import FetchError, Load, Loaded
from gateway_tokens.fetch import FetchOptions
from gateway_tokens.freshness import Terms
from gateway_tokens.keys import KeySet
from gateway_tokens.reading import read_file
from gateway_tokens.texts import shown_url

ValueT = TypeVar("ValueT")


def terms_of(options: FetchOptions) -> Terms:
    """Return how documents that are fetched are kept."""
    return Terms(options.refresh, options.cooldown, options.stale_for)


def tls_context(options: FetchOptions) -> ssl.SSLContext | None:
    """Return the TLS context of the fetches; None for the usual one. Blocks.

    :raises ValueError: a file cannot be used.
    """
    ca, cert, key = ("" if file is None else str(file) for file in (options.ca, options.cert, options.key))
    return client_tls_context(ca, cert, key)


def _why(error: Exception) -> str:
    """Return why a request failed, in the system's words where there are some."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            found = error.certificate_error
            return f"its certificate is not accepted: {getattr(found, 'verify_message', '') or found}"
        case aiohttp.ClientConnectorDNSError():
            return f"its name cannot be resolved: {error.os_error.strerror or error.os_error}"
        case aiohttp.ClientConnectorError() if error.os_error.errno:
            return f"no connection: {os.strerror(error.os_error.errno)}"
        case aiohttp.ServerDisconnectedError():
            return "the server closed the connection without a response"
    return str(error) or type(error).__name__


class Client:
    """Fetches small documents. Connections are not kept: minutes pass between two fetches."""

    def __init__(self, options: FetchOptions) -> None:
        self._options = options
        self._headers = {name: value.reveal() for name, value in options.headers.items()}
        self._proxy = options.proxy.reveal() if options.proxy is not None else None
        self._tls: ssl.SSLContext | bool | None = None

    async def fetch(self, url: str) -> tuple[bytes, str]:
        """Return the body and the ``Cache-Control`` of a document.

        :raises FetchError: there is no response in time, it is no 200, or it is too large. Redirects are not followed:
            whom we trust is what the configuration says.
        """
        status, body, cache_control = await self._request("GET", url)
        if status != 200:
            raise FetchError(f"the server responds {status}", shown_url(url))
        return body, cache_control

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Return the status and the body of the response to a request of another kind.

        :param form: fields of a form to send as the body.
        :raises FetchError: there is no response in time, or it is too large. Redirects are not followed.
        """
        status, body, _ = await self._request(method, url, headers, form)
        return status, body

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str] = MappingProxyType({}), form: object = None
    ) -> tuple[int, bytes, str]:
        options = self._options
        timeout = aiohttp.ClientTimeout(total=options.timeout or None)
        fields = {**self._headers, **headers}
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), connector=await self._connector(url)
                ) as session,
                session.request(
                    method, url, headers=fields, data=form, proxy=self._proxy, allow_redirects=False
                ) as response,
            ):
                body = await self._read(shown_url(url), response) if response.status == 200 or form is not None else b""
                return response.status, body, response.headers.get("Cache-Control", "")
        except TimeoutError as error:
            raise FetchError(f"no response within {options.timeout:g} s (fetch.timeout)", shown_url(url)) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Some errors quote the URL, or that of the proxy.
            text = str(SecretUrl(_why(error).replace(url, shown_url(url))))
            raise FetchError(text, shown_url(url)) from error

    async def _connector(self, url: str) -> aiohttp.TCPConnector:
        if urlsplit(url).scheme != "https":
            return aiohttp.TCPConnector(force_close=True)
        if self._tls is None:
            self._tls = await asyncio.to_thread(tls_context, self._options) or True
        return aiohttp.TCPConnector(force_close=True, ssl=self._tls)

    async def _read(self, url: str, response: aiohttp.ClientResponse) -> bytes:
        most, parts, size = self._options.max_bytes, [], 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > most:
                raise FetchError(f"the server sends more than {most} bytes (fetch.max_bytes)", url)
            parts.append(part)
        return b"".join(parts)


Lifetime = Callable[[str], float]
"""Takes the ``Cache-Control`` of a response and returns the seconds until the next load."""

Read = Callable[[bytes], ValueT]
"""Turns what was loaded into a value; a `ValueError` of it is a failure of the load."""


class Reader(Generic[ValueT]):
    """Reads each content once, in a thread: a large one must not hold up requests."""

    def __init__(self, read: Read[ValueT]) -> None:
        self._read = read
        self._last: tuple[bytes, ValueT] | None = None

    async def __call__(self, data: bytes, place: str) -> ValueT:
        last = self._last
        if last is not None and last[0] == data:
            return last[1]
        try:
            value = await asyncio.to_thread(self._read, data)
        except ValueError as error:
            raise FetchError(str(error), place) from error
        self._last = (data, value)
        return value


def loaded_value(value: ValueT, lifetime: float) -> Loaded[ValueT]:
    """Return a document as it was loaded, with what was left out of a key set."""
    return Loaded(value, lifetime, value.unusable if isinstance(value, KeySet) else ())


def value_from_url(url: str, options: FetchOptions, lifetime: Lifetime, read: Read[ValueT]) -> Load[ValueT]:
    """Return a loader of a document that ``read`` turns into a value."""
    client, reader = Client(options), Reader(read)

    async def load() -> Loaded[ValueT]:
        data, cache_control = await client.fetch(url)
        return loaded_value(await reader(data, shown_url(url)), lifetime(cache_control))

    return load


def value_from_file(path: str, refresh: float, read: Read[ValueT]) -> Load[ValueT]:
    """Return a loader of a file that ``read`` turns into a value."""
    reader = Reader(read)

    async def load() -> Loaded[ValueT]:
        try:
            data = await asyncio.to_thread(read_file, path)
        except OSError as error:
            raise FetchError(error.strerror or str(error), path) from error
        return loaded_value(await reader(data, path), refresh)

    return load
