from __future__ import annotations

import time
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from gateway_core.clock import SystemClock
from gateway_plugin_consul.access import Access
from gateway_plugin_consul.agents import Agents
from gateway_plugin_consul.blocking import BUSY_SHARE, SHORTEST_GAP, BlockingQuery, SharedQuery

from tests.following import eventually
from tests.plugins.consul.agent import Agent, instance
from tests.plugins.consul.conftest import Start

A, B, C = (f"10.0.0.{number}:8080" for number in (1, 2, 3))


async def test_instances_come_and_go(agent: Agent, start: Start) -> None:
    found = start.discovery(service="users")
    await found.until_endpoints()

    agent.put("users", instance("10.0.0.1"), instance("10.0.0.2", status="critical"))
    await found.until_endpoints(A)
    agent.put("users", instance("10.0.0.1"), instance("10.0.0.2"), instance("10.0.0.3", status="warning"))
    await found.until_endpoints(A, B)
    agent.put("users")
    answer = await found.until_endpoints()

    assert not answer.is_stale
    assert agent.requests[-1].query["wait"] == "60000ms"


async def test_only_instances_with_all_tags_are_wanted(agent: Agent, start: Start) -> None:
    agent.put(
        "users", instance("10.0.0.1", tags=("v2", "eu")), instance("10.0.0.2", tags=("v2",)), instance("10.0.0.3")
    )

    await start.discovery(service="users", tags=["v2", "eu"]).until_endpoints(A)
    await start.discovery(service="users", tags=["V2"]).until_endpoints(A, B)


async def test_weights_are_those_of_the_state(agent: Agent, start: Start) -> None:
    weights = {"Passing": 5, "Warning": 2}
    agent.put("users", instance("10.0.0.1", Weights=weights), instance("10.0.0.2", status="warning", Weights=weights))

    answer = await start.discovery(service="users", include_warning=True).until_endpoints(A, B)

    assert {each.id: each.weight for each in answer.endpoints} == {A: 5, B: 2}


async def test_everything_that_is_configured_is_asked_for(agent: Agent, start: Start) -> None:
    agent.token = "word"
    found = start.discovery(
        service="a b/c",
        token="word",
        datacenter="dc2",
        namespace="n",
        partition="p",
        filter="Service.Port == 1",
        consistency="stale",
    )

    await eventually(lambda: bool(agent.requests))
    assert agent.requests[0].raw_path.startswith("/v1/health/service/a%20b%2Fc?")
    assert dict(agent.requests[0].query) == {
        "filter": "Service.Port == 1",
        "dc": "dc2",
        "ns": "n",
        "partition": "p",
        "stale": "",
    }
    assert found.failure is None


async def test_an_index_that_goes_backwards_is_forgotten(agent: Agent, start: Start) -> None:
    agent.index = 1000
    agent.put("users", instance("10.0.0.1"))
    found = start.discovery(service="users")
    await found.until_endpoints(A)
    await eventually(lambda: agent.waiting == 1)

    # A snapshot was restored: what it has is older, and so is its index.
    agent.services["users"] = [instance("10.0.0.2")]
    agent.bump(5)
    await found.until_endpoints(B)
    await eventually(lambda: agent.waiting == 1)
    assert [each.query.get("index") for each in agent.requests] == [None, "1001", None, "5"]

    agent.put("users", instance("10.0.0.3"))
    await found.until_endpoints(C)


@pytest.mark.parametrize("has_index", [True, False])
async def test_an_agent_without_a_usable_index_is_asked_in_measure(agent: Agent, start: Start, has_index: bool) -> None:
    agent.index, agent.headers = 0, has_index
    agent.services["users"] = [instance("10.0.0.1")]
    found = start.discovery(service="users")
    await found.until_endpoints(A)

    agent.services["users"] = [instance("10.0.0.2")]
    await found.until_endpoints(B)

    assert {each.query.get("index") for each in agent.requests} == {None, "1"}
    assert len(agent.requests) < 20


async def test_a_wait_that_ends_without_news_says_nothing(agent: Agent, start: Start) -> None:
    agent.put("users", instance("10.0.0.1"))
    found = start.discovery(service="users", wait="100ms")

    await eventually(lambda: len(agent.requests) >= 4)

    assert len(found.states) == 1


