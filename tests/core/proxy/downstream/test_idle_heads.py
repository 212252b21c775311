from __future__ import annotations

import pytest
from gateway_core.proxy.downstream import idle_heads

from tests.core.proxy.kit import Proxied, RunningProxy, until

GET = b"GET /users/7 HTTP/1.1\r\nHost: example.com\r\n\r\n"


def remembered(gateway: RunningProxy) -> list[bool]:
    return [connection.remembers for connection in gateway.proxy.connections.open]


async def test_an_idle_connection_forgets_its_last_head_and_serves_on(
    proxied: Proxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle_heads, "KEPT", 0.2)
    gateway, _ = await proxied()
    client = await gateway.connect()
    await client.send(GET)
    await client.response()
    assert remembered(gateway) == [True]

    await until(lambda: remembered(gateway) == [False])

    await client.send(GET)
    assert (await client.response())[0] == 200
    assert remembered(gateway) == [True]


async def test_a_connection_in_use_keeps_its_head(proxied: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, _ = await proxied()
    client = await gateway.connect()
    await client.send(GET)
    await client.response()
    (connection,) = gateway.proxy.connections.open
    heads = idle_heads.IdleHeads(gateway.proxy.connections.open, lambda: gateway.proxy.limits.idle_timeout)
    idle_since = connection.deadline - gateway.proxy.limits.idle_timeout

    heads.expire(idle_since + idle_heads.KEPT - 0.1)
    assert connection.remembers
    heads.expire(idle_since + idle_heads.KEPT)
    assert not connection.remembers
