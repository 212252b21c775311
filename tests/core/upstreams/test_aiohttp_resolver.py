from __future__ import annotations

import socket

from gateway_core.upstreams.aiohttp_resolver import AiohttpResolver
from gateway_core.upstreams.resolver import Resolver


async def test_aiohttp_gets_addresses_in_its_own_form() -> None:
    address = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("10.0.0.1", 0))
    resolver = AiohttpResolver(Resolver(look_up=lambda _host: [address]))

    found = await resolver.resolve("a.test", 80)

    assert [(item["hostname"], item["host"], item["port"], item["family"]) for item in found] == [
        ("a.test", "10.0.0.1", 80, socket.AF_INET)
    ]
    assert await resolver.resolve("a.test", 80, socket.AF_INET6) == []
