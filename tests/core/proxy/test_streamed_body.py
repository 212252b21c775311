"""What hooks do to a body that streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_core.errors import BodyTooLargeError
from gateway_core.messages import BodyFilter
from gateway_core.messages.body import BodySource, FilterSpec, read_whole
from gateway_core.messages.body_sources import IteratorSource
from gateway_core.proxy.streamed_body import StreamedBody


class Upper(BodyFilter):
    def feed(self, data: bytes) -> bytes:
        return data.upper()


class Failing(BodyFilter):
    def feed(self, data: bytes) -> bytes:
        raise ValueError("no")


class Hanging(BodyFilter):
    async def feed(self, data: bytes) -> bytes:
        await asyncio.Event().wait()
        return data


def of(*pieces: bytes, length: int | None = None) -> StreamedBody:
    async def given() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return StreamedBody(IteratorSource(given()), "response", ignore, length)


def ignore(*_: Any) -> None:
    """Drop it."""


async def rest(body: StreamedBody) -> object:
    taken = body.take()
    return taken if isinstance(taken, bytes) else await read_whole(taken, 1 << 20, "response")


async def test_what_was_read_goes_on_whole_and_unchanged() -> None:
    body = of(b"a", b"b")

    assert await body.read_body(10) == b"ab"
    assert await body.read_body(10) == b"ab"
    assert not body.is_changed
    assert body.take() == b"ab"


async def test_a_read_runs_the_filters_so_far() -> None:
    body = of(b"a", b"b")
    body.add_body_filter(FilterSpec(Upper))

    assert await body.read_body(10) == b"AB"
    assert body.is_changed
    assert await rest(body) == b"AB"


async def test_filters_behind_a_read_apply_to_what_it_gave() -> None:
    body = of(b"a", b"b")
    await body.read_body(10)
    body.add_body_filter(FilterSpec(Upper))

    assert not isinstance(body.take(), bytes)


async def test_a_body_that_is_too_large_goes_on_from_its_first_byte() -> None:
    body = of(b"ab", b"cd", b"ef")

    with pytest.raises(BodyTooLargeError) as caught:
        await body.read_body(3)

    assert caught.value.source == "response"
    assert await rest(body) == b"abcdef"


async def test_what_is_set_replaces_the_body_and_earlier_filters() -> None:
    body = of(b"a")
    body.add_body_filter(FilterSpec(Failing))
    body.set_body(b"other")

    assert body.is_changed
    assert body.take() == b"other"


async def test_an_observer_changes_nothing() -> None:
    body = of(b"a", length=1)
    body.add_body_filter(FilterSpec(Upper, observe=True))

    assert not body.is_changed
    assert await rest(body) == b"a"


async def test_a_filter_that_failed_in_a_read_is_never_passed_over() -> None:
    body = of(b"a", b"b")
    body.add_body_filter(FilterSpec(Failing))

    with pytest.raises(ValueError, match="no"):
        await body.read_body(10)
    with pytest.raises(ValueError, match="no"):
        await rest(body)


async def test_a_filter_that_was_cancelled_in_a_read_is_never_passed_over() -> None:
    body = of(b"a", b"b")
    body.add_body_filter(FilterSpec(Hanging))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await body.read_body(10)

    source = body.take()
    assert not isinstance(source, bytes)
    with pytest.raises(RuntimeError, match="cancelled"):
        await source.read()


async def test_a_replaced_source_is_closed() -> None:
    closed = asyncio.Event()

    class Source:
        is_idle = True

        async def aclose(self, error: Exception | None) -> None:
            closed.set()

    source: Any = Source()
    body = StreamedBody(source, "response", ignore)
    body.set_body(b"x")

    taken: bytes | BodySource = body.take()

    assert taken == b"x"
    async with asyncio.timeout(30):
        await closed.wait()
