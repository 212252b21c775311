"""Chunked bodies, however their bytes are cut."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from gateway_core.proxy.wire.bodies import (
    CHUNKS_PER_STEP,
    BadChunkError,
    BodyReader,
    ChunkDecoder,
    encode_chunk,
    last_chunk,
    only_chunk,
)
from gateway_core.proxy.wire.repairs import Leniency
from hypothesis import given
from hypothesis import strategies as st

PIECES = st.lists(st.binary(min_size=1, max_size=20), max_size=6)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({place % (len(data) + 1) for place in places})
    return [data[start:end] for start, end in zip([0, *bounds], [*bounds, len(data)], strict=True)]


@given(PIECES, st.lists(st.integers(0, 1000), max_size=12), st.binary(max_size=5))
def test_the_payload_comes_out_whole_wherever_the_bytes_are_cut(
    pieces: list[bytes], places: list[int], behind: bytes
) -> None:
    decoder, payload, rest = ChunkDecoder(), b"", b""

    for part in cut(b"".join(map(encode_chunk, pieces)) + b"0\r\n\r\n" + behind, places):
        if decoder.done:
            rest += part
        else:
            payload += decoder.feed(part)
            rest += decoder.rest

    assert decoder.done
    assert payload == b"".join(pieces)
    assert rest == behind


def feed_all(data: bytes, size: int) -> None:
    decoder = ChunkDecoder()
    for start in range(0, len(data), size):
        decoder.feed(data[start : start + size])


REFUSED = {
    "minus": b"-1\r\n",
    "plus": b"+1\r\na\r\n",
    "prefix": b"0x1\r\na\r\n",
    "space before": b" 1\r\na\r\n",
    "space behind": b"1 \r\na\r\n",
    "empty": b"\r\n",
    "not hexadecimal": b"g\r\n",
    "overflow": b"1" + b"0" * 16 + b"\r\n",
    "bare lf behind the size": b"1\na\r\n0\r\n\r\n",
    "bare lf behind the chunk": b"1\r\na\n0\r\n\r\n",
    "no end of the chunk": b"1\r\nab\r\n0\r\n\r\n",
    "nul in an extension": b"1;a=\0\r\na\r\n",
    "lf in an extension": b"1;a\nb\r\na\r\n",
    "bad trailer": b"0\r\nA : b\r\n\r\n",
    "bare lf ends the trailer": b"0\r\n\n",
    "bare lf in the trailer": b"0\r\nA: b\n",
    "endless extension": b"1;" + b"a" * 5000,
    "endless trailer": b"0\r\n" + b"A: b\r\n" * 4000,
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=list(REFUSED))
@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_what_is_no_chunked_body_is_refused(data: bytes, size: int) -> None:
    with pytest.raises(BadChunkError):
        feed_all(data, size)


def test_extensions_end_here() -> None:
    decoder = ChunkDecoder()

    assert decoder.feed(b'3 \t; a="b;c"\r\nabc\r\n0;x\r\n\r\n') == b"abc"
    assert decoder.done


@pytest.mark.parametrize("size", [b"1", b"0a", b"Ff", b"0", b"100", b"", b"g"])
@pytest.mark.parametrize("semicolon", [b";", b" ;", b"\t ;", b"", b" "])
@pytest.mark.parametrize("extension", [b"", b"x=y;z", b"\xe4 ", b"\0", b"a\x7f", b"a\rb", b"a\nb", b"y" * 4000])
def test_a_small_chunk_with_an_extension_is_read_like_one_that_comes_byte_by_byte(
    size: bytes, semicolon: bytes, extension: bytes
) -> None:
    payload = b"x" * (1 if size == b"g" else int(size or b"0", 16))
    data = b"1\r\na\r\n" + size + semicolon + extension + b"\r\n" + payload + b"\r\n0\r\n\r\n"

    def outcome(step: int) -> tuple[bytes, bool] | None:
        decoder, found = ChunkDecoder(), b""
        try:
            for start in range(0, len(data), step):
                found += decoder.feed(data[start : start + step])
        except BadChunkError:
            return None
        return found, decoder.done

    assert outcome(len(data)) == outcome(1)


def test_trailer_fields_go_on_but_for_those_that_must_not_be_trailers() -> None:
    decoder = ChunkDecoder()

    decoder.feed(b"0\r\nX-Sum: 1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: a\r\nB: 2\r\n\r\n")

    assert decoder.trailer == b"\r\nX-Sum: 1\r\nB: 2"


def test_empty_data_is_no_chunk_because_that_would_end_the_body() -> None:
    assert encode_chunk(b"") == b""


NEARLY_ONE_CHUNK = st.builds(
    lambda digits, ending, body, tail: digits + ending + body + tail,
    st.sampled_from([b"3", b"03", b"0", b"4", b"2", b"-3", b"+3", b"3 ", b" 3", b"0x3", b"3;a", b"", b"0" * 16 + b"3"]),
    st.sampled_from([b"\r\n", b"\n", b"\r", b"\r\n\r\n"]),
    st.sampled_from([b"abc", b"ab", b"\r\n0", b"a\r\n", b""]),
    st.sampled_from(
        [b"\r\n0\r\n\r\n", b"\r\n0\r\nA: b\r\n\r\n", b"\r\n1\r\nx\r\n0\r\n\r\n", b"0\r\n\r\n", b"\r\n0\r\n\r\nx"]
    ),
)


@given(NEARLY_ONE_CHUNK | PIECES.map(lambda pieces: b"".join(map(encode_chunk, pieces)) + b"0\r\n\r\n"))
def test_what_is_taken_for_an_only_chunk_is_what_the_decoder_makes_of_it(data: bytes) -> None:
    payload = only_chunk(data)

    decoder = ChunkDecoder()
    try:
        decoded = decoder.feed(data)
    except BadChunkError:
        assert payload is None
        return
    if payload is not None:
        assert (decoded, decoder.done, decoder.rest, decoder.trailer) == (payload, True, b"", b"")


@given(st.lists(st.binary(min_size=1), min_size=1, max_size=4), st.booleans())
def test_a_chunk_that_comes_alone_leaves_the_decoder_where_any_other_does(pieces: list[bytes], is_cut: bool) -> None:
    decoder = ChunkDecoder()

    parts = []
    for piece in pieces:
        data = encode_chunk(piece)
        parts.append(decoder.feed(data[:-1]) + decoder.feed(data[-1:]) if is_cut else decoder.feed(data))

    assert parts == pieces
    assert decoder.feed(b"0\r\n\r\nnext") == b""
    assert (decoder.done, decoder.rest) == (True, b"next")


@given(st.binary(min_size=1))
def test_one_chunk_to_its_end_is_an_only_chunk(data: bytes) -> None:
    assert only_chunk(encode_chunk(data) + b"0\r\n\r\n") == data


def decoded(pieces: Iterable[bytes]) -> tuple[bytes, bool, bytes] | None:
    """Return payload, whether it is complete, and what is behind it; None if the pieces are no chunked body."""
    decoder, payload = ChunkDecoder(), b""
    try:
        for piece in pieces:
            if decoder.done:
                decoder.rest += piece
            else:
                payload += decoder.feed(piece)
    except BadChunkError:
        return None
    return payload, decoder.done, decoder.rest


SMALL_CHUNKS = st.lists(
    st.sampled_from(
        [
            b"1\r\n",
            b"a\r\n",
            b"0A\r\n",
            b"aB\r\n",
            b"00\r\n",
            b"0\r\n",
            b"2;x\r\n",
            b"+1\r\n",
            b" 1\r\n",
            b"h",
            b"hi",
            b"\r",
            b"\n",
            b"\r\n",
            b"1\r\nh\r\n",
            b"2\r\n\r\n\r\n",
            b"0123456789",
            b"A\r\n0123456789\r\n",
        ]
    ),
    max_size=12,
).map(b"".join)


@given(SMALL_CHUNKS)
def test_many_small_chunks_at_once_mean_what_they_mean_byte_by_byte(data: bytes) -> None:
    assert decoded([data]) == decoded(data[at : at + 1] for at in range(len(data)))


def test_the_end_of_a_body_carries_its_trailers() -> None:
    assert last_chunk(b"") == b"0\r\n\r\n"
    assert last_chunk(b"\r\nA: 1\r\nB: 2") == b"0\r\nA: 1\r\nB: 2\r\n\r\n"


@given(PIECES, st.lists(st.integers(0, 1000), max_size=12), st.integers(1, 4))
def test_chunks_can_be_taken_a_few_at_a_time(pieces: list[bytes], places: list[int], most: int) -> None:
    decoder, payload = ChunkDecoder(), b""

    for part in cut(b"".join(map(encode_chunk, pieces)) + b"0\r\n\r\n", places):
        position = 0
        while position < len(part):
            piece, position = decoder.take(part, position, most)
            assert len(piece) <= (most + 1) * 20  # the rest of one that was begun comes first
            payload += piece

    assert decoder.done
    assert payload == b"".join(pieces)


LOOSE = st.lists(
    st.sampled_from([b"2", b" ", b"\t", b";x", b"\r\n", b"\n", b"ok", b"0", b"A: b", b"A : b", b"A", b" c", b"\r"]),
    max_size=16,
).map(b"".join)


@given(LOOSE, st.sampled_from(Leniency), st.lists(st.integers(0, 1000), max_size=8))
def test_a_lenient_decoder_does_not_care_where_bytes_are_cut(
    data: bytes, leniency: Leniency, places: list[int]
) -> None:
    results: list[tuple[bytes, bool, bytes, bytes, bool] | None] = []
    for parts in ([data], cut(data, places)):
        decoder, payload, rest = ChunkDecoder(leniency), b"", b""
        try:
            for part in parts:
                if decoder.done:
                    rest += part
                else:
                    payload += decoder.feed(part)
                    rest += decoder.rest
            results.append((payload, decoder.done, rest, decoder.trailer, decoder.is_repaired and decoder.done))
        except BadChunkError:
            results.append(None)

    assert results[0] == results[1]


@given(LOOSE)
def test_what_a_strict_decoder_takes_no_lenient_one_reads_otherwise(data: bytes) -> None:
    strict = ChunkDecoder()
    try:
        payload = strict.feed(data)
    except BadChunkError:
        return
    if strict.done:
        for leniency in (Leniency.REPAIR, Leniency.TOLERANT):
            lenient = ChunkDecoder(leniency)
            assert (lenient.feed(data), lenient.rest, lenient.trailer) == (payload, strict.rest, strict.trailer)
            assert not lenient.is_repaired


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
