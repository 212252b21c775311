from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest
from gateway_core.errors import BodyTooLargeError
from gateway_core.messages import BodyFilter, Headers
from gateway_core.messages.body import (
    FilteredBody,
    FilterSpec,
    Output,
    TooLarge,
    read_whole,
    remove_body_fields,
)
from gateway_core.tasks import spawn
from hypothesis import given
from hypothesis import strategies as st

PIECES = st.lists(st.binary(min_size=1, max_size=20), max_size=8)


class Source:
    """A body in pieces; where there is None, the next piece is not there at once."""

    def __init__(self, pieces: list[bytes | None], trailers: dict[str, str] | None = None, cut: bool = False) -> None:
        self.pieces = list(pieces)
        self.trailers = Headers(trailers or {})
        self.cut = cut
        self.closed: list[Exception | None] = []

    @property
    def is_idle(self) -> bool:
        return bool(self.pieces) and self.pieces[0] is None

    async def read(self) -> bytes:
        while self.pieces:
            piece = self.pieces.pop(0)
            if piece is not None:
                return piece
            await asyncio.sleep(0)
        if self.cut:
            raise ConnectionResetError("cut")
        return b""

    async def aclose(self, error: Exception | None) -> None:
        self.closed.append(error)


class Logged(BodyFilter):
    """Doubles each byte, in some form of output, and keeps what happened."""

    def __init__(self, form: str = "bytes", fails_at: int = -1) -> None:
        self.form = form
        self.fails_at = fails_at
        self.calls: list[Any] = []

    def out(self, data: bytes) -> Output:
        if len(self.calls) == self.fails_at + 1 and self.fails_at >= 0:
            raise ValueError("boom")
        if self.form == "bytes":
            return data
        if self.form == "iterable":
            return (bytes([each]) for each in data)
        return self.later(data)

    async def later(self, data: bytes) -> bytes | list[bytes]:
        await asyncio.sleep(0)
        return [data[:1], b"", data[1:]] if self.form == "awaitable of iterable" else data

    def feed(self, data: bytes) -> Output:
        self.calls.append(("feed", data))
        return self.out(bytes(byte for each in data for byte in (each, each)))

    def flush(self) -> Output:
        self.calls.append("flush")
        return self.out(b"")

    def finish(self, trailers: Headers) -> Output:
        self.calls.append("finish")
        trailers["X-Doubled"] = "1"
        return self.out(b"!")

    def close(self, error: Exception | None) -> Awaitable[None] | None:
        self.calls.append(("close", error))
        return None


FORMS = ["bytes", "iterable", "awaitable", "awaitable of iterable"]


def doubled(data: bytes) -> bytes:
    return bytes(byte for each in data for byte in (each, each))


async def whole(body: FilteredBody) -> bytes:
    pieces = []
    while piece := await body.read():
        pieces.append(piece)
    return b"".join(pieces)


@given(PIECES, st.lists(st.sampled_from(FORMS), max_size=3))
def test_the_result_does_not_depend_on_how_the_input_is_cut_or_the_output_is_given(
    pieces: list[bytes], forms: list[str]
) -> None:
    made = [Logged(form) for form in forms]
    source = Source([*pieces])

    got = asyncio.run(whole(FilteredBody(source, [FilterSpec(lambda each=each: each) for each in made])))  # type: ignore[misc]

    expected = b"".join(pieces)
    for _ in forms:
        expected = doubled(expected) + b"!"
    assert got == expected
    assert all(each.calls[-1] == ("close", None) and each.calls.count("finish") == 1 for each in made)
    assert source.closed == [None]


@given(PIECES, st.integers(0, 12), st.sampled_from(FORMS))
def test_a_filter_that_fails_anywhere_ends_the_body_and_closes_all(pieces: list[bytes], at: int, form: str) -> None:
    first, failing, last = Logged(), Logged(form, at), Logged()
    source = Source([*pieces])
    body = FilteredBody(source, [FilterSpec(lambda: first), FilterSpec(lambda: failing), FilterSpec(lambda: last)])

    error = None
    try:
        got = asyncio.run(whole(body))
    except ValueError as failure:
        error = failure

    if error is None:
        assert got.endswith(b"!")
    else:
        assert ("close", error) == failing.calls[-1] == first.calls[-1] == last.calls[-1]
        assert "finish" not in last.calls
    assert source.closed == [error]
    for each in (first, failing, last):
        assert [call for call in each.calls if call[0] == "close"] == each.calls[-1:]


