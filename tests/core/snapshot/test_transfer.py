from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from gateway_core.clock import ManualClock, SystemClock
from gateway_core.config import LoadedConfig
from gateway_core.snapshot import from_lines, to_lines
from gateway_core.snapshot.transfer import Yielder

Load = Callable[[str], LoadedConfig]

TEXT = """
limits: {header_timeout: 3s, max_body_bytes: 1MiB}
trusted_proxies: [10.0.0.0/8]
plugins: [{name: noted, config: {tag: all}}]
upstreams:
  - name: a
    endpoints: [{url: "http://127.0.0.1:1"}, {url: "http://127.0.0.1:2", weight: 3}]
    health_check: {interval: 5s}
routes:
""" + "\n".join(f"  - {{id: r{number}, path: /r/{number}, target: a}}" for number in range(300))


async def test_arrives_as_it_was_sent(load_text: Load) -> None:
    sent = load_text(TEXT)

    received = await from_lines(tuple(to_lines(sent)), Yielder(SystemClock()))

    assert received.config == sent.config
    assert received.version == sent.version
    assert received.places == sent.places
    assert received.files == sent.files


def test_no_line_is_long(load_text: Load) -> None:
    lines = list(to_lines(load_text(TEXT)))

    assert max(len(line) for line in lines) < 20_000
    assert all(b"\n" not in line for line in lines)


async def test_another_format_is_refused(load_text: Load) -> None:
    first, *rest = to_lines(load_text(TEXT))
    other = json.dumps({**json.loads(first), "format": 99}).encode()

    with pytest.raises(ValueError, match="format 99"):
        await from_lines((other, *rest), Yielder(SystemClock()))


async def test_lets_others_run_first_and_then_only_when_its_slice_is_used_up() -> None:
    clock = ManualClock()
    yielder = Yielder(clock, 0.003)
    ran: list[str] = []
    loop = asyncio.get_running_loop()
    loop.call_soon(ran.append, "first")
    await yielder.checkpoint()
    assert ran == ["first"]
    ran.clear()
    loop.call_soon(ran.append, "other")

    clock.advance(0.002)
    await yielder.checkpoint()
    assert ran == []

    clock.advance(0.002)
    await yielder.checkpoint()
    assert ran == ["other"]


async def test_has_a_new_slice_after_each_pause() -> None:
    clock = ManualClock()
    yielder = Yielder(clock, 0.003)
    clock.advance(1)
    await yielder.checkpoint()
    ran: list[str] = []
    asyncio.get_running_loop().call_soon(ran.append, "other")

    clock.advance(0.002)
    await yielder.checkpoint()

    assert ran == []


async def test_a_long_list_is_worked_through_in_parts_with_turns_of_others_between() -> None:
    clock = ManualClock()
    yielder = Yielder(clock, 0.003)
    ran: list[int] = []
    found: list[int] = []

    async for part in yielder.parts(range(3500)):
        assert len(part) <= 1000
        found += part
        asyncio.get_running_loop().call_soon(ran.append, len(found))
        clock.advance(0.004)

    assert found == list(range(3500))
    assert ran == [1000, 2000, 3000]
