from __future__ import annotations

from typing import Any

import pytest
from gateway_core.clock import ManualClock
from gateway_core.hooks.shared import LocalShared, Shared
from gateway_core.hooks.shared_store import SharedStoreFull, SharedStores


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def shared(clock: ManualClock) -> Shared:
    return Shared(LocalShared(SharedStores(), clock), "plugin:binding")


async def test_values_by_key_with_a_time_to_live(shared: Shared, clock: ManualClock) -> None:
    await shared.put("a", b"1", ttl=5)
    await shared.put("b", b"2")

    clock.advance(5)

    assert [await shared.get(key) for key in ("a", "b", "c")] == [None, b"2", None]
    await shared.delete("b")
    await shared.delete("b")
    assert await shared.get("b") is None


async def test_only_the_first_to_add_gets_true(shared: Shared) -> None:
    assert [await shared.add("lock", value, ttl=5) for value in (b"1", b"2")] == [True, False]
    assert await shared.get("lock") == b"1"


async def test_a_counter_ends_with_the_window_that_made_it(shared: Shared, clock: ManualClock) -> None:
    counts = [await shared.increment("n", ttl=10)]
    clock.advance(9)
    counts.append(await shared.increment("n", by=5, ttl=10))
    clock.advance(1)
    counts.append(await shared.increment("n", by=-2, ttl=10))

    assert counts == [1, 6, -2]
    assert await shared.get("n") == b"-2"


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf")])
async def test_a_time_to_live_is_above_zero(shared: Shared, ttl: float) -> None:
    with pytest.raises(ValueError, match="seconds above 0"):
        await shared.put("a", b"", ttl=ttl)


@pytest.mark.parametrize("value", ["text", 1, None, bytearray(b"x")])
async def test_values_are_bytes_and_keys_are_text(shared: Shared, value: Any) -> None:
    with pytest.raises(TypeError, match="values are bytes"):
        await shared.put("a", value)
    with pytest.raises(TypeError, match="keys are str"):
        await shared.get(value if not isinstance(value, str) else b"a")  # type: ignore[arg-type]


async def test_a_key_and_a_value_are_bounded(shared: Shared) -> None:
    with pytest.raises(ValueError, match="use at most 4096"):
        await shared.get("x" * 4097)
    with pytest.raises(SharedStoreFull):
        await shared.put("a", bytes((8 << 20) + 1))
    with pytest.raises(TypeError, match="whole numbers"):
        await shared.increment("a", by=1.5)  # type: ignore[arg-type]
