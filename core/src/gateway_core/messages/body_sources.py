"""Where bodies of a plugin's own responses come from: bytes, files and iterators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import IO, Final, TypeAlias

from gateway_core.errors import ClientGoneError, GatewayError
from gateway_core.messages.body import BodySource
from gateway_core.messages.headers import Headers
from gateway_core.messages.hook_owner import mark_counted

Body: TypeAlias = bytes | Path | AsyncIterator[bytes]

_PIECE: Final = 256 * 1024
"""Bytes of a file that are read at once."""


class BodyTooShortError(GatewayError):
    """A body ended before its Content-Length."""


class BytesSource:
    """A body that is there."""

    __slots__ = ("_data", "trailers")

    is_idle = False

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.trailers: Headers = Headers()

    async def read(self) -> bytes:
        data, self._data = self._data, b""
        return data

    async def aclose(self, error: Exception | None) -> None:  # noqa: ARG002 - a BodySource
        self._data = b""


class IteratorSource:
    """A body that an asynchronous iterator gives. Each piece may go on at once."""

    __slots__ = ("_iterator", "trailers")

    is_idle = True

    def __init__(self, iterator: AsyncIterator[bytes]) -> None:
        self._iterator: AsyncIterator[bytes] | None = iterator
        self.trailers: Headers = Headers()

    async def read(self) -> bytes:
        iterator = self._iterator
        if iterator is None:
            return b""
        async for piece in iterator:
            if not isinstance(piece, bytes | bytearray | memoryview):
                raise TypeError(f"a response's iterator gave {repr(piece)[:60]}: give bytes")
            if piece:
                return bytes(piece)
        await self.aclose(None)
        return b""

    async def aclose(self, error: Exception | None) -> None:
        iterator, self._iterator = self._iterator, None
        if isinstance(iterator, SourceIterator):
            await iterator.source.aclose(error or ClientGoneError("the body was not sent to its end"))
            return
        end = getattr(iterator, "aclose", None)
        if end is not None:
            await end()


class SourceIterator:
    """A body that is read on from where a source stands, as the iterator that `Response.body` may be."""

    __slots__ = ("source",)

    def __init__(self, source: BodySource) -> None:
        self.source = source

    def __aiter__(self) -> SourceIterator:
        return self

    async def __anext__(self) -> bytes:
        data = await self.source.read()
        if not data:
            raise StopAsyncIteration
        return data


class BrokenBody:
    """A body of which a part is lost: reading it raises the reason."""

    __slots__ = ("_error", "_source", "trailers")

    is_idle = False

    def __init__(self, source: BodySource, error: BaseException) -> None:
        self._source = source
        if not isinstance(error, Exception):
            error = RuntimeError("reading the body was cancelled")
            mark_counted(error)  # that was its reader's end, and no failure of who made the body
        self._error = error
        self.trailers = Headers()

    async def read(self) -> bytes:
        raise self._error

    async def aclose(self, error: Exception | None) -> None:
        await self._source.aclose(error or self._error)


class SourceWrapper:
    """A body that is read from another source; the base of those that do something beside."""

    __slots__ = ("_source",)

    def __init__(self, source: BodySource) -> None:
        self._source = source

    @property
    def is_idle(self) -> bool:
        return self._source.is_idle

    @property
    def trailers(self) -> Headers:
        return self._source.trailers

    async def read(self) -> bytes:
        return await self._source.read()

    async def aclose(self, error: Exception | None) -> None:
        await self._source.aclose(error)


class ClosingBehind(SourceWrapper):
    """A body that may read from others, which are closed once it is."""

    __slots__ = ("_others",)

    def __init__(self, source: BodySource, others: Sequence[AsyncIterator[bytes]]) -> None:
        super().__init__(source)
        self._others = [source_of(each) for each in others]

    async def aclose(self, error: Exception | None) -> None:
        async with AsyncExitStack() as stack:  # each is closed, whatever the others raise
            for each in self._others:
                stack.push_async_callback(each.aclose, error)
            await super().aclose(error)


class PathSource:
    """A file, read in a thread. A missing one is an error of the first `read`."""

    __slots__ = ("_file", "_path", "trailers")

    is_idle = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self.trailers: Headers = Headers()

    async def read(self) -> bytes:
        if self._file is None:
            self._file = await asyncio.to_thread(self._path.open, "rb")
        data = b"" if self._file.closed else await asyncio.to_thread(self._file.read, _PIECE)
        if not data:
            await self.aclose(None)
        return data

    async def aclose(self, error: Exception | None) -> None:  # noqa: ARG002 - a BodySource
        if self._file is not None and not self._file.closed:
            await asyncio.to_thread(self._file.close)


class ExactLength:
    """Holds a body to its Content-Length: what is beyond is dropped, and a body that is shorter is cut."""

    __slots__ = ("_left", "_length", "_on_excess", "_source", "trailers")

    def __init__(self, source: BodySource, length: int, on_excess: Callable[[], None] = lambda: None) -> None:
        """Wrap a source.

        :param on_excess: called once if there is more than that.
        """
        self._source = source
        self._left = self._length = length
        self._on_excess = on_excess
        self.trailers: Headers = Headers()

    @property
    def is_idle(self) -> bool:
        return self._source.is_idle

    async def read(self) -> bytes:
        data = await self._source.read()
        if self._left and not data:
            raise BodyTooShortError(f"the body has {self._length - self._left} bytes of {self._length}")
        if len(data) > self._left:
            self._on_excess()
            self._on_excess = _nothing
            data = data[: self._left]
            await self._source.aclose(None)
        self._left -= len(data)
        return data

    async def aclose(self, error: Exception | None) -> None:
        await self._source.aclose(error)


def _nothing() -> None:
    """Do nothing."""


def source_of(body: Body) -> BodySource:
    """Return what reads a response's body."""
    if isinstance(body, bytes):
        return BytesSource(body)
    return PathSource(body) if isinstance(body, Path) else IteratorSource(body)
