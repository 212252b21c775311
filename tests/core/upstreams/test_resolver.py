from __future__ import annotations

import asyncio
import errno
import gc
import logging
import socket
import threading
from collections.abc import AsyncIterator, Sequence

import pytest
from gateway_core.clock import ManualClock
from gateway_core.upstreams.resolver import (
    ERROR_SECONDS,
    FRESH_SECONDS,
    QUICK_THREADS,
    SLOW_SECONDS,
    SLOW_THREADS,
    STALE_SECONDS,
    AddressInfo,
    NameLookupError,
    Resolver,
)


def tcp(host: str, port: int = 0) -> AddressInfo:
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)


class Names:
    """A system resolver: names that are held do not return until they are released."""

    def __init__(self) -> None:
        self.table: dict[str, str | OSError] = {}
        self.asked: list[str] = []
        self.held: dict[str, threading.Event] = {}
        self.entered = threading.Semaphore(0)

    def hold(self, host: str) -> threading.Event:
        return self.held.setdefault(host, threading.Event())

    def release_all(self) -> None:
        for event in self.held.values():
            event.set()
        self.held.clear()

    def look_up(self, host: str) -> Sequence[AddressInfo]:
        self.asked.append(host)
        held = self.held.get(host)
        self.entered.release()
        if held is not None:
            held.wait(30)
        found = self.table.get(host, socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
        if isinstance(found, OSError):
            raise found
        return [tcp(found)]


@pytest.fixture
async def names() -> AsyncIterator[Names]:
    table = Names()
    yield table
    table.release_all()


async def until_asked(names: Names) -> None:
    """Wait until one more look-up has begun."""
    await asyncio.to_thread(names.entered.acquire)


async def until_idle(resolver: Resolver) -> None:
    async with asyncio.timeout(30):
        while resolver.threads:  # noqa: ASYNC110 - looks at each turn of the loop
            await asyncio.sleep(0)


def host_of(addresses: Sequence[AddressInfo]) -> str:
    return str(addresses[0][4][0])


@pytest.mark.parametrize(
    ("host", "family", "address"),
    [
        ("127.0.0.1", socket.AF_INET, ("127.0.0.1", 80)),
        ("::1", socket.AF_INET6, ("::1", 80, 0, 0)),
        ("fe80::1%lo", socket.AF_INET6, ("fe80::1", 80, 0, socket.if_nametoindex("lo"))),
    ],
)
async def test_an_ip_address_is_its_own_and_nothing_is_asked(
    host: str, family: int, address: tuple[object, ...], names: Names
) -> None:
    found = await Resolver(look_up=names.look_up).resolve(host, 80)

    assert [(kind, where) for kind, _, _, _, where in found] == [(family, address)]
    assert names.asked == []


async def test_the_system_is_asked_and_the_port_is_put_in() -> None:
    found = await Resolver().resolve("localhost", 8080)

    assert all(kind == socket.SOCK_STREAM and where[1] == 8080 for _, kind, _, _, where in found)
    assert {where[0] for _, _, _, _, where in found} <= {"127.0.0.1", "::1"}


async def test_a_name_is_looked_up_once_for_all_who_wait(names: Names) -> None:
    names.table["a.test"] = "10.0.0.1"
    names.hold("a.test")
    resolver = Resolver(look_up=names.look_up)

    waiting = [asyncio.gather(resolver.resolve("a.test", port)) for port in range(50)]
    await until_asked(names)
    names.release_all()
    found = await asyncio.gather(*waiting)

    assert names.asked == ["a.test"]
    assert [addresses[0][0][4] for addresses in found] == [("10.0.0.1", port) for port in range(50)]


async def test_addresses_are_kept_for_a_fixed_time(names: Names) -> None:
    names.table["a.test"] = "10.0.0.1"
    clock = ManualClock()
    resolver = Resolver(clock, look_up=names.look_up)
    await resolver.resolve("a.test")

    clock.advance(FRESH_SECONDS - 0.001)
    await resolver.resolve("a.test")

    assert names.asked == ["a.test"]


async def test_stale_addresses_are_used_while_a_look_up_runs(names: Names) -> None:
    names.table["a.test"] = "10.0.0.1"
    clock = ManualClock()
    resolver = Resolver(clock, look_up=names.look_up)
    await resolver.resolve("a.test")
    names.table["a.test"] = "10.0.0.2"
    names.hold("a.test")
    clock.advance(FRESH_SECONDS)

    meanwhile = [host_of(await resolver.resolve("a.test")) for _ in range(3)]
    names.release_all()
    await until_idle(resolver)
    after = host_of(await resolver.resolve("a.test"))

    assert (meanwhile, after) == (["10.0.0.1"] * 3, "10.0.0.2")
    assert names.asked == ["a.test"] * 2


async def test_addresses_stay_in_use_while_look_ups_fail_and_not_for_ever(
    names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    names.table["a.test"] = "10.0.0.1"
    clock = ManualClock()
    resolver = Resolver(clock, look_up=names.look_up)
    await resolver.resolve("a.test")
    del names.table["a.test"]

    for _ in range(3):
        clock.advance(FRESH_SECONDS)
        assert host_of(await resolver.resolve("a.test")) == "10.0.0.1"
        await until_idle(resolver)
    clock.advance(STALE_SECONDS)

    with pytest.raises(NameLookupError, match=r"cannot resolve 'a\.test': Name or service not known"):
        await resolver.resolve("a.test")
    assert [record.getMessage() for record in caplog.records] == [
        "cannot resolve 'a.test': Name or service not known; its last addresses stay in use"
    ]


async def test_an_error_is_remembered_shortly(names: Names) -> None:
    clock = ManualClock()
    resolver = Resolver(clock, look_up=names.look_up)
    for _ in range(3):
        with pytest.raises(NameLookupError):
            await resolver.resolve("a.test")
    assert names.asked == ["a.test"]

    names.table["a.test"] = "10.0.0.1"
    clock.advance(ERROR_SECONDS)

    assert host_of(await resolver.resolve("a.test")) == "10.0.0.1"


async def test_each_caller_gets_an_error_of_its_own(names: Names) -> None:
    resolver = Resolver(look_up=names.look_up)

    errors = await asyncio.gather(*(resolver.resolve("a.test") for _ in range(2)), return_exceptions=True)

    assert [type(error) for error in errors] == [NameLookupError] * 2
    assert errors[0] is not errors[1]


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.EMFILE, "Too many open files"), errno.EMFILE),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), None),
    ],
)
async def test_what_this_machine_lacks_is_told_by_errno(error: OSError, number: int | None, names: Names) -> None:
    names.table["a.test"] = error

    with pytest.raises(NameLookupError) as caught:
        await Resolver(look_up=names.look_up).resolve("a.test")

    assert caught.value.errno == number


