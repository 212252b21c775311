from __future__ import annotations

from gateway_plugin_auth.sharing import acquire, release


async def test_bindings_of_one_configuration_share_and_the_last_one_closes() -> None:
    closed: list[int] = []

    class Thing:
        async def aclose(self) -> None:
            closed.append(1)

    first, second, other = acquire("k", Thing), acquire("k", Thing), acquire("l", Thing)

    assert first is second is not other
    await release("k")
    await release("l")
    assert len(closed) == 1
    await release("k")
    assert len(closed) == 2
    assert acquire("k", Thing) is not first
    await release("k")
