"""Bodies of plugins that fail count for the binding whose hook gave them, and iterators are closed on every end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_core.errors import BadBodyError, BodyTooLargeError
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Record, Request, Response

from tests.core.proxy.kit import Proxied, RunningProxy, counts, until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
BINDINGS = "plugins: [{name: p}, {name: other}]"
records: list[Record] = []
closed: list[str] = []


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    records.clear()
    closed.clear()


class Other(Plugin[Any]):
    name = "other"

    @hookimpl
    def gateway_log(self, request: Request, record: Record) -> None:
        records.append(record)


class Failing(BodyFilter):
    def feed(self, data: bytes) -> bytes:
        raise ValueError("boom")


def fails() -> BodyFilter:
    raise ValueError("boom")


async def numbers(name: str, *, fail: bool = False) -> AsyncIterator[bytes]:
    try:
        if fail:
            raise ValueError("boom")
        for _ in range(3):
            yield b"x"
            await asyncio.sleep(0)
    finally:
        closed.append(name)


class Pieceless:
    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        closed.append("first")


def plugin(hook: Callable[..., Any], phase: str = "gateway_response") -> type[Plugin[Any]]:
    """Return a plugin with one hook: of a response, or before it."""

    class Responds(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_response(self, response: Response) -> Any:
            return hook(response)

    class Prepares(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_pre_proxy(self, request: Request) -> Any:
            return hook(request)

    class Begins(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_request(self, request: Request) -> Any:
            return hook(request)

    return {"gateway_response": Responds, "gateway_pre_proxy": Prepares, "gateway_request": Begins}[phase]


def failures(gateway: RunningProxy) -> dict[str, int]:
    bindings = gateway.proxy.holder.current.global_chain.bindings
    return {each.id: each.faults.count for each in bindings}


async def later(result: object) -> Any:
    await asyncio.sleep(0)
    return result


def adds_filter(response: Response) -> None:
    response.add_body_filter(Failing)


async def adds_filter_later(response: Response) -> None:
    await asyncio.sleep(0)
    response.add_body_filter(fails)


def assigns(response: Response) -> None:
    response.body = numbers("assigned", fail=True)


def assigns_path(response: Response) -> None:
    response.body = Path("/nowhere/at/all")


@pytest.mark.parametrize(
    ("phase", "hook"),
    [
        ("gateway_response", adds_filter),
        ("gateway_response", adds_filter_later),
        ("gateway_response", assigns),
        ("gateway_response", assigns_path),
        ("gateway_response", lambda _: Response(200, numbers("returned", fail=True))),
        ("gateway_response", lambda _: later(Response(200, numbers("returned", fail=True)))),
        ("gateway_response", lambda _: Response(200, Path("/nowhere/at/all"))),
        ("gateway_pre_proxy", lambda _: Response(200, numbers("returned", fail=True))),
        ("gateway_pre_proxy", lambda _: Response(200, Path("/nowhere/at/all"))),
        ("gateway_request", lambda _: later(Response(200, Path("/nowhere/at/all")))),
        ("gateway_pre_proxy", lambda _: Response(200, numbers("short"), {"Content-Length": "9"})),
        ("gateway_pre_proxy", lambda request: request.add_body_filter(Failing)),
        ("gateway_request", lambda request: request.add_body_filter(fails)),
    ],
)
async def test_a_body_that_fails_counts_for_its_binding(proxied: Proxied, phase: str, hook: Callable[..., Any]) -> None:
    gateway, _ = await proxied(extra=BINDINGS, plugins=[plugin(hook, phase), Other])

    data = await gateway.send(POST)

    await until(lambda: records and not counts(gateway))
    assert failures(gateway) == {"p": 1, "other": 0}
    assert records[0].reason == "plugin.failed"
    assert data.startswith(b"HTTP/1.1 500 ") or (b"Content-Length: 9" in data and data.endswith(b"xxx"))
    assert b"boom" not in data


async def test_an_observer_that_fails_counts_for_its_binding_and_changes_nothing(proxied: Proxied) -> None:
    gateway, _ = await proxied(
        extra=BINDINGS, plugins=[plugin(lambda response: response.add_body_filter(Failing, observe=True)), Other]
    )

    assert (await gateway.ask(GET))[::2] == (200, b"ok")

    await until(lambda: records and not counts(gateway))
    assert failures(gateway) == {"p": 1, "other": 0}


@pytest.mark.parametrize(("phase", "expected"), [("gateway_response", b"ok"), ("gateway_pre_proxy", b"ok")])
async def test_with_continue_a_missing_file_is_as_if_nothing_was_returned(
    proxied: Proxied, phase: str, expected: bytes
) -> None:
    hook = plugin(lambda _: Response(200, Path("/nowhere/at/all")), phase)
    gateway, _ = await proxied(extra="plugins: [{name: p, on_error: continue}]", plugins=[hook])

    assert (await gateway.ask(GET))[::2] == (200, expected)
    assert failures(gateway) == {"p": 1}


async def test_files_that_fail_put_their_binding_into_quarantine(proxied: Proxied) -> None:
    extra = "plugins: [{name: p, quarantine: {failures: 3, window: 60s, open_for: 60s}}]\ntrusted_proxies: [127.0.0.1]"
    hook = plugin(lambda _: Response(200, numbers("returned", fail=True)))
    gateway, _ = await proxied(extra=extra, plugins=[hook])

    for client in range(3):
        await gateway.ask(GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 10.0.%d.1\r\n\r\n" % client))

    binding = gateway.proxy.holder.current.global_chain.bindings[0]
    assert binding.quarantine is not None
    assert not binding.quarantine.is_closed


@pytest.mark.parametrize(("side", "status"), [("request", 413), ("response", 502)])
async def test_a_filter_may_say_that_a_body_is_too_large(proxied: Proxied, side: Any, status: int) -> None:
    class Limits(BodyFilter):
        def feed(self, data: bytes) -> bytes:
            raise BodyTooLargeError("too large", side)

    phase = "gateway_pre_proxy" if side == "request" else "gateway_response"
    gateway, _ = await proxied(extra=BINDINGS, plugins=[plugin(lambda it: it.add_body_filter(Limits), phase), Other])

    assert (await gateway.send(POST)).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize("status", [400, 415, 422])
@pytest.mark.parametrize("is_read", [False, True])
async def test_a_body_that_is_not_what_it_says_is_the_clients_fault(
    proxied: Proxied, status: Any, is_read: bool
) -> None:
    class Decodes(BodyFilter):
        def feed(self, data: bytes) -> bytes:
            raise BadBodyError("not what it says", status)

    async def hook(request: Any) -> None:
        request.add_body_filter(Decodes)
        if is_read:
            await request.read()

    extra = (
        "plugins: [{name: p, on_error: continue, quarantine: {failures: 1, window: 60s, open_for: 60s}}, {name: other}]"
    )
    gateway, _ = await proxied(extra=extra, plugins=[plugin(hook, "gateway_pre_proxy"), Other])

    responses = [await gateway.send(POST) for _ in range(3)]

    assert {response.partition(b"\r\n")[0][:12] for response in responses} == {b"HTTP/1.1 %d" % status}
    binding = gateway.proxy.holder.current.global_chain.bindings[0]
    assert binding.quarantine is not None
    assert binding.quarantine.is_closed
    assert failures(gateway) == {"p": 0, "other": 0}


# -- a body that is assigned


class Exclaims(BodyFilter):
    def feed(self, data: bytes) -> bytes:
        return data + b"!"


async def reads_what_was_assigned(response: Response) -> None:
    response.body = b"new"
    response.set_body(await response.read() + b"er")


async def reads_what_an_iterator_gives(response: Response) -> None:
    response.body = numbers("assigned")
    response.set_body(await response.read())


async def filters_what_is_assigned_later(response: Response) -> None:
    response.add_body_filter(Exclaims)
    response.body = b"new"
    assert await response.read() == b"new!"


async def assigns_over_what_was_set(response: Response) -> None:
    response.set_body(b"old")
    response.body = b"new"


async def sets_over_what_was_assigned(response: Response) -> None:
    response.body = b"old"
    response.set_body(b"new")


@pytest.mark.parametrize("forwards", [False, True])
@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        (reads_what_was_assigned, b"newer"),
        (reads_what_an_iterator_gives, b"xxx"),
        (filters_what_is_assigned_later, b"new!"),
        (assigns_over_what_was_set, b"new"),
        (sets_over_what_was_assigned, b"new"),
    ],
)
async def test_what_a_hook_does_last_to_a_body_counts(
    proxied: Proxied, hook: Callable[..., Any], expected: bytes, forwards: bool
) -> None:
    class Forwards(Plugin[Any]):
        name = "other"

        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> None:
            if forwards:
                await request.forward()

    gateway, _ = await proxied(extra=BINDINGS, plugins=[plugin(hook), Forwards])

    status, _, body = await gateway.ask(GET)

    assert (status, body) == (200, expected)
    assert failures(gateway) == {"p": 0, "other": 0}


# -- iterators are closed


class Replaces(Plugin[Any]):
    """Replaces what the hook before it left."""

    name = "other"

    @hookimpl
    async def gateway_response(self, request: Request, response: Response) -> Response | None:
        match request.path:
            case "/bytes":
                return Response(200, b"second")
            case "/iterator":
                return Response(200, numbers("second"))
            case "/wraps":
                first = response.body
                assert not isinstance(first, bytes | Path)

                async def twice() -> AsyncIterator[bytes]:
                    async for piece in first:
                        yield piece * 2

                return Response(200, twice())
            case "/assigned":
                response.body = b"second"
            case "/set":
                response.set_body(b"second")
            case "/fails":
                raise ValueError("boom")
            case "/leaves":
                await asyncio.Event().wait()
        return None


PATHS = ["/bytes", "/iterator", "/wraps", "/assigned", "/set", "/fails", "/none"]


@pytest.mark.parametrize("phase", ["gateway_response", "gateway_pre_proxy"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_an_iterator_that_is_replaced_is_closed(proxied: Proxied, path: str, phase: str, method: bytes) -> None:
    pieces = iter([b"first"])

    class Iterator:
        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> bytes:
            await asyncio.sleep(0)
            try:
                return next(pieces)
            except StopIteration:
                raise StopAsyncIteration from None

        async def aclose(self) -> None:
            closed.append("first")

    gateway, _ = await proxied(
        extra="plugins: [{name: other}, {name: p}]",
        plugins=[plugin(lambda _: Response(200, Iterator()), phase), Replaces],
    )

    data = await gateway.send(b"%b %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (method, path.encode()))

    await until(lambda: not counts(gateway) and "first" in closed)
    assert closed.count("first") == 1
    assert data.startswith(b"HTTP/1.1 500" if path == "/fails" else b"HTTP/1.1 200")
    if path == "/wraps" and method == b"GET":
        assert b"firstfirst" in data


@pytest.mark.parametrize("phase", ["gateway_response", "gateway_pre_proxy"])
async def test_an_iterator_is_closed_when_its_client_leaves_in_a_later_hook(proxied: Proxied, phase: str) -> None:
    made: list[object] = []

    def hook(_: object) -> Response:
        made.append(response := Response(200, Pieceless()))
        return response

    gateway, _ = await proxied(
        extra="plugins: [{name: other}, {name: p}]",
        plugins=[plugin(hook, phase), Replaces],
    )
    client = await gateway.connect()
    await client.send(b"GET /leaves HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: made)

    client.reset()

    await until(lambda: closed)
    assert closed == ["first"]


async def test_an_iterator_is_closed_when_its_hook_ended_the_request(proxied: Proxied) -> None:
    def hook(request: Request) -> Response:
        request.abort("enough")
        return Response(200, Pieceless())

    gateway, _ = await proxied(extra="plugins: [{name: p}]", plugins=[plugin(hook, "gateway_pre_proxy")])

    assert await gateway.send(GET) == b""
    await until(lambda: closed)
