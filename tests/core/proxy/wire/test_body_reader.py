"""Where a body ends, however its bytes are cut."""

from __future__ import annotations

import pytest
from gateway_core.proxy.wire.body_reader import CHUNKS_PER_STEP, BodyReader
from gateway_core.proxy.wire.chunks import BadChunkError
from hypothesis import given
from hypothesis import strategies as st

CHUNKED = b"3;a=b\r\nabc\r\n1\r\nd\r\n0\r\nX-T: 1\r\nHost: evil\r\n\r\n"
BEHIND = b"GET / HTTP/1.1"


def read_all(reader: BodyReader, parts: list[bytes]) -> tuple[bytes, bytes]:
    """Return the payload, and what is behind the body."""
    payload, rest = b"", b""
    for part in parts:
        position = 0
        while not reader.is_complete and position < len(part):
            piece, position = reader.take(part, position)
            payload += piece
        rest += part[position:]
    return payload, rest


@given(places=st.lists(st.integers(0, 100), max_size=8), chunked=st.booleans())
def test_what_is_behind_a_body_is_not_touched(places: list[int], chunked: bool) -> None:
    reader = BodyReader(-1 if chunked else 4)
    data = (CHUNKED if chunked else b"abcd") + BEHIND
    bounds = sorted({place % (len(data) + 1) for place in places})

    parts = [data[start:end] for start, end in zip([0, *bounds], [*bounds, len(data)], strict=True)]

    assert read_all(reader, parts) == (b"abcd", BEHIND)
    assert reader.is_complete
    assert reader.trailers == (b"\r\nX-T: 1" if chunked else b"")


def test_many_small_chunks_are_read_in_steps() -> None:
    reader = BodyReader(-1)
    data = b"1\r\na\r\n" * (CHUNKS_PER_STEP + 1)

    piece, position = reader.take(data, 0)

    assert piece == b"a" * CHUNKS_PER_STEP
    assert reader.take(data, position) == (b"a", len(data))
    assert reader.is_large


@pytest.mark.parametrize("data", [b"x\r\n", b"0x1\r\na\r\n", b"1\r\nab", b"0\r\nA b\r\n\r\n"])
def test_what_is_no_body_in_chunks_is_an_error(data: bytes) -> None:
    with pytest.raises(BadChunkError):
        BodyReader(-1).take(data, 0)
