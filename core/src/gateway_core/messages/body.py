"""Bodies that change as they pass."""

from __future__ import annotations

from gateway_core.messages.headers import Headers


class BodyFilter:
    """Changes or observes a body piece by piece, as it passes; an object of it serves one message."""

    def feed(self, data: bytes) -> bytes:
        """Take the next piece, which is never empty, and return what goes on in its place; may be empty."""
        return data

    def finish(self, trailers: Headers) -> bytes:  # noqa: ARG002 - for subclasses
        """Return what is still to go on after the last piece; called only at a complete end."""
        return b""
