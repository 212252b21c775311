from __future__ import annotations

from gateway_core.clock import ManualClock
from gateway_core.proxy.date_field import DateField

from tests.core.proxy.kit import Proxied, StartProxy


def test_the_date_is_that_of_the_second() -> None:
    clock = ManualClock(wall=784111777.2)
    date = DateField(clock.wall)

    assert date.block() == b"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT"
    clock.advance(0.9)
    assert date.block() == b"\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT"


async def test_responses_that_are_made_here_have_a_date(start_proxy: StartProxy) -> None:
    gateway = await start_proxy('routes: [{id: r, path: /a, target: "http://127.0.0.1:9"}]')

    not_found = await gateway.send(b"GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    not_valid = await gateway.send(b"GET /b HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n")

    assert not_found.count(b"\r\nDate: ") == 1
    assert not_valid.count(b"\r\nDate: ") == 1


async def test_an_upstreams_response_keeps_its_own_date(proxied: Proxied) -> None:
    date = b"Sun, 06 Nov 1994 08:49:37 GMT"
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\nDate: " + date + b"\r\nContent-Length: 0\r\n\r\n")
    client = await gateway.connect()

    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    _, head, _ = await client.response()

    assert head.count(b"\r\nDate: ") == 1
    assert date in head
