from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator

import pytest
from gateway_core.hooks import Shared, SharedStoreFull, SharedStores
from gateway_core.process.channel import Channel, ChannelClosedError
from gateway_core.process.shared_values import RemoteShared, apply_message, from_plain, to_plain
from gateway_core.tasks import Tasks


@pytest.fixture
def stores() -> SharedStores:
    return SharedStores()


@pytest.fixture
async def shared(stores: SharedStores) -> AsyncIterator[Shared]:
    """What a plugin of a worker has, over a channel to a process that has the stores."""
    one, other = socket.socketpair()
    worker, supervisor = await Channel.over(one), await Channel.over(other)
    tasks = Tasks()

    async def serve() -> None:
        try:
            while True:
                message = await supervisor.receive()
                fields, body = apply_message(stores, message, now=5.0)
                await supervisor.reply(message, body, **fields)
        except ChannelClosedError:
            return

    async def read() -> None:
        try:
            while True:
                await worker.receive()
        except ChannelClosedError:
            return

    tasks.spawn(serve(), name="serve")
    tasks.spawn(read(), name="read")
    yield Shared(RemoteShared(worker), "p:b")
    worker.close()
    supervisor.close()
    await tasks.aclose()


async def test_every_operation_works_over_a_channel(shared: Shared) -> None:
    assert await shared.get("a") is None
    await shared.put("a", b"\x00\xff", ttl=1)
    assert await shared.get("a") == b"\x00\xff"
    assert [await shared.add("a", b"x"), await shared.add("b", b"")] == [False, True]
    assert await shared.get("b") == b""
    assert [await shared.increment("n", 5), await shared.increment("n", -6)] == [5, -1]
    await shared.delete("a")
    assert await shared.get("a") is None


async def test_errors_are_those_of_a_store_in_the_process(shared: Shared) -> None:
    await shared.put("a", bytes(8 << 20))

    with pytest.raises(SharedStoreFull, match="no room for 'b'"):
        await shared.put("b", b"1")
    with pytest.raises(ValueError, match="is not a number"):
        await shared.increment("a")


async def test_values_survive_as_json(shared: Shared, stores: SharedStores) -> None:
    await shared.put("a", b"\x00\xff", ttl=10)
    after = SharedStores()

    from_plain(json.loads(json.dumps(to_plain(stores, 7.0))), after, 100.0)

    assert after.dump(107.0) == [("p:b", [("a", b"\x00\xff", 1.0)])]
