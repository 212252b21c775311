"""Bodies that change as they pass.

A body is pulled: its sender reads from a `BodySource` and gets the next piece when it wants one, so a filter
never makes more than was asked for. `FilteredBody` is a chain of stages, one for each filter, each of which is a source
for the next:

    source -> stage of the first filter -> ... -> stage of the last one -> who sends it

A stage that has nothing more to give asks the one before it, at first without waiting (``pull(wait=False)``). If that
would have to wait, the stage has its filter `flush` what may go on now, and only then waits. So every filter flushes
before anything waits, the first one first, and no piece is held up by a slow sender (server-sent events).

`BodyFilter.finish` comes only at a complete end; `BodyFilter.close` comes once on every end. A filter that fails ends
the body; an observer that fails is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from gateway_core.errors import ESCAPES, BodySide, BodyTooLargeError
from gateway_core.messages.headers import Headers
from gateway_core.messages.hook_owner import HookOwner

Pieces: TypeAlias = bytes | Iterable[bytes]
Output: TypeAlias = Pieces | Awaitable[Pieces]
"""What a filter returns: a piece, several, or an awaitable of either.

Several are taken one by one as they can be sent, each in another turn of the event loop.
"""

DIGESTS: Final = ("Content-Digest", "Repr-Digest", "Digest", "Content-MD5")
"""Fields that are true of one body only (RFC 9530, RFC 3230, RFC 1864)."""


class BodyFilter:
    """Changes or observes a body as it passes; an object of it serves one body. Every method has a default."""

    def feed(self, data: bytes) -> Output:
        """Take the next piece, which is never empty, and return what goes on in its place; may be empty."""
        return data

    def flush(self) -> Output:
        """Return what may go on now: nothing more is there at once."""
        return b""

    def finish(self, trailers: Headers) -> Output:  # noqa: ARG002 - for subclasses
        """Return what is still to go on behind the last piece. Only at a complete end.

        :param trailers: fields behind the body, which may be changed; an observer gets a copy.
        """
        return b""

    def close(self, error: Exception | None) -> Awaitable[None] | None:  # noqa: ARG002 - for subclasses
        """Release what is held. Once, on every end.

        :param error: why the body did not reach its end; None if it did.
        """
        return None


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """A filter that is to be made when the body begins."""

    factory: Callable[[], BodyFilter]
    observe: bool = False
    """Whether it changes nothing, whatever it returns."""
    owner: HookOwner | None = None
    """The hook that added it, which its failures count for."""


class BodySource(Protocol):
    """Where a body comes from, piece by piece."""

    @property
    def is_idle(self) -> bool:
        """Whether the next piece is not there at once."""

    @property
    def trailers(self) -> Headers:
        """Fields behind the body; valid at its end."""

    async def read(self) -> bytes:
        """Return the next piece, or ``b""`` at the complete end. Raises when the body is cut."""

    async def aclose(self, error: Exception | None) -> None:
        """End it, before its end or behind it; safe to call twice.

        :param error: why it is ended before its end.
        """


FilterFailed: TypeAlias = Callable[[FilterSpec, BaseException], None]


def _ignore(_spec: FilterSpec, _error: BaseException) -> None:
    """Do nothing."""


class FilteredBody:
    """A body that goes through filters, in the order in which they were added; a `BodySource` itself."""

    def __init__(self, source: BodySource, specs: Sequence[FilterSpec], filter_failed: FilterFailed = _ignore) -> None:
        """Prepare; the filters are made with the first `read`.

        :param filter_failed: called with each filter that failed, also if it was an observer, or failed only to close.
        """
        self._source = source
        self._filter_failed = filter_failed
        self._closed = False
        self._trailers: Headers | None = None
        self._specs = specs
        self._stages: list[_Stage] = []
        self._last: _Stage | _SourceStage | None = None

    @property
    def is_idle(self) -> bool:
        return self._source.is_idle

    @property
    def trailers(self) -> Headers:
        """Those of the source, as filters left them so far."""
        if self._trailers is None:
            self._trailers = self._source.trailers
        return self._trailers

    async def read(self) -> bytes:
        """Return the next piece, or ``b""`` at the complete end.

        :raises Exception: what a filter or the source raises; the filters are closed by then.
        """
        try:
            last = self._last or self._make_filters()
            data = await last.pull(wait=True)
        except Exception as error:
            await self.aclose(error)
            raise
        assert data is not None, "who waits gets a piece or the end"
        if not data:
            await self.aclose(None)
        return data

    def _make_filters(self) -> _Stage | _SourceStage:
        before: _Stage | _SourceStage = _SourceStage(self._source)
        for spec in self._specs:
            try:
                made = spec.factory()
            except Exception as error:
                self.report(spec, error)
                if not spec.observe:
                    raise
                continue
            before = _Stage(self, before, made, spec)
            self._stages.append(before)
        self._last = before
        return before

    async def aclose(self, error: Exception | None) -> None:
        """Close the filters, then the source; what a filter raises here is reported, not raised."""
        if self._closed:
            return
        self._closed = True
        for stage in self._stages:
            await stage.close(error)
        await self._source.aclose(error)

    def report(self, spec: FilterSpec, error: BaseException) -> None:
        """Report a filter's failure, whether it ends the body or not."""
        self._filter_failed(spec, error)


