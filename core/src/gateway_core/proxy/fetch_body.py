"""What attempt hooks can ask of a request that a plugin sends: to read its body, if that is there."""

from __future__ import annotations

from collections.abc import AsyncIterator

from gateway_core.errors import BodyTooLargeError
from gateway_core.messages import Request, Response
from gateway_core.messages.body import FilterSpec


class FetchBody:
    """The `RequestOperations` of a fetch."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes | AsyncIterator[bytes]) -> None:
        self._body = body

    async def read_body(self, limit: int) -> bytes:
        """Return the body.

        :raises RuntimeError: it is streamed: it is made while it is sent.
        """
        if not isinstance(self._body, bytes):
            raise RuntimeError("the body of this fetch is an iterator, which cannot be read before it is sent")
        if len(self._body) > limit:
            raise BodyTooLargeError(f"the body is larger than {limit} bytes")
        return self._body

    def set_body(self, data: bytes) -> None:  # noqa: ARG002 - as requests have it
        raise RuntimeError("the body of a fetch is what its plugin sends")

    def add_body_filter(self, spec: FilterSpec) -> bool:  # noqa: ARG002 - as requests have it
        raise RuntimeError("the body of a fetch is what its plugin sends")

    async def forward(self) -> Response:
        raise RuntimeError("a fetch cannot be forwarded: it is sent already")

    def detach(self) -> Request:
        raise RuntimeError("a fetch cannot be detached")

    def abort(self, reason: str) -> None:
        """Do nothing: the hook that fetches ends it."""
