"""Responses to what a plugin fetches in a harness, without an upstream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from gateway_core.errors import UpstreamError
from gateway_core.hooks import FetchCall, FetchHead, FetchRequest
from gateway_core.messages import Headers, Response
from gateway_core.messages.body import BodySource
from gateway_core.messages.body_sources import source_of
from gateway_core.reasons import UNKNOWN_UPSTREAM

FetchScript: TypeAlias = Response | UpstreamError | Callable[[FetchRequest], Response]
"""What an upstream does: always the same, or what a function makes of the request; it may raise `UpstreamError`."""


class ScriptedFetches:
    """Gives scripted responses (a `Fetcher`)."""

    def __init__(self, scripts: Mapping[str, FetchScript]) -> None:
        """Take the script of each upstream by its name or URL; any other name is unknown."""
        self._scripts = scripts
        self.requests: list[FetchRequest] = []
        """What was fetched, in order; ``body`` is what an iterator gave."""

    def __call__(self, request: FetchRequest, /) -> FetchCall:
        return _ScriptedFetch(self, request)

    def respond(self, request: FetchRequest) -> Response:
        """Return the response of a script."""
        self.requests.append(request)
        script = self._scripts.get(request.name)
        if script is None:
            raise UpstreamError(f"there is no upstream {request.name!r}", status=503, reason=UNKNOWN_UPSTREAM)
        if isinstance(script, UpstreamError):
            raise script
        return script if isinstance(script, Response) else script(request)


class _ScriptedFetch:
    def __init__(self, scripts: ScriptedFetches, request: FetchRequest) -> None:
        self._scripts = scripts
        self._request = request
        self._source: BodySource | None = None
        self.trailers = Headers()

    async def response(self) -> FetchHead:
        body = self._request.body
        if not isinstance(body, bytes):
            body = b"".join([piece async for piece in body])
        response = self._scripts.respond(replace(self._request, body=body))
        self._source = source_of(response.body)
        return FetchHead(response.status, response.headers.copy())

    @property
    def is_idle(self) -> bool:
        return True

    async def read(self) -> bytes:
        return b"" if self._source is None else await self._source.read()

    async def aclose(self, error: Exception | None = None) -> None:
        if self._source is not None:
            await self._source.aclose(error)