@given(PIECES)
def test_a_body_that_is_cut_has_no_finish(pieces: list[bytes]) -> None:
    made = Logged()
    body = FilteredBody(Source([*pieces], cut=True), [FilterSpec(lambda: made)])

    with pytest.raises(ConnectionResetError) as caught:
        asyncio.run(whole(body))

    assert "finish" not in made.calls
    assert made.calls[-1] == ("close", caught.value)


async def test_every_filter_flushes_before_anything_waits() -> None:
    class Holding(BodyFilter):
        def __init__(self) -> None:
            self.held = b""

        def feed(self, data: bytes) -> bytes:
            self.held += data
            return b""

        def flush(self) -> bytes:
            held, self.held = self.held, b""
            return held

        def finish(self, trailers: Headers) -> bytes:
            return self.flush()

    body = FilteredBody(Source([b"a", b"b", None, b"c", None]), [FilterSpec(Holding), FilterSpec(Holding)])

    assert [await body.read(), await body.read(), await body.read()] == [b"ab", b"c", b""]


async def test_an_iterable_is_taken_piece_by_piece_and_closed_when_nobody_wants_more() -> None:
    events: list[str] = []

    class Bomb(BodyFilter):
        def feed(self, data: bytes) -> Iterator[bytes]:
            try:
                for number in range(1_000_000):
                    events.append(f"made {number}")
                    yield data * 1000
            finally:
                events.append("generator closed")

    body = FilteredBody(Source([b"x"]), [FilterSpec(Bomb)])
    await body.read()
    await body.read()
    assert events == ["made 0", "made 1"]

    await body.aclose(ConnectionResetError("the client left"))
    assert events[-1] == "generator closed"


async def test_other_tasks_run_between_the_pieces_of_an_iterable() -> None:
    turns = 0

    class Working(BodyFilter):
        def feed(self, data: bytes) -> Iterator[bytes]:
            for _ in range(4):
                yield b"%d" % turns

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = spawn(count(), name="counting turns")
    body = FilteredBody(Source([b"x"]), [FilterSpec(Working)])
    seen = [await body.read() for _ in range(4)]
    counting.cancel()

    assert seen == [b"0", b"0", b"1", b"2"]


async def test_a_compressor_flushes_and_finishes() -> None:
    class Deflate(BodyFilter):
        def __init__(self) -> None:
            self.deflate = zlib.compressobj()

        def feed(self, data: bytes) -> bytes:
            return self.deflate.compress(data)

        def flush(self) -> bytes:
            return self.deflate.flush(zlib.Z_SYNC_FLUSH)

        def finish(self, trailers: Headers) -> bytes:
            return self.deflate.flush()

    body = FilteredBody(Source([b"event 1\n", None, b"event 2\n"]), [FilterSpec(Deflate)])
    inflate = zlib.decompressobj()

    # Each piece that a filter makes may go on alone: zlib gives its header first.
    seen = b""
    while b"event 1\n" not in seen:
        seen += inflate.decompress(await body.read())
    assert seen == b"event 1\n"
    while data := await body.read():
        seen += inflate.decompress(data)
    assert seen == b"event 1\nevent 2\n"
    assert inflate.eof


async def test_trailers_may_be_changed_and_go_from_filter_to_filter() -> None:
    class Sees(BodyFilter):
        def finish(self, trailers: Headers) -> bytes:
            trailers["X-Seen"] = trailers["x-doubled"]
            return b""

    class Meddles(BodyFilter):
        def finish(self, trailers: Headers) -> bytes:
            trailers["X-Observer"] = "1"
            return b"ignored"

    source = Source([b"a"], {"X-T": "1"})
    body = FilteredBody(source, [FilterSpec(Logged), FilterSpec(Meddles, observe=True), FilterSpec(Sees)])

    assert await whole(body) == b"aa!"
    assert body.trailers.items() == [("X-T", "1"), ("X-Doubled", "1"), ("X-Seen", "1")]


@pytest.mark.parametrize("fails_at", [-1, 0, 1, 2])
@pytest.mark.parametrize("form", FORMS)
async def test_an_observer_changes_nothing_and_is_dropped_when_it_fails(form: str, fails_at: int) -> None:
    observer, failures = Logged(form, fails_at), []
    body = FilteredBody(
        Source([b"a", b"b"]), [FilterSpec(lambda: observer, observe=True)], lambda _, error: failures.append(error)
    )

    assert await whole(body) == b"ab"
    assert len(failures) == (fails_at >= 0)
    assert [call for call in observer.calls if call[0] == "close"] == [("close", failures[0] if failures else None)]
    if fails_at == 0:
        assert ("feed", b"b") not in observer.calls


