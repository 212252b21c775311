"""What hooks of the log phase may still ask of a request and its response, whose bodies are gone by then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Record, Request, Response

from tests.core.proxy.kit import Proxied, until

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

raised: dict[str, BaseException | bytes | None] = {}


class Late(Plugin[Any]):
    """Asks for everything when the request is over."""

    name = "p"

    @hookimpl
    async def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        calls: dict[str, Callable[[], Any]] = {
            "read": request.read,
            "set_body": lambda: request.set_body(b""),
            "add_body_filter": lambda: request.add_body_filter(BodyFilter),
            "forward": request.forward,
            "detach": request.detach,
            "read the response": response.read,
        }
        for name, call in calls.items():
            try:
                result = call()
                raised[name] = await result if hasattr(result, "__await__") else result
            except RuntimeError as error:
                raised[name] = error
        request.abort("too.late")
        raised["end"] = None


class Own(Late):
    """Responds itself."""

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response:
        return Response(200, b"own")


@pytest.mark.parametrize("sent", [GET, POST])
async def test_bodies_that_are_gone_are_an_error_and_never_empty(proxied: Proxied, sent: bytes) -> None:
    raised.clear()
    gateway, _ = await proxied(extra="plugins: [{name: p}]", plugins=[Late])

    assert (await gateway.ask(sent))[0] == 200

    await until(lambda: "end" in raised)
    errors = {name: str(each) for name, each in raised.items() if isinstance(each, RuntimeError)}
    assert errors.keys() == raised.keys() - {"end"}
    assert all("is over" in each for each in errors.values()), errors


async def test_a_body_that_was_made_here_may_be_read(proxied: Proxied) -> None:
    raised.clear()
    gateway, _ = await proxied(extra="plugins: [{name: p}]", plugins=[Own])

    assert (await gateway.ask(GET))[2] == b"own"

    await until(lambda: "end" in raised)
    assert raised["read the response"] == b"own"
    assert isinstance(raised["read"], RuntimeError)
