"""Requests that plugins send themselves: ``self.upstreams.fetch(...)``.

Here is what plugins see. How a request is sent, the process says by a `Fetcher`: the data path sends it to the
upstream, a test kit gives a scripted response.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol

from gateway_core.errors import UpstreamError
from gateway_core.messages.body import TooLarge, read_whole
from gateway_core.messages.headers import Headers
from gateway_core.reasons import UNKNOWN_UPSTREAM

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET: Final = re.compile(r"/[!-~]*")
_OF_THE_CONNECTION: Final = (
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)
"""Fields that the gateway writes itself, so that fields of another message may be passed on as they are."""


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What a plugin asks for."""

    name: str
    """Of the upstream; or a URL."""
    method: str
    path: str
    """With the query, as it is sent."""
    headers: Headers
    """Without what frames the message; Host if the plugin gave one."""
    body: bytes | AsyncIterator[bytes]
    timeout: float | None
    """Seconds for all of it, the response's body included; None for the upstream's own timeouts."""


class FetchCall(Protocol):
    """A request in progress; a `BodySource` of the response's body."""

    async def response(self) -> FetchHead:
        """Send the request and return the response's head.

        :raises UpstreamError: there is no response.
        """

    @property
    def is_idle(self) -> bool: ...

    @property
    def trailers(self) -> Headers: ...

    async def read(self) -> bytes: ...

    async def aclose(self, error: Exception | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class FetchHead:
    """The head of a response."""

    status: int
    headers: Headers


class Fetcher(Protocol):
    """Sends requests of plugins."""

    def __call__(self, request: FetchRequest, /) -> FetchCall:
        """Prepare a request; `FetchCall.response` sends it.

        :raises UpstreamError: 503, there is no such upstream.
        """


def no_upstreams(request: FetchRequest) -> FetchCall:
    """Refuse every request: there is no data path here, as in ``gateway check``."""
    text = f"upstream {request.name!r}: no configuration is in force here"
    raise UpstreamError(text, status=503, reason=UNKNOWN_UPSTREAM)


class Fetched:
    """A response to a request that a plugin sent. Its body is streamed."""

    __slots__ = ("_call", "_whole", "headers", "status")

    def __init__(self, call: FetchCall, head: FetchHead) -> None:
        self._call = call
        self._whole: bytes | None = None
        self.status = head.status
        """As it came: no status is an error."""
        self.headers = head.headers

    async def read(self, limit: int = 1 << 20) -> bytes:
        """Return the whole body, or what is left of it behind what was iterated over.

        :param limit: bytes at most.
        :raises BodyTooLargeError: the body is larger; what is left of it cannot be read.
        :raises UpstreamError: the body is cut off, or takes too long.
        """
        if self._whole is None:
            found = await read_whole(self._call, limit, "response")
            if isinstance(found, TooLarge):
                await self._call.aclose(found.error)
                raise found.error
            self._whole = found
        return self._whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the body piece by piece, as it comes; what was `read` is not given again.

        :raises UpstreamError: the rest of it will not come.
        """
        while data := await self._call.read():
            yield data

    @property
    def trailers(self) -> Headers:
        """The fields behind the body, valid once it was read to its end."""
        return self._call.trailers

    def __repr__(self) -> str:
        return f"<Fetched {self.status}>"


class Upstreams:
    """Sends requests of a plugin's own to upstreams; ``self.upstreams`` of a plugin."""

    __slots__ = ("_fetcher",)

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    def fetch(
        self,
        name: str,
        method: str = "GET",
        path: str = "/",
        headers: Headers | Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes | AsyncIterator[bytes] = b"",
        timeout: float | None = None,
    ) -> Fetching:
        """Send a request to an upstream: ``async with self.upstreams.fetch("users", path="/me") as response``.

        The upstream's balancing, health, limits, retries, timeouts and TLS hold, and its attempt hooks run. Redirects
        are not followed. Leaving the block before the end of the body closes the connection.

        :param name: an upstream of the configuration, or a URL of scheme, host and port.
        :param path: with the query, as it is to be sent.
        :param headers: fields of the connection (Content-Length, Connection ...) are left out.
        :param body: bytes, or an asynchronous iterator, which is asked for more as the upstream takes it.
        :param timeout: seconds for all of it, the body of the response included.
        :raises ValueError: at once, for what cannot be sent.
        :raises UpstreamError: on entry, there is no response.
        """
        if _TOKEN.fullmatch(method) is None or method == "CONNECT":
            raise ValueError(f"{method!r} is not a method that can be sent")
        if _TARGET.fullmatch(path) is None or "#" in path:
            raise ValueError(f"{path[:80]!r} is not a path: begin with '/', and percent-encode other characters")
        if timeout is not None and not timeout > 0:
            raise ValueError(f"a timeout of {timeout!r} seconds: give more than 0, or None for the upstream's own")
        fields = headers.copy() if isinstance(headers, Headers) else Headers(headers)
        for field in _OF_THE_CONNECTION:
            fields.remove(field)
        return Fetching(self._fetcher, FetchRequest(name, method, path, fields, body, timeout))


class Fetching:
    """A request that is sent on entry, and ended on exit."""

    __slots__ = ("_call", "_fetcher", "_request")

    def __init__(self, fetcher: Fetcher, request: FetchRequest) -> None:
        self._fetcher = fetcher
        self._request = request
        self._call: FetchCall | None = None

    async def __aenter__(self) -> Fetched:
        if self._call is not None:
            raise RuntimeError("a fetch is sent once: call fetch() again")
        call = self._call = self._fetcher(self._request)
        try:
            return Fetched(call, await call.response())
        except BaseException:
            await call.aclose()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._call is not None
        await self._call.aclose(error if isinstance(error, Exception) else None)