class _SourceStage:
    """The beginning of a chain."""

    __slots__ = ("_source",)

    def __init__(self, source: BodySource) -> None:
        self._source = source

    async def pull(self, wait: bool) -> bytes | None:
        if not wait and self._source.is_idle:
            return None
        return await self._source.read()


class _Stage:
    """One filter, and what it gave that was not asked for yet."""

    __slots__ = (
        "_before", "_body", "_fed", "_filter", "_finished", "_gave_one", "_is_closed", "_observes", "_pieces", "_spec"
    )  # fmt: skip

    def __init__(
        self, body: FilteredBody, before: _Stage | _SourceStage, body_filter: BodyFilter, spec: FilterSpec
    ) -> None:
        self._body = body
        self._before = before
        self._filter = body_filter
        self._spec = spec
        self._observes = spec.observe
        self._pieces: Iterator[bytes] | None = None
        self._gave_one = False
        """Whether `_pieces` gave a piece."""
        self._fed = False
        """Whether anything was fed since the last flush."""
        self._finished = False
        self._is_closed = False

    async def pull(self, wait: bool) -> bytes | None:
        """Return the next piece, ``b""`` at the end, or None if that takes waiting and ``wait`` is false."""
        while True:
            if self._pieces is not None:
                if piece := self._next_piece(self._pieces):
                    if self._gave_one:
                        await asyncio.sleep(0)  # an iterator works for each piece: other tasks run between two of them
                    self._gave_one = True
                    return piece
                self._pieces, self._gave_one = None, False
            if self._finished:
                return b""
            data = await self._before.pull(wait=False)
            if data is None:
                if self._fed:
                    self._fed = False
                    self._pieces = await self._made(self._filter.flush)
                    continue
                if not wait:
                    return None
                data = await self._before.pull(wait=True)
                assert data is not None, "who waits gets a piece or the end"
            if data:
                self._fed = True
                self._pieces = await self._made(self._filter.feed, data)
            else:
                self._finished = True
                trailers = self._body.trailers
                self._pieces = await self._made(self._filter.finish, trailers.copy() if self._observes else trailers)

    async def _made(self, method: Callable[..., Output], *args: bytes | Headers) -> Iterator[bytes]:
        """Return what a method of the filter gives; of an observer, what it was fed."""
        if not self._observes:
            try:
                output = self._called(method, *args)
                return self._iterated(await output if isinstance(output, Awaitable) else output)
            except ESCAPES as error:
                raise self._escaped(error) from error
            except Exception as error:
                self._body.report(self._spec, error)
                raise
        if not self._is_closed:
            try:
                output = self._called(method, *args)
                if isinstance(output, Awaitable):
                    await output
            except (Exception, *ESCAPES) as error:  # noqa: BLE001 - a plugin's own code, which may not hold up the body
                self._body.report(self._spec, error)
                await self.close(error if isinstance(error, Exception) else None)
        return iter([each for each in args if isinstance(each, bytes)])

    def _next_piece(self, pieces: Iterator[bytes]) -> bytes:
        """Return the next piece that is not empty; ``b""`` if there is none."""
        try:
            for piece in pieces:
                if checked := self._checked(piece):
                    return checked
        except ESCAPES as error:
            raise self._escaped(error) from error
        except Exception as error:
            self._body.report(self._spec, error)
            raise
        return b""

    def _escaped(self, error: BaseException) -> RuntimeError:
        """Report what is meant to end a program, and return what is raised instead: it ends the body alone."""
        failure = RuntimeError(f"{self._name} raised {type(error).__name__}")
        self._body.report(self._spec, failure)
        return failure

    def _called(self, method: Callable[..., Output], *args: bytes | Headers) -> Output:
        try:
            return method(*args)
        except asyncio.CancelledError as error:  # of a plain call, in which nothing is cancelled
            raise RuntimeError(f"{self._name} raised CancelledError") from error

    def _iterated(self, output: object) -> Iterator[bytes]:
        if isinstance(output, bytes | bytearray | memoryview):
            return iter((bytes(output),))
        if isinstance(output, str) or not isinstance(output, Iterable):
            shown = repr(output)[:60]
            raise TypeError(f"{self._name} returned {shown}: return bytes, an iterable of bytes, or an awaitable")
        return iter(output)

    def _checked(self, piece: object) -> bytes:
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise TypeError(f"{self._name} gave {repr(piece)[:60]}: an iterable of a filter gives bytes")
        return bytes(piece)

    @property
    def _name(self) -> str:
        return f"the body filter {type(self._filter).__qualname__}"

    async def close(self, error: Exception | None) -> None:
        """Close the filter, once."""
        if self._is_closed:
            return
        self._is_closed = True
        pieces, self._pieces = self._pieces, None
        try:
            end = None if self._observes else getattr(pieces, "close", None)  # of a generator that is not exhausted
            if end is not None:
                end()
        except (Exception, *ESCAPES) as failure:  # noqa: BLE001 - a plugin's own code; the body has ended
            self._body.report(self._spec, failure)
        try:
            closing = self._filter.close(error)
            if isinstance(closing, Awaitable):
                await closing
        except (Exception, *ESCAPES) as failure:  # noqa: BLE001 - a plugin's own code; the body has ended
            self._body.report(self._spec, failure)


