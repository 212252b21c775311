from __future__ import annotations

import pytest
from gateway_core.proxy.downstream import idle_heads
from gateway_core.proxy.lane import HeadMemo

from tests.core.proxy.kit import Proxied, RunningProxy, until

GET = b"GET /users/7 HTTP/1.1\r\nHost: example.com\r\n\r\n"


def memos(gateway: RunningProxy) -> list[HeadMemo | None]:
    return [lane.memo for lane in gateway.proxy.lanes]


async def test_an_idle_connection_forgets_its_last_head_and_serves_on(
    proxied: Proxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle_heads, "KEPT", 0.2)
    gateway, _ = await proxied()
    client = await gateway.connect()
    await client.send(GET)
    await client.answer()
    assert memos(gateway) != [None]

    await until(lambda: memos(gateway) == [None])

    await client.send(GET)
    assert (await client.answer())[0] == 200
    assert memos(gateway) != [None]


async def test_a_connection_in_use_keeps_its_head(proxied: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, _ = await proxied()
    client = await gateway.connect()
    await client.send(GET)
    await client.answer()
    (lane,) = gateway.proxy.lanes
    heads = idle_heads.IdleHeads(gateway.proxy.lanes, lambda: gateway.proxy.limits.idle_timeout)
    idle_since = lane.deadline - gateway.proxy.limits.idle_timeout

    heads.expire(idle_since + idle_heads.KEPT - 0.1)
    assert lane.memo is not None
    heads.expire(idle_since + idle_heads.KEPT)
    assert lane.memo is None
