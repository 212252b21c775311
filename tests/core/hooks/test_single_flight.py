from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest
from gateway_core.errors import GatewayError
from gateway_core.hooks.single_flight import SingleFlight

NAME: ContextVar[str] = ContextVar("NAME", default="nothing")


class Work:
    """A factory that waits until it may go on."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = asyncio.Event()
        self.began = asyncio.Event()
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> str:
        self.begun += 1
        self.began.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.error is not None:
            raise self.error
        return NAME.get()


@pytest.fixture
async def work() -> Work:
    return Work()


def ask(flights: SingleFlight, work: Work, key: str = "k") -> asyncio.Task[str]:
    return asyncio.ensure_future(flights.run(key, work))  # noqa: TID251


async def test_all_who_wait_share_one_run_and_nothing_is_kept(work: Work) -> None:
    flights = SingleFlight("it")
    NAME.set("the first caller's")
    waiting = [ask(flights, work) for _ in range(3)]
    await work.began.wait()
    work.go.set()

    assert await asyncio.gather(*waiting) == ["nothing"] * 3  # the run has no context variables
    assert (work.begun, len(flights)) == (1, 0)
    await flights.run("k", work)
    assert work.begun == 2


async def test_keys_do_not_share(work: Work) -> None:
    flights = SingleFlight("it")
    waiting = [ask(flights, work, key) for key in ("a", "b")]
    work.go.set()
    await asyncio.gather(*waiting)

    assert work.begun == 2


async def test_an_exception_goes_to_all(work: Work) -> None:
    flights = SingleFlight("it")
    work.error = ValueError("no")
    waiting = [ask(flights, work) for _ in range(3)]
    work.go.set()

    assert [str(each) for each in await asyncio.gather(*waiting, return_exceptions=True)] == ["no"] * 3


async def test_the_run_is_cancelled_when_the_last_one_leaves(work: Work) -> None:
    flights = SingleFlight("it")
    first, second = ask(flights, work), ask(flights, work)
    await work.began.wait()

    first.cancel()
    await asyncio.wait({first})
    assert not work.cancelled.is_set()
    second.cancel()
    await asyncio.wait({second})

    await asyncio.wait_for(work.cancelled.wait(), 30)
    assert (second.cancelled(), len(flights)) == (True, 0)


async def test_one_who_comes_while_a_run_is_given_up_begins_another(work: Work) -> None:
    flights = SingleFlight("it")
    first = ask(flights, work)
    await work.began.wait()
    first.cancel()
    await asyncio.wait({first})
    work.go.set()

    assert await flights.run("k", work) == "nothing"
    assert work.begun == 2


async def test_a_run_that_is_cancelled_is_no_cancellation_of_those_who_wait(work: Work) -> None:
    flights = SingleFlight("it")
    waiting = ask(flights, work)
    await work.began.wait()

    tasks = flights.close()

    with pytest.raises(GatewayError, match="the run of 'k' for it was cancelled"):
        await waiting
    assert len(tasks) == 1
    with pytest.raises(RuntimeError, match="it has ended"):
        await flights.run("k", work)


async def test_a_factory_may_fail_before_it_awaits_and_may_not_end_the_process() -> None:
    def end() -> asyncio.Future[None]:
        raise SystemExit(3)

    with pytest.raises(GatewayError, match="raised SystemExit"):
        await SingleFlight("it").run("k", end)