async def test_a_dropped_query_is_asked_again(agent: Agent, start: Start) -> None:
    agent.put("users", instance("10.0.0.1"))
    found = start.discovery(service="users")
    await found.until_endpoints(A)
    await eventually(lambda: agent.waiting == 1)

    agent.drop()
    agent.put("users", instance("10.0.0.2"))

    await found.until_endpoints(B)
    await found.until(lambda answer: not answer.is_stale)


async def test_while_the_agent_is_away_the_last_endpoints_stay_and_are_stale(agent: Agent, start: Start) -> None:
    agent.put("users", instance("10.0.0.1"))
    found = start.discovery(service="users")
    await found.until_endpoints(A)
    await eventually(lambda: agent.waiting == 1)

    await agent.stop()
    answer = await found.until(lambda answer: answer.is_stale)
    assert [each.id for each in answer.endpoints] == [A]
    assert agent.url in answer.reason

    agent.services["users"] = [instance("10.0.0.2")]
    agent.index = 3
    await agent.start()
    await found.until_endpoints(B)
    await found.until(lambda answer: not answer.is_stale)


async def test_a_cluster_without_a_leader_is_a_failure_that_passes(agent: Agent, start: Start) -> None:
    agent.put("users", instance("10.0.0.1"))
    found = start.discovery(service="users")
    await found.until_endpoints(A)
    await eventually(lambda: agent.waiting == 1)

    agent.refusals = [web.Response(status=500, text="No cluster leader")]
    agent.bump()

    answer = await found.until(lambda answer: answer.is_stale)
    assert "500" in answer.reason
    assert "No cluster leader" in answer.reason
    await found.until(lambda answer: not answer.is_stale)


async def test_an_answer_that_is_no_list_keeps_the_last_one(agent: Agent, start: Start) -> None:
    agent.put("users", instance("10.0.0.1"))
    found = start.discovery(service="users")
    await found.until_endpoints(A)
    await eventually(lambda: agent.waiting == 1)

    agent.refusals = [web.Response(text='{"Key": "', headers={"X-Consul-Index": "1"})]
    agent.bump()

    answer = await found.until(lambda answer: answer.is_stale)
    assert [each.id for each in answer.endpoints] == [A]
    await found.until(lambda answer: not answer.is_stale)


async def test_a_token_that_is_refused_is_said_without_the_token(agent: Agent, start: Start) -> None:
    agent.token = "right"

    answer = await start.discovery(service="users", token="wrong-word").until(lambda answer: answer.is_stale)

    said = answer.reason
    assert answer.endpoints == ()
    assert "403" in said
    assert "Permission denied" in said
    assert "wrong-word" not in said


async def test_another_agent_is_asked_when_one_is_away(agent: Agent, start: Start) -> None:
    other = Agent()
    await other.start()
    agent.put("users", instance("10.0.0.1"))
    other.put("users", instance("10.0.0.2"))
    found = start.discovery(service="users", address=[agent.url, other.url])
    await found.until_endpoints(A)
    await eventually(lambda: agent.waiting == 1)

    await agent.stop()

    await found.until_endpoints(B)
    await other.stop()


