"""The operations of a request that is not in progress."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway_core.messages import Request, Response
from gateway_core.messages.body import FilterSpec


class Read:
    """The operations of a request whose body is given by a function."""

    def __init__(self, read: Callable[[int], Awaitable[bytes]]) -> None:
        self._read = read

    @property
    def has_body(self) -> bool:
        return True

    async def read_body(self, limit: int) -> bytes:
        return await self._read(limit)

    def read_body_nowait(self, limit: int) -> bytes | None:
        raise AssertionError

    def set_body(self, data: bytes) -> None:
        raise AssertionError

    def add_body_filter(self, spec: FilterSpec) -> bool:
        raise AssertionError

    async def forward(self) -> Response:
        raise AssertionError

    def detach(self) -> Request:
        raise AssertionError

    def abort(self, reason: str) -> None:
        raise AssertionError