async def test_a_caller_that_leaves_leaves_the_others_their_look_up(
    names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    names.hold("a.test")
    resolver = Resolver(look_up=names.look_up)
    leaving = asyncio.gather(resolver.resolve("a.test"))
    staying = asyncio.gather(resolver.resolve("a.test"))
    await until_asked(names)

    leaving.cancel()
    names.table["a.test"] = "10.0.0.1"
    names.release_all()

    assert host_of((await staying)[0]) == "10.0.0.1"
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert names.asked == ["a.test"]
    assert not caplog.records


async def test_a_failure_that_all_callers_left_is_not_reported_as_never_retrieved(
    names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    names.hold("a.test")
    resolver = Resolver(look_up=names.look_up)
    leaving = asyncio.gather(resolver.resolve("a.test"))
    await until_asked(names)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving

    names.release_all()
    await until_idle(resolver)
    del leaving, resolver
    gc.collect()

    assert [record.name for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_look_up_without_end_fails_its_callers_and_has_one_thread(names: Names) -> None:
    names.hold("dead.test")
    clock = ManualClock()
    resolver = Resolver(clock, look_up=names.look_up, patience=0.01)

    for _ in range(3):
        with pytest.raises(NameLookupError, match="no result within"):
            await resolver.resolve("dead.test")
        clock.advance(ERROR_SECONDS * 10)

    assert names.asked == ["dead.test"]
    assert resolver.threads == 1
    names.table["dead.test"] = "10.0.0.1"
    names.release_all()
    await until_idle(resolver)
    assert host_of(await resolver.resolve("dead.test")) == "10.0.0.1"


async def test_slow_names_do_not_hold_up_others(names: Names) -> None:
    names.table["good.test"] = "10.0.0.1"
    clock = ManualClock()
    resolver = Resolver(clock, look_up=names.look_up, patience=30)
    slow = [f"slow{number}.test" for number in range(SLOW_THREADS + 10)]
    for host in slow:
        # Found to be slow by a first look-up.
        names.hold(host)
        first = asyncio.gather(resolver.resolve(host), return_exceptions=True)
        await until_asked(names)
        clock.advance(SLOW_SECONDS * 2)
        names.release_all()
        await first
    clock.advance(ERROR_SECONDS)

    for host in slow:
        names.hold(host)
    waiting = asyncio.gather(*(resolver.resolve(host) for host in slow), return_exceptions=True)
    for _ in range(SLOW_THREADS):
        await until_asked(names)
    found = await resolver.resolve("good.test")

    assert host_of(found) == "10.0.0.1"
    assert resolver.threads == SLOW_THREADS
    names.release_all()
    assert len(await waiting) == len(slow)


async def test_a_name_whose_look_up_turns_out_slow_makes_room(names: Names) -> None:
    names.table["good.test"] = "10.0.0.1"
    resolver = Resolver(look_up=names.look_up, patience=30)
    hosts = [f"dead{number}.test" for number in range(QUICK_THREADS)]
    for host in hosts:
        names.hold(host)
    waiting = asyncio.gather(*(resolver.resolve(host) for host in hosts), return_exceptions=True)
    for _ in hosts:
        await until_asked(names)

    async with asyncio.timeout(20):
        found = await resolver.resolve("good.test")

    assert host_of(found) == "10.0.0.1"
    assert resolver.threads == QUICK_THREADS
    names.release_all()
    await waiting


async def test_two_hundred_names_that_never_resolve_leave_a_new_one_its_look_up(names: Names) -> None:
    names.table["good.test"] = "10.0.0.1"
    resolver = Resolver(look_up=names.look_up, patience=60, slow_after=0.01)
    dead = [f"dead{number}.test" for number in range(200)]
    for host in dead:
        names.hold(host)
    waiting = asyncio.gather(*(resolver.resolve(host) for host in dead), return_exceptions=True)

    async with asyncio.timeout(40):
        (found,) = await asyncio.gather(resolver.resolve("good.test"))  # a task behind theirs

    assert host_of(found) == "10.0.0.1"
    assert resolver.threads == len(dead)
    names.release_all()
    assert len(await waiting) == len(dead)


async def test_look_ups_have_no_more_threads_than_both_groups(names: Names) -> None:
    names.table["late.test"] = "10.0.0.1"
    resolver = Resolver(look_up=names.look_up, patience=60, slow_after=0.01)
    dead = [f"dead{number}.test" for number in range(QUICK_THREADS + SLOW_THREADS)]
    for host in dead:
        names.hold(host)
    waiting = asyncio.gather(*(resolver.resolve(host) for host in dead), return_exceptions=True)
    late = asyncio.gather(resolver.resolve("late.test"))
    for _ in dead:
        await until_asked(names)

    assert "late.test" not in names.asked
    names.release_all()

    assert host_of((await late)[0]) == "10.0.0.1"
    assert len(await waiting) == len(dead)


async def test_refresh_looks_up_again_and_keeps_what_was_known_when_it_fails(names: Names) -> None:
    names.table["a.test"] = "10.0.0.1"
    resolver = Resolver(ManualClock(), look_up=names.look_up)
    await resolver.resolve("a.test")
    names.table["a.test"] = "10.0.0.2"

    assert host_of(await resolver.refresh("a.test")) == "10.0.0.2"
    del names.table["a.test"]
    with pytest.raises(NameLookupError):
        await resolver.refresh("a.test")

    assert host_of(await resolver.resolve("a.test")) == "10.0.0.2"
