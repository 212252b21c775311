from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_plugin_ratelimit.algorithms import EMPTY, Concurrency, FixedWindow, Rule, SlidingWindow, TokenBucket
from gateway_plugin_ratelimit.config import RedisConfig
from gateway_plugin_ratelimit.settlement import settle
from gateway_plugin_ratelimit.stores.client import RedisClient
from gateway_plugin_ratelimit.stores.scripts import admission, counter_key, debit, read_reply, renewal
from hypothesis import example, given, settings
from hypothesis import strategies as st

RULES = (
    TokenBucket(5, 3),
    TokenBucket(2, 4, counts_refused=True),
    TokenBucket(1, 2, patience=0.5),
    FixedWindow(4, 3),
    FixedWindow(4, 3, counts_refused=True),
    SlidingWindow(5, 3),
    SlidingWindow(5, 3, counts_refused=True),
)
STEPS = st.lists(
    st.tuples(
        st.floats(0, 2),
        st.lists(
            st.tuples(st.sampled_from(range(len(RULES))), st.integers(0, 4)),
            min_size=1,
            max_size=3,
            unique_by=lambda charge: charge[0],
        ),
    ),
    max_size=25,
)
_prefixes = (f"test{number}:" for number in itertools.count())


@pytest.fixture
async def client(calm_valkey: Any) -> AsyncIterator[Any]:
    connected = RedisClient(RedisConfig(url=calm_valkey.url))
    yield connected
    await connected.aclose()


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
@example(steps=[(1.0, [(2, 2), (3, 3)]), (1.5, [(2, 2), (3, 2)])])  # held back by one, refused by the other
def test_the_script_decides_as_the_rules_do(calm_valkey: Any, steps: Any) -> None:
    async def compare() -> None:
        client = RedisClient(RedisConfig(url=calm_valkey.url))
        prefix, now = next(_prefixes), 50_000_000.0
        states: dict[Any, Any] = {}
        try:
            for pause, picked in steps:
                now += pause
                rules, costs = [RULES[index] for index, _ in picked], [cost for _, cost in picked]
                keys = [f"{prefix}{index}" for index, _ in picked]
                hits = [(rule, key, cost) for rule, key, cost in zip(rules, keys, costs, strict=True)]
                expected, nexts = settle(hits, [states.get(key, EMPTY) for key in keys], now)
                states |= {key: state for key, state in zip(keys, nexts, strict=True) if state is not None}
                # Kept for longer than it lives in the script: what is forgotten must make no difference.
                call = admission(keys, rules, costs, member="", lease=30.0, now=now)
                [reply] = await client.run([call])
                for want, got in zip(expected, read_reply(reply), strict=True):
                    assert (got.allowed, got.remaining) == (want.allowed, want.remaining)
                    assert abs(got.reset - want.reset) < 2e-6
                    assert abs(got.wait - want.wait) < 2e-6
        finally:
            await client.aclose()

    asyncio.run(compare())


async def test_keys_live_as_long_as_they_matter_and_in_milliseconds(client: Any, calm_valkey: Any) -> None:
    bucket = TokenBucket(1, 10)

    await client.run([admission(["ttl:bucket"], [bucket], [10], member="", lease=30.0)])
    await client.run([admission(["ttl:window"], [FixedWindow(3, 5)], [1], member="", lease=30.0)])

    assert 9_000 < int(calm_valkey.command("PTTL", "ttl:bucket")[1:]) <= 10_001
    assert 0 < int(calm_valkey.command("PTTL", "ttl:window")[1:]) <= 5_001


async def test_a_debit_is_taken_whether_or_not_it_is_there(client: Any) -> None:
    rule = FixedWindow(10, 1000)
    await client.run([debit(["debit:a"], [rule], [30])])

    [reply] = await client.run([admission(["debit:a"], [rule], [1], member="", lease=30.0)])

    assert not read_reply(reply)[0].allowed


async def test_places_are_held_by_member_and_forgotten_with_their_lease(client: Any, eventually: Any) -> None:
    rule, keys = Concurrency(2), ["places:a"]

    async def admit(member: str, lease: float = 30.0) -> tuple[bool, int]:
        [reply] = await client.run([admission(keys, [rule], [1], member=member, lease=lease)])
        decision = read_reply(reply)[0]
        return decision.allowed, decision.remaining

    assert [await admit("a"), await admit("b", lease=0.05), await admit("c")] == [(True, 1), (True, 0), (False, 0)]
    deadline = asyncio.get_running_loop().time() + 10
    while not (await admit("d"))[0]:
        assert asyncio.get_running_loop().time() < deadline
    await client.forget([("places:a", "a")])
    assert await admit("e") == (True, 0)


async def test_a_renewed_place_is_kept(client: Any, calm_valkey: Any) -> None:
    await client.run([admission(["renew:a"], [Concurrency(1)], [1], member="m", lease=1.0)])
    before = float(calm_valkey.command("ZSCORE", "renew:a", "m").split("\r\n")[1])

    await client.run([renewal("renew:a", "m", 60.0)])

    assert float(calm_valkey.command("ZSCORE", "renew:a", "m").split("\r\n")[1]) > before + 50


async def test_a_request_that_a_rate_refuses_holds_no_place_and_the_other_way_round(client: Any) -> None:
    keys = ["both:rate", "both:places"]
    rules: list[Rule | Concurrency] = [FixedWindow(2, 1000), Concurrency(1)]

    async def admit(member: str) -> list[bool]:
        [reply] = await client.run([admission(keys, rules, [1, 1], member=member, lease=30.0)])
        return [decision.allowed for decision in read_reply(reply)]

    assert await admit("a") == [True, True]
    assert await admit("b") == [True, False]
    await client.forget([("both:places", "a")])
    assert await admit("c") == [True, True]
    await client.forget([("both:places", "c")])
    assert await admit("d") == [False, True]
    assert await admit("e") == [False, True]


async def test_a_server_that_does_not_know_the_script_is_given_it(client: Any, calm_valkey: Any) -> None:
    call = admission(["flushed"], [FixedWindow(5, 1000)], [1], member="", lease=30.0)
    calm_valkey.command("SCRIPT", "FLUSH")

    replies = await client.run([call, call])

    assert [read_reply(reply)[0].remaining for reply in replies] == [4, 3]


async def test_a_call_that_fails_does_not_fail_the_others(client: Any, calm_valkey: Any) -> None:
    calm_valkey.command("LPUSH", "wrong-type", "x")
    rule = FixedWindow(5, 1000)

    replies = await client.run(
        [admission([key], [rule], [1], member="", lease=30.0) for key in ("fine:1", "wrong-type", "fine:2")]
    )

    assert [isinstance(reply, Exception) for reply in replies] == [False, True, False]


def test_what_requests_are_counted_by_is_not_in_the_key() -> None:
    key = counter_key("p:", "binding r1/limit|=secret-api-key", None)

    assert "secret" not in key
    assert key != counter_key("p:", "binding r1/limit|=other", None)


def test_counters_that_are_charged_together_are_on_one_node_of_a_cluster() -> None:
    one, other = counter_key("p:", "a", "tag"), counter_key("p:", "b", "tag")

    assert one[: one.index("}")] == other[: other.index("}")]
