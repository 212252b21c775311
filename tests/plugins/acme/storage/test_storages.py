"""Every storage keeps to the same rules."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from gateway_core.clock import SystemClock
from gateway_core.tasks import spawn
from gateway_plugin_acme.config import StorageConfig
from gateway_plugin_acme.crypto import Seal
from gateway_plugin_acme.records import ACCOUNTS, STATES, Account, Records, State
from gateway_plugin_acme.storage import Storage, StorageError, open_storage
from gateway_plugin_sdk import GatewayError

from tests.plugins.etcd.server import Etcd
from tests.plugins.ratelimit.stores.conftest import Valkey

SEAL = "a secret that all gateways have"


@pytest.fixture(params=["directory", "valkey", "etcd"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Callable[[], Storage]]:
    """Return a function that opens one storage again and again, as processes do."""
    async with AsyncExitStack() as stack:
        options: dict[str, object] = {"seal": SEAL}
        if request.param == "directory":
            options["directory"] = str(tmp_path / "acme")
        elif request.param == "valkey":
            server = Valkey(tmp_path)
            stack.callback(server.kill)
            options["valkey"] = {"url": server.url, "timeout": "20s"}
        else:
            etcd = await stack.enter_async_context(Etcd(tmp_path))
            options["etcd"] = {"urls": ["http://127.0.0.1:1", etcd.url], "timeout": "20s"}
        session = await stack.enter_async_context(aiohttp.ClientSession())
        config = StorageConfig.model_validate(options)
        yield lambda: open_storage(config, lambda: session, SystemClock().wall)


async def test_values_come_and_go(opened: Callable[[], Storage]) -> None:
    storage = opened()
    await storage.start()

    assert await storage.get("state/a") is None
    assert list(await storage.names("state")) == []
    await storage.put("state/a", b"\x00\xff\n1")
    await storage.put("state/b", b"2")
    await storage.put("states/c", b"3")
    await storage.put("token/t", b"4", ttl=3600)
    assert await storage.get("state/a") == b"\x00\xff\n1"
    assert list(await storage.names("state")) == ["a", "b"]
    assert await storage.get("token/t") == b"4"
    await storage.put("state/a", b"")
    assert await storage.get("state/a") == b""
    await storage.delete("state/a")
    await storage.delete("state/a")
    assert list(await storage.names("state")) == ["b"]
    await storage.stop()


async def test_a_value_may_be_put_many_times_at_once(opened: Callable[[], Storage]) -> None:
    storages = [opened(), opened()]
    for each in storages:
        await each.start()
    values = [bytes([number]) * 5000 for number in range(40)]

    await asyncio.gather(*(storages[number % 2].put("state/a", value) for number, value in enumerate(values)))

    assert await storages[0].get("state/a") in values
    assert list(await storages[0].names("state")) == ["a"]
    for each in storages:
        await each.stop()


async def test_one_process_has_the_lock_until_it_ends(opened: Callable[[], Storage]) -> None:
    first, second = opened(), opened()
    await first.start()
    await second.start()

    assert [await first.lock(), await second.lock(), await first.lock()] == [True, False, True]
    await first.stop()
    assert [await second.lock(), await second.lock()] == [True, True]
    await second.unlock()
    await second.stop()


async def test_of_twenty_that_ask_at_once_one_gets_the_lock(opened: Callable[[], Storage]) -> None:
    storages = [opened() for _ in range(20)]
    for each in storages:
        await each.start()

    got = await asyncio.gather(*(each.lock() for each in storages))

    assert sum(got) == 1
    for each in storages:
        await each.stop()


async def test_records_with_keys_are_sealed(opened: Callable[[], Storage]) -> None:
    storage = opened()
    await storage.start()
    records = Records(storage, Seal(SEAL))

    await records.put(ACCOUNTS, "a", Account("a private key"))
    await records.put(STATES, "a", State(("a.test",), failures=3))

    assert b"private" not in (await storage.get("account/a") or b"")
    assert await records.get(ACCOUNTS, "a", Account) == Account("a private key")
    assert await records.get(STATES, "a", State) == State(("a.test",), failures=3)
    assert await records.get(STATES, "b", State) is None
    with pytest.raises(GatewayError, match="was not sealed with this"):
        await Records(storage, Seal("another secret of 16")).get(ACCOUNTS, "a", Account)
    await storage.put("state/b", b"{garbage")
    with pytest.raises(GatewayError, match="'state/b' in the storage cannot be read"):
        await records.get(STATES, "b", State)
    await storage.stop()


async def test_a_storage_that_is_away_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for options in (
        {"directory": str(tmp_path / "file" / "acme")},
        {"valkey": {"url": "valkey://127.0.0.1:1/0"}, "seal": SEAL},
        {"etcd": {"urls": ["http://127.0.0.1:1"]}, "seal": SEAL},
    ):
        async with aiohttp.ClientSession() as session:
            storage = open_storage(StorageConfig.model_validate(options), lambda s=session: s, SystemClock().wall)  # type: ignore[misc]

            async def used(each: Storage = storage) -> None:
                await each.start()
                await each.get("state/a")

            with pytest.raises(StorageError, match="storage"):
                await used()
            await storage.stop()


async def test_files_are_for_their_owner_alone_and_never_half_written(tmp_path: Path) -> None:
    config = StorageConfig.model_validate({"directory": str(tmp_path / "acme")})
    storage = open_storage(config, aiohttp.ClientSession, SystemClock().wall)
    await storage.start()
    await storage.put("account/a", b"1")

    file = tmp_path / "acme" / "account" / "a"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "acme").stat().st_mode) == 0o700
    file.chmod(0o400)
    await storage.put("account/a", b"2")
    assert await storage.get("account/a") == b"2"
    assert [each.name for each in file.parent.iterdir()] == ["a"]
    await storage.stop()


async def test_what_a_killed_process_has_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "acme" / "token"
    folder.mkdir(parents=True)
    now = SystemClock().wall()
    ages = {"over": 10, "going-on": -3600, ".a.1.unfinished": 7200, ".b.2.unfinished": 10, ".profile": 7200}
    for name, age in ages.items():
        (folder / name).write_bytes(b"until\nproof")
        os.utime(folder / name, (now - age,) * 2)
    (folder / "kept").write_bytes(b"value\n1")
    storage = open_storage(
        StorageConfig.model_validate({"directory": str(tmp_path / "acme")}), aiohttp.ClientSession, SystemClock().wall
    )

    await storage.start()

    assert {each.name for each in folder.iterdir()} == {"going-on", ".b.2.unfinished", ".profile", "kept"}
    await storage.stop()


async def test_a_lock_that_is_no_longer_waited_for_is_not_kept(tmp_path: Path) -> None:
    config = StorageConfig.model_validate({"directory": str(tmp_path / "acme")})
    first, second = (open_storage(config, aiohttp.ClientSession, SystemClock().wall) for _ in range(2))
    await first.start()
    await second.start()
    for _ in range(20):
        waiting = spawn(first.lock(), name="lock")
        await asyncio.sleep(0)
        waiting.cancel()
    await first.stop()

    async with asyncio.timeout(60):
        while not await second.lock():  # noqa: ASYNC110 - a lock of the system has no event
            await asyncio.sleep(0.01)
    await second.stop()
