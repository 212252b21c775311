from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.hooks import Binding, Plugin, Suspended, build_chain, start_phase
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request
from gateway_core.metrics.catalogue import HOOK_BOUNDS
from gateway_core.observe import Timings, server_timing, watch

Bind = Callable[..., Binding]


class Plain(Plugin[Any]):
    name = "plain"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        if request.path == "/fail":
            raise ValueError


class Later(Plugin[Any]):
    name = "later"

    @hookimpl
    async def gateway_pre_proxy(self) -> None:
        await asyncio.sleep(0)


async def run(bindings: list[Binding], request: Request, timings: Timings | None) -> None:
    outcome = start_phase(build_chain(bindings, timings).pre_proxy, request)
    if isinstance(outcome, Suspended):
        await outcome.finish()


async def test_each_hook_is_timed_by_binding_and_phase(bind: Bind, request_: Request) -> None:
    timings = Timings()
    bindings = [bind(Plain, "p"), bind(Later, "l")]

    for _ in range(3):
        await run(bindings, request_, timings)

    times = {(each.plugin, each.binding, each.phase): each for each in timings.all()}
    assert set(times) == {("plain", "p", "gateway_pre_proxy"), ("later", "l", "gateway_pre_proxy")}
    for each in times.values():
        assert (each.calls, sum(each.buckets), len(each.buckets)) == (3, 3, len(HOOK_BOUNDS) + 1)
        assert 0 < each.longest <= each.total


async def test_a_hook_that_fails_is_timed_too(bind: Bind, request_: Request) -> None:
    timings = Timings()
    request_.raw_path = "/fail"

    await run([bind(Plain)], request_, timings)

    assert [each.calls for each in timings.all()] == [1]


async def test_the_times_of_one_request_make_a_server_timing_field(bind: Bind, request_: Request) -> None:
    timings = Timings()
    bindings = [bind(Plain, "p x"), bind(Later, "l")]
    watch(request_)

    await run(bindings, request_, timings)

    assert re.fullmatch(r"p-x\.pre_proxy;dur=\d+\.\d{3}, l\.pre_proxy;dur=\d+\.\d{3}", server_timing(request_))


class Wants(Plain):
    name = "wants"
    needs = frozenset({"hook-times"})


async def test_a_binding_may_ask_for_the_times_of_all_hooks_of_its_routes(bind: Bind, request_: Request) -> None:
    request_.raw_path = "/fail"

    await run([bind(Later, "l"), bind(Wants, "w")], request_, None)

    assert [(binding, phase) for binding, phase, _ in request_.plugin_times] == [
        ("l", "gateway_pre_proxy"),
        ("w", "gateway_pre_proxy"),
    ]
    assert all(seconds > 0 for _, _, seconds in request_.plugin_times)


async def test_nobody_notes_times_in_a_request_if_no_binding_asks(bind: Bind, request_: Request) -> None:
    await run([bind(Later), bind(Plain)], request_, None)

    assert list(request_.plugin_times) == []


async def test_a_request_that_nobody_watches_has_no_times(bind: Bind, request_: Request) -> None:
    await run([bind(Plain)], request_, Timings())

    assert server_timing(request_) == ""


def test_without_timings_hooks_are_called_as_they_are(bind: Bind) -> None:
    binding = bind(Plain)

    assert build_chain([binding]).pre_proxy[0].call == binding.instance.gateway_pre_proxy  # type: ignore[attr-defined]


@pytest.mark.parametrize(("seconds", "bucket"), [(0.000001, 0), (0.0005, 2), (0.001, 2), (99.0, 6)])
def test_a_time_falls_into_the_first_bucket_that_holds_it(bind: Bind, seconds: float, bucket: int) -> None:
    timings = Timings()
    build_chain([bind(Plain)], timings)
    (times,) = timings.all()

    times.add(seconds)

    assert times.buckets.index(1) == bucket
