from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_core.messages.body import BodySource, read_whole
from gateway_core.messages.body_sources import BodyTooShortError, BytesSource, ExactLength, source_of


class Iterated:
    """An asynchronous iterator that knows whether it was closed."""

    def __init__(self, *pieces: Any) -> None:
        self.pieces = list(pieces)
        self.closed = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self.pieces:
            raise StopAsyncIteration
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        self.closed += 1


async def whole(source: BodySource) -> bytes:
    found = await read_whole(source, 1 << 30, "response")
    assert isinstance(found, bytes)
    return found


async def test_bytes_files_and_iterators_are_bodies(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"x" * 600_000)
    iterator = Iterated(b"a", b"", bytearray(b"b"))

    assert await whole(source_of(b"abc")) == b"abc"
    assert await whole(source_of(b"")) == b""
    assert await whole(source_of(file)) == b"x" * 600_000
    assert await whole(source_of(iterator)) == b"ab"
    assert iterator.closed == 1


async def test_a_missing_file_is_an_error_of_the_first_read(tmp_path: Path) -> None:
    source = source_of(tmp_path / "gone")

    with pytest.raises(FileNotFoundError):
        await source.read()
    await source.aclose(None)


async def test_an_iterator_is_closed_on_every_end_once() -> None:
    failing, left = Iterated(b"a", ValueError("boom")), Iterated(b"a", b"b")
    source, other = source_of(failing), source_of(left)

    with pytest.raises(ValueError, match="boom"):
        await whole(source)
    await source.aclose(ValueError("boom"))
    await other.read()
    await other.aclose(ConnectionResetError())
    await other.aclose(None)

    assert (failing.closed, left.closed) == (1, 1)
    assert await other.read() == b""


async def test_an_iterator_gives_bytes() -> None:
    with pytest.raises(TypeError, match="give bytes"):
        await source_of(Iterated("text")).read()


async def test_an_iterator_without_aclose_ends_as_well() -> None:
    class Plain:
        def __aiter__(self) -> AsyncIterator[bytes]:
            return self

        async def __anext__(self) -> bytes:
            raise StopAsyncIteration

    assert await whole(source_of(Plain())) == b""


@pytest.mark.parametrize("pieces", [[b"abcd"], [b"ab", b"cd"], [b"abc", b"d"]])
async def test_what_is_beyond_the_length_is_dropped_reported_once_and_closed(pieces: list[bytes]) -> None:
    iterator, excess = Iterated(*pieces, b"more", b"still more"), []

    assert await whole(ExactLength(source_of(iterator), 4, lambda: excess.append(1))) == b"abcd"
    assert excess == [1]
    assert iterator.closed == 1


async def test_a_body_that_is_shorter_than_its_length_is_cut() -> None:
    source = ExactLength(BytesSource(b"abc"), 4)

    with pytest.raises(BodyTooShortError, match="3 bytes of 4"):
        await whole(source)


async def test_a_body_of_exactly_its_length_is_whole() -> None:
    assert await whole(ExactLength(BytesSource(b"abcd"), 4, lambda: pytest.fail("no excess"))) == b"abcd"
    assert await whole(ExactLength(BytesSource(b""), 0)) == b""
