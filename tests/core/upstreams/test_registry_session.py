from __future__ import annotations

from gateway_core.upstreams.registry_session import RegistrySession
from gateway_core.upstreams.resolver import Resolver


async def test_all_use_one_session_and_another_one_once_it_is_closed() -> None:
    session = RegistrySession(Resolver())
    first = session()

    assert session() is first
    await session.aclose()
    assert first.closed
    assert session() is not first
    await session.aclose()
