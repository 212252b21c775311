from __future__ import annotations

import pytest
from gateway_plugin_auth.nonces import Nonces
from gateway_plugin_sdk import PluginContext
from gateway_plugin_sdk.testing import ManualClock


async def test_all_who_share_a_store_make_the_same_nonces(context: PluginContext, clock: ManualClock) -> None:
    first, second = Nonces(60, clock), Nonces(60, clock)

    await first.prepare(context.runtime.shared)
    await second.prepare(context.runtime.shared)

    assert first.current() == second.current()
    assert second.is_accepted(first.current())


async def test_a_nonce_lasts_for_its_lifetime_and_at_most_twice_as_long(
    context: PluginContext, clock: ManualClock
) -> None:
    nonces = Nonces(60, clock)
    await nonces.prepare(context.runtime.shared)
    nonce = nonces.current()

    clock.advance(60)
    assert nonces.is_accepted(nonce)
    clock.advance(60)
    assert not nonces.is_accepted(nonce)


async def test_a_gateway_accepts_nonces_of_another_one_whose_clock_is_a_little_ahead(
    context: PluginContext, clock: ManualClock
) -> None:
    nonces, ahead = Nonces(60, clock), Nonces(60, ManualClock(wall=clock.wall() + 60))
    for each in (nonces, ahead):
        await each.prepare(context.runtime.shared)

    assert nonces.is_accepted(ahead.current())


async def test_a_key_that_another_gateway_made_is_taken_over(context: PluginContext, clock: ManualClock) -> None:
    store = context.runtime.shared
    nonces = Nonces(60, clock)
    await nonces.prepare(store)
    await store.put("nonce-key", b"another")
    other = Nonces(60, clock)
    await other.prepare(store)

    await nonces.prepare(store)
    assert not nonces.is_accepted(other.current())
    clock.advance(30)
    await nonces.prepare(store)
    assert nonces.is_accepted(other.current())


@pytest.mark.parametrize("nonce", [None, 1, b"x", [], "", "x", "\u00fc"])
async def test_what_is_no_nonce_is_not_accepted(context: PluginContext, clock: ManualClock, nonce: object) -> None:
    nonces = Nonces(60, clock)
    await nonces.prepare(context.runtime.shared)

    assert not nonces.is_accepted(nonce)