@pytest.mark.parametrize("output", [None, "text", 7, ["text"], [None]])
async def test_what_is_no_bytes_is_an_error_that_names_the_filter(output: Any) -> None:
    class Odd(BodyFilter):
        def feed(self, data: bytes) -> Any:
            return output

    with pytest.raises(TypeError, match=r"the body filter .*Odd "):
        await whole(FilteredBody(Source([b"a"]), [FilterSpec(Odd)]))


async def test_a_factory_that_fails_closes_the_filters_that_were_made() -> None:
    def fail() -> BodyFilter:
        raise ValueError("boom")

    made, source = Logged(), Source([b"a"])
    with pytest.raises(ValueError, match="boom") as caught:
        await FilteredBody(source, [FilterSpec(lambda: made), FilterSpec(fail)]).read()

    assert made.calls == [("close", caught.value)]
    assert source.closed == [caught.value]


@pytest.mark.parametrize("escape", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
async def test_what_is_meant_to_end_a_program_ends_only_the_body(escape: type[BaseException]) -> None:
    class Exits(BodyFilter):
        def feed(self, data: bytes) -> bytes:
            raise escape

        def close(self, error: Exception | None) -> None:
            raise SystemExit

    failures: list[type[BaseException]] = []
    report = lambda _, error: failures.append(type(error))  # noqa: E731 - it is passed on twice

    with pytest.raises(RuntimeError, match=f"raised {escape.__name__}"):
        await FilteredBody(Source([b"a"]), [FilterSpec(Exits)], report).read()
    assert await FilteredBody(Source([b"a"]), [FilterSpec(Exits, observe=True)], report).read() == b"a"
    assert len(failures) == 4  # of each the failure itself, and to close


async def test_a_generator_that_fails_to_close_does_not_keep_its_filter_open() -> None:
    def pieces() -> Iterator[bytes]:
        try:
            while True:
                yield b"a"
        finally:
            raise ValueError("clumsy")

    class Generates(Logged):
        def feed(self, data: bytes) -> Iterator[bytes]:
            return pieces()

    failures: list[str] = []
    made = Generates()
    body = FilteredBody(Source([b"a"]), [FilterSpec(lambda: made)], lambda _, error: failures.append(str(error)))

    assert await body.read() == b"a"
    await body.aclose(None)

    assert failures == ["clumsy"]
    assert made.calls[-1] == ("close", None)


async def test_a_failure_to_close_is_reported_and_ends_nothing() -> None:
    class Clumsy(BodyFilter):
        async def close(self, error: Exception | None) -> None:
            raise ValueError("clumsy")

    failures: list[str] = []
    last = Logged()
    body = FilteredBody(
        Source([b"a"]), [FilterSpec(Clumsy), FilterSpec(lambda: last)], lambda _, error: failures.append(str(error))
    )

    assert await whole(body) == b"aa!"
    assert failures == ["clumsy"]
    assert last.calls[-1] == ("close", None)


@given(PIECES, st.integers(0, 60))
def test_a_body_over_the_limit_goes_on_from_its_first_byte(pieces: list[bytes], limit: int) -> None:
    async def run() -> None:
        found = await read_whole(Source([*pieces]), limit, "request")
        if isinstance(found, TooLarge):
            assert len(expected) > limit
            assert isinstance(found.error, BodyTooLargeError)
            assert await read_whole(found.rest, 10_000, "request") == expected
        else:
            assert found == expected
            assert len(expected) <= limit

    expected = b"".join(pieces)
    asyncio.run(run())


def test_what_is_true_of_the_old_body_alone_is_removed() -> None:
    names = ["Content-Length", "Content-Digest", "Repr-Digest", "Digest", "Content-MD5"]
    headers = Headers([*((name, "1") for name in names), ("ETag", '"a"'), ("Content-Encoding", "gzip")])

    remove_body_fields(headers)
    remove_body_fields(headers)

    assert headers.items() == [("Content-Encoding", "gzip"), ("ETag", 'W/"a"')]


def test_a_filter_passes_everything_on_unless_a_subclass_does_something() -> None:
    body_filter = BodyFilter()

    assert (body_filter.feed(b"a"), body_filter.flush(), body_filter.finish(Headers())) == (b"a", b"", b"")
    assert body_filter.close(None) is None
