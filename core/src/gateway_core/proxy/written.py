"""What aiohttp gets for a response: the exchange has written the answer by then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web


class Written:
    """Stands for an answer that is on the wire already; what aiohttp asks of a response."""

    __slots__ = ("_data", "_linger", "keep_alive")

    def __init__(
        self, keep_alive: bool, data: bytes = b"", linger: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.keep_alive = keep_alive
        self._data = data
        self._linger = linger

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write what is still to be written."""
        transport = request.transport
        if self._data and transport is not None:
            transport.write(self._data)

    async def write_eof(self) -> None:
        """Wait for the client to have read the answer if it is a last one that it may not expect."""
        if self._linger is not None:
            await self._linger()
