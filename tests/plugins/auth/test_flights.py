from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway_plugin_auth.flights import MOST_PER_CLIENT, MOST_WAITING, Flights


class Work:
    """Look-ups that end when a test lets them."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.may_end = asyncio.Event()

    def of(self, name: str) -> Callable[[], Awaitable[str]]:
        async def work() -> str:
            self.begun.append(name)
            await self.may_end.wait()
            return name

        return work


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_who_want_the_same_wait_for_one_look_up() -> None:
    flights, work = Flights[str]("x", 4), Work()

    waiting = [flights.join(b"k", f"client-{number}", work.of("k")) for number in range(50)]
    work.may_end.set()

    assert await asyncio.gather(*waiting) == ["k"] * 50
    assert work.begun == ["k"]
    await flights.aclose()


async def test_a_client_that_leaves_ends_no_look_up_of_others() -> None:
    flights, work = Flights[str]("x", 4), Work()

    async def wait() -> None:
        await asyncio.wait([flights.join(b"k", "a", work.of("k"))])

    leaving = asyncio.create_task(wait())  # noqa: TID251 - is awaited
    await settle()
    leaving.cancel()
    other = flights.join(b"k", "b", work.of("k"))
    work.may_end.set()

    assert await other == "k"
    assert work.begun == ["k"]
    await flights.aclose()


async def test_so_many_happen_at_once_and_clients_take_turns() -> None:
    flights, work = Flights[str]("x", 2), Work()
    waiting = [flights.join(b"a%d" % number, "a", work.of(f"a{number}")) for number in range(6)]
    waiting += [flights.join(b"b", "b", work.of("b"))]

    await settle()
    assert work.begun == ["a0", "a1"]
    work.may_end.set()
    await asyncio.gather(*waiting)

    assert work.begun.index("b") <= 3
    await flights.aclose()


async def test_beyond_the_bounds_there_is_no_place() -> None:
    flights, work = Flights[str]("x", 1), Work()
    one = [flights.join(b"%d" % number, "one", work.of("")) for number in range(MOST_PER_CLIENT + 10)]
    await settle()

    assert [each.result() for each in one if each.done()] == [None] * 9
    many = [flights.join(b"c%d" % number, f"c{number}", work.of("")) for number in range(MOST_WAITING)]
    assert not many[0].done()
    assert sum(not each.done() for each in (*one, *many)) == MOST_WAITING + 1
    await flights.aclose()
    assert all(each.done() for each in (*one, *many))


async def test_closing_leaves_no_one_waiting_and_later_look_ups_are_not_done() -> None:
    flights, work = Flights[str]("x", 1), Work()
    waiting = [flights.join(b"%d" % number, "a", work.of("")) for number in range(3)]

    await flights.aclose()

    assert await asyncio.gather(*waiting) == [None] * 3
    assert await flights.join(b"later", "a", work.of("later")) is None
    assert work.begun == []
