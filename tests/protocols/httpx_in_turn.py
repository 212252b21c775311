"""Transports of httpx that send requests over HTTP/2 and HTTP/1 in turn, for clients that verify certificates."""

from __future__ import annotations

import ssl

import httpx

from tests.protocols.alternating import Turns

Verify = ssl.SSLContext | bool


class InTurn(httpx.BaseTransport):
    """Sends every second request over HTTP/2: with prior knowledge to ``http``, by ALPN to ``https``."""

    def __init__(self, turns: Turns, verify: Verify = True) -> None:
        """Go on with the turns of the test, whose clients are many."""
        self._turns = turns
        self._http1 = httpx.HTTPTransport(verify=verify)
        self._http2 = httpx.HTTPTransport(verify=verify, http1=False, http2=True)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        is_http2 = self._turns.speaks_http2()
        response = (self._http2 if is_http2 else self._http1).handle_request(request)
        return checked(response, is_http2=is_http2)

    def close(self) -> None:
        self._http1.close()
        self._http2.close()


class AsyncInTurn(httpx.AsyncBaseTransport):
    """The same for an `httpx.AsyncClient`, to ``http`` only."""

    def __init__(self, turns: Turns) -> None:
        """Go on with the turns of the test, whose clients are many."""
        self._turns = turns
        self._http1 = httpx.AsyncHTTPTransport(verify=False)
        self._http2 = httpx.AsyncHTTPTransport(verify=False, http1=False, http2=True)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        is_http2 = self._turns.speaks_http2()
        response = await (self._http2 if is_http2 else self._http1).handle_async_request(request)
        return checked(response, is_http2=is_http2)

    async def aclose(self) -> None:
        await self._http1.aclose()
        await self._http2.aclose()


def checked(response: httpx.Response, *, is_http2: bool) -> httpx.Response:
    """Return a response that came over the protocol whose turn it was."""
    assert (response.extensions["http_version"] == b"HTTP/2") is is_http2, response.extensions
    return response