async def test_a_burst_is_told_in_few_answers_that_keep_what_is_the_same(agent: Agent, start: Start) -> None:
    many = [instance(f"10.{number // 250}.{number % 250}.1") for number in range(2_000)]
    agent.put("users", *many)
    found = start.discovery(service="users")
    first = await found.until(lambda answer: len(answer.endpoints) == 2_000)
    await eventually(lambda: agent.waiting == 1)
    before = {each.id: each for each in first.endpoints}

    for number in range(500):
        agent.put("users", *many[: 1_500 + number])

    last = await found.until(lambda answer: len(answer.endpoints) == 1_999)
    assert len(found.states) < 50
    assert all(before[each.id] is each for each in last.endpoints)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, '"service" is missing'),
        ({"service": "a", "colour": 1}, 'unknown key "colour"'),
        ({"service": "a", "address": "consul:8500"}, "address 'consul:8500' is not a URL"),
        ({"service": "a", "address": "http://me:word@consul:8500"}, "give the token as token"),
        ({"service": "a", "wait": "1h"}, "wait"),
        ({"service": "a", "tls": {"ca": "/nowhere"}}, "the files of ca cannot be used"),
    ],
)
async def test_options_that_cannot_work_are_refused(start: Start, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        start.make_discovery(**config)

    assert "\n" not in str(refused.value)
    assert "word" not in str(refused.value)


async def test_what_finds_nothing_says_what_was_wanted(agent: Agent, start: Start) -> None:
    agent.put("users", instance("10.0.0.1", status="critical"))

    found = await start.discovery(service="usres", tags=["v2"], filter="Service.Meta.a == b").until_endpoints()
    plain = await start.discovery(service="users").until_endpoints()

    assert found.reason == (
        "service 'usres' has no passing instance with the tag 'v2', filter 'Service.Meta.a == b', "
        "or Consul does not know it"
    )
    assert plain.reason == "service 'users' has no passing instance, or Consul does not know it"


async def test_upstreams_of_one_service_share_a_query(agent: Agent, start: Start) -> None:
    agent.put("users", instance("10.0.0.1", tags=("v1",)), instance("10.0.0.2", tags=("v2",), status="warning"))
    wanted: list[tuple[dict[str, Any], set[str]]] = [
        ({}, {A}),
        ({"tags": ["v1"]}, {A}),
        ({"tags": ["v2"]}, set()),
        ({"include_warning": True}, {A, B}),
    ]
    found = [(start.discovery(service="users", **config), ids) for config, ids in wanted * 10]
    for each, ids in found:
        await each.until_endpoints(*ids)
    await eventually(lambda: agent.waiting == 1)
    assert len(agent.requests) == 2

    agent.put("users", instance("10.0.0.3", tags=("v1", "v2")))
    for each, _ in found:
        await each.until_endpoints(C)
    await eventually(lambda: agent.waiting == 1)

    assert len(agent.requests) == 3


@pytest.mark.parametrize(
    "other",
    [{"service": "orders"}, {"datacenter": "dc2"}, {"namespace": "n"}, {"filter": "Service.Port == 1"}, {"token": "t"}],
)
async def test_what_the_agent_tells_apart_is_queried_apart(agent: Agent, start: Start, other: dict[str, Any]) -> None:
    agent.token = "t" if "token" in other else ""
    start.discovery(service="users")

    await start.discovery(**{"service": "users", **other}).until_endpoints()

    assert len({each.raw_path + each.headers.get("X-Consul-Token", "") for each in agent.requests[:2]}) == 2


async def test_a_query_ends_with_its_last_upstream(agent: Agent, start: Start) -> None:
    found = [start.discovery(service="users") for _ in range(3)]
    for each in found:
        await each.until_endpoints()
    await eventually(lambda: agent.waiting == 1)

    await start.aclose()

    await eventually(lambda: agent.waiting == 0)
    assert len(start.shared) == 0


async def test_a_burst_leaves_time_for_all_else_whatever_its_responses_cost(
    agent: Agent, session: aiohttp.ClientSession
) -> None:
    agent.headers = False  # so that it is queried without a pause of its own
    began: list[float] = []
    path, clock = "/v1/health/service/users", SystemClock()
    agents = Agents(Access((agent.url,)), lambda: session)
    query = SharedQuery(BlockingQuery(agents, path, (), wait=60, timeout=5, clock=clock, rng=Random(1)), "users")
    async with aclosing(query.results()) as results:
        for number in range(4):
            agent.services["users"] = [instance(f"10.0.0.{number}")]
            await anext(results)
            began.append(time.monotonic())
            time.sleep(SHORTEST_GAP)  # noqa: ASYNC251 - stands for the work of reading a long response
    await query.aclose()

    gaps = [later - earlier for earlier, later in pairwise(began)]
    assert min(gaps[1:]) > 0.8 * SHORTEST_GAP / BUSY_SHARE


async def test_a_defect_is_the_reason_that_upstreams_get(agent: Agent, start: Start, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("word")
    agent.token = "word"
    agent.put("users", instance("10.0.0.1"))
    found = start.discovery(service="users", token_file=str(token))
    await found.until_endpoints(A)

    token.write_text("two\nlines")  # which aiohttp refuses to send
    agent.drop()
    answer = await found.until(lambda each: each.is_stale)
    assert "ValueError" in answer.reason
    assert [each.id for each in answer.endpoints] == [A]

    token.write_text("word")
    assert (await found.until(lambda each: not each.is_stale)).endpoints == answer.endpoints
