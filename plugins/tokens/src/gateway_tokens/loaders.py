"""Load documents over HTTP and from files, with bounds on everything."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from gateway_plugin_sdk import client_tls_context

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
        # Keys in the configuration and in files do without the memory of an HTTP client.
        from gateway_tokens.http_client import request  # noqa: PLC0415

        fields = {**self._headers, **headers}
        return await request(method, url, fields, form, self._options, self._proxy, self._context)

    async def _context(self) -> ssl.SSLContext | bool:
        if self._tls is None:
            self._tls = await asyncio.to_thread(tls_context, self._options) or True
        return self._tls


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