async def read_whole(source: BodySource, limit: int, side: BodySide) -> bytes | TooLarge:
    """Return a whole body, or what goes on with it from its first byte if it is larger than the limit.

    :raises Exception: the body is cut, or a filter fails.
    """
    pieces: list[bytes] = []
    size = 0
    while data := await source.read():
        pieces.append(data)
        size += len(data)
        if size > limit:
            return TooLarge(BodyTooLargeError(f"the body is larger than {limit} bytes", side), Replayed(pieces, source))
    return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A body that was read up to a limit."""

    error: BodyTooLargeError
    rest: Replayed


class Replayed:
    """A body some pieces of which were read already; a `BodySource` that begins with them."""

    __slots__ = ("_pieces", "_source")

    def __init__(self, pieces: list[bytes], source: BodySource) -> None:
        self._pieces = pieces[::-1]
        self._source = source

    @property
    def is_idle(self) -> bool:
        return not self._pieces and self._source.is_idle

    @property
    def trailers(self) -> Headers:
        return self._source.trailers

    async def read(self) -> bytes:
        return self._pieces.pop() if self._pieces else await self._source.read()

    async def aclose(self, error: Exception | None) -> None:
        self._pieces.clear()
        await self._source.aclose(error)


def remove_body_fields(headers: Headers) -> None:
    """Remove what is not true of a changed body: length and digests; a strong ETag becomes weak (RFC 9110 8.8.1)."""
    headers.remove("Content-Length")
    for name in DIGESTS:
        headers.remove(name)
    etag = headers.get("ETag")
    if etag is not None and etag.startswith('"'):
        headers["ETag"] = f"W/{etag}"
