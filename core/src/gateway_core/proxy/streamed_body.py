"""What hooks do to the body of a message that streams: read it, replace it, put filters over it.

Nothing happens to the bytes until they are read: filters are noted, and made when the body begins. `take` ends this and
says what goes on: bytes if the body was read or replaced, otherwise a `BodySource`.
"""

from __future__ import annotations

from gateway_core.errors import BodySide, BodyTooLargeError
from gateway_core.messages import Headers
from gateway_core.messages.body import BodySource, FilteredBody, FilterFailed, FilterSpec, Replayed
from gateway_core.messages.body_sources import BytesSource
from gateway_core.tasks import spawn


class StreamedBody:
    """The body of one message while hooks decide over it."""

    __slots__ = (
        "_failed",
        "_is_filtered",
        "_replaced",
        "_side",
        "_source",
        "_specs",
        "_whole",
        "is_changed",
        "length",
        "set_length",
    )

    def __init__(
        self, source: BodySource, side: BodySide, filter_failed: FilterFailed, length: int | None = None
    ) -> None:
        """Change nothing yet.

        :param source: where the body comes from; may be cancelled while it is read.
        :param filter_failed: told of filters that fail.
        :param length: bytes, as the message's head says; None if it does not.
        """
        self.length = length
        self._source = source
        self._side: BodySide = side
        self._failed = filter_failed
        self._specs: list[FilterSpec] = []
        self._whole: bytes | None = None
        self._is_filtered = False
        self._replaced: list[BodySource] = []
        self.is_changed = False
        """Whether it may differ from what came: length and digests do not hold."""
        self.set_length: int | None = None
        """Bytes of the body that was set, unless there are filters behind it."""

    async def read_body(self, limit: int) -> bytes:
        """Read the body through the filters so far; what they make of it is the body from then on.

        :raises BodyTooLargeError: it is larger; it goes on from its first byte.
        """
        source, pieces, size = self._filtered(), [], 0
        try:
            while data := await source.read():
                pieces.append(data)
                size += len(data)
                if size > limit:
                    raise BodyTooLargeError(f"the body is larger than {limit} bytes", self._side)
        except BodyTooLargeError:
            self._source = Replayed(pieces, source)
            raise
        except BaseException as error:
            # Where a filter stood when it was cancelled is unknown: its body cannot go on.
            if self._is_filtered or isinstance(error, Exception):
                self._source = _Broken(source, error)
            else:
                self._source = Replayed(pieces, source)
            raise
        data = b"".join(pieces)
        whole = self._source = BytesSource(data)
        whole.trailers = source.trailers
        self._whole = data
        return data

    def set_body(self, data: bytes) -> None:
        """Put another body in its place; filters that were added before are not made."""
        self._replaced.append(self._source)
        self._source, self._whole = BytesSource(data), data
        self._specs.clear()
        self._is_filtered, self.is_changed = False, True
        self.set_length = len(data)

    def add_body_filter(self, spec: FilterSpec) -> bool:
        """Add a filter; there is a body."""
        self._specs.append(spec)
        if not spec.observe:
            self.is_changed, self.set_length = True, None
        return True

    def _filtered(self) -> BodySource:
        if not self._specs:
            return self._source
        specs, self._specs = self._specs, []
        self._source = FilteredBody(self._source, specs, self._failed)
        self._whole, self._is_filtered = None, True
        return self._source

    def take(self) -> bytes | BodySource:
        """Return what goes on; what was replaced is closed."""
        replaced, self._replaced = self._replaced, []
        for source in replaced:
            spawn(source.aclose(None), name="end of a replaced body")
        source = self._filtered()
        return source if self._whole is None else self._whole

    @property
    def trailers(self) -> Headers:
        """The fields behind the body, if it was read."""
        return self._source.trailers


class _Broken:
    """A body of which a part is lost: reading it raises the reason."""

    __slots__ = ("_error", "_source", "trailers")

    is_idle = False

    def __init__(self, source: BodySource, error: BaseException) -> None:
        self._source = source
        self._error = error if isinstance(error, Exception) else RuntimeError("reading the body was cancelled")
        self.trailers = Headers()

    async def read(self) -> bytes:
        raise self._error

    async def aclose(self, error: Exception | None) -> None:
        await self._source.aclose(error or self._error)
