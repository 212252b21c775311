from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from gateway_plugin_sdk import EndpointStatus

from tests.following import eventually
from tests.plugins.kubernetes.api_server import GROUPS, ApiServer, pod, status
from tests.plugins.kubernetes.conftest import Start

A, B, C = (f"10.0.0.{number}:8080" for number in (1, 2, 3))


@pytest.fixture
def shop(server: ApiServer) -> ApiServer:
    server.put("services", "shop", "users", spec={"ports": [{"name": "http", "port": 80}]})
    server.put_slice("users-1", "users", [pod("10.0.0.1"), pod("10.0.0.2")])
    return server


async def test_endpoints_of_a_service_come_go_and_drain(shop: ApiServer, start: Start) -> None:
    found = start.discovery(service="users")
    answer = await found.until_endpoints(A, B)
    assert (answer.is_stale, answer.strategy) == (False, "")

    shop.put_slice("users-1", "users", [pod("10.0.0.1"), pod("10.0.0.2", ready=False, terminating=True)])
    shop.put_slice("users-2", "users", [pod("10.0.0.3"), pod("10.0.0.4", ready=False)])
    answer = await found.until_endpoints(A, B, C)
    assert {each.id: each.status for each in answer.endpoints} == {
        A: EndpointStatus.UP,
        B: EndpointStatus.DRAIN,
        C: EndpointStatus.UP,
    }

    shop.put_slice("users-1", "users", [])
    shop.delete("endpointslices", "shop", "users-2")
    await found.until_endpoints()


async def test_only_the_service_and_namespace_asked_for_are_seen(shop: ApiServer, start: Start) -> None:
    shop.put_slice("orders-1", "orders", [pod("10.0.0.8")])
    shop.put_slice("users-9", "users", [pod("10.0.0.9")], namespace="other")

    await start.discovery(service="users").until_endpoints(A, B)
    await start.discovery(service="users", namespace="other").until_endpoints("10.0.0.9:8080")
    await start.discovery(service="users", namespace="*").until_endpoints(A, B, "10.0.0.9:8080")


async def test_a_selector_takes_every_service_that_has_the_label(server: ApiServer, start: Start) -> None:
    for name, namespace in (("users", "shop"), ("orders", "back")):
        server.put("services", namespace, name, labels={"tier": "web"})
    server.put("services", "shop", "db", labels={"tier": "store"})
    server.put_slice("a", "users", [pod("10.0.0.1")])
    server.put_slice("b", "orders", [pod("10.0.0.2")], namespace="back")
    server.put_slice("c", "db", [pod("10.0.0.3")])

    found = start.discovery(selector="tier=web", namespace="*")
    await found.until_endpoints(A, B)

    server.put("services", "shop", "db", labels={"tier": "web"})
    await found.until_endpoints(A, B, C)

    server.put("services", "shop", "users", labels={"tier": "gone"})
    await found.until_endpoints(B, C)


async def test_the_annotation_of_the_service_is_the_strategy(shop: ApiServer, start: Start) -> None:
    found = start.discovery(service="users")
    await found.until(lambda answer: answer.strategy == "")

    shop.put("services", "shop", "users", annotations={"gateway/load-balancer": "least-requests"})
    await found.until(lambda answer: answer.strategy == "least-requests")

    shop.put("services", "shop", "users")
    await found.until(lambda answer: answer.strategy == "")


async def test_dropped_and_ended_watches_go_on_without_a_new_list(shop: ApiServer, start: Start) -> None:
    found = start.discovery(service="users")
    await found.until_endpoints(A, B)
    await eventually(lambda: shop.watches == 2)

    shop.drop()
    shop.put_slice("users-2", "users", [pod("10.0.0.3")])
    await found.until_endpoints(A, B, C)
    await eventually(lambda: shop.watches == 2)
    shop.send(None)
    shop.delete("endpointslices", "shop", "users-2")
    await found.until_endpoints(A, B)
    await eventually(lambda: shop.watches == 2)
    shop.send(b'{"type":"MODIFIED","object":{"metad')
    shop.drop()
    shop.put_slice("users-2", "users", [pod("10.0.0.3")])
    await found.until_endpoints(A, B, C)

    assert len(shop.seen(limit="100")) == 2
    assert not any(state.is_stale for state in found.states)


async def test_a_watch_goes_on_from_the_last_bookmark(shop: ApiServer, start: Start) -> None:
    found = start.discovery(service="users")
    await found.until_endpoints(A, B)
    await eventually(lambda: shop.watches == 2)
    shop.bookmark()
    version = str(shop._version)

    shop.send(None)

    await eventually(lambda: len(shop.seen(watch="true", resourceVersion=version)) == 2)
    assert len(found.states) == 1


async def test_an_expired_version_in_the_stream_means_a_new_list(shop: ApiServer, start: Start) -> None:
    found = start.discovery(service="users")
    await found.until_endpoints(A, B)
    await eventually(lambda: shop.watches == 2)

    shop.put_slice("users-2", "users", [pod("10.0.0.3")])
    shop.delete("endpointslices", "shop", "users-1")
    shop.expire()
    shop.drop()

    await found.until_endpoints(C)
    await eventually(lambda: shop.watches == 2)
    assert not any(state.is_stale for state in found.states)


async def test_an_expired_version_as_a_status_means_a_new_list(shop: ApiServer, start: Start) -> None:
    found = start.discovery(service="users")
    await found.until_endpoints(A, B)
    await eventually(lambda: shop.watches == 2)

    shop.refusals = [status(410, "too old"), status(410, "too old")]
    shop.send(None)

    await eventually(lambda: len(shop.seen(limit="100")) == 4)
    assert len(found.states) == 1


async def test_while_the_server_is_away_the_last_endpoints_stay_and_are_stale(shop: ApiServer, start: Start) -> None:
    found = start.discovery(service="users")
    await found.until_endpoints(A, B)
    await eventually(lambda: shop.watches == 2)

    await shop.stop()
    answer = await found.until(lambda answer: answer.is_stale)
    assert {each.id for each in answer.endpoints} == {A, B}
    assert shop.url in answer.reason

    shop.delete("endpointslices", "shop", "users-1")
    await shop.start()
    answer = await found.until(lambda answer: not answer.is_stale)
    await found.until_endpoints()


async def test_a_rotated_token_is_read_again(shop: ApiServer, start: Start, rotate: Callable[[str], object]) -> None:
    found = start.discovery(service="users")
    await found.until_endpoints(A, B)

    shop.tokens = {"better"}
    rotate("better")
    shop.drop()
    shop.put_slice("users-2", "users", [pod("10.0.0.3")])

    await found.until_endpoints(A, B, C)
    assert not any(state.is_stale for state in found.states)


async def test_a_token_that_is_not_accepted_is_said_and_tried_again(
    shop: ApiServer, start: Start, rotate: Callable[[str], object]
) -> None:
    found = start.discovery(service="users")
    await found.until_endpoints(A, B)

    shop.tokens = {"better"}
    shop.drop()
    answer = await found.until(lambda answer: answer.is_stale)
    assert "401" in answer.reason
    assert "Unauthorized" in answer.reason
    assert "good" not in answer.reason

    rotate("better")
    await found.until(lambda answer: not answer.is_stale)


async def test_an_old_server_is_refused_with_a_clear_message(shop: ApiServer, start: Start) -> None:
    shop.kinds = {**GROUPS, "endpointslices": "/apis/discovery.k8s.io/v1beta1"}

    found = start.discovery(service="users")

    await found.until(lambda each: each.is_stale and "older than Kubernetes 1.21" in each.reason)


async def test_long_lists_come_in_pages(server: ApiServer, start: Start) -> None:
    server.largest_page = 3
    for number in range(10):
        server.put_slice(f"users-{number}", "users", [pod(f"10.0.1.{number}")])

    found = start.discovery(service="users")

    await found.until_endpoints(*(f"10.0.1.{number}:8080" for number in range(10)))
    assert {each.query.get("continue") for each in server.requests} == {None, "3", "6", "9"}


async def test_a_list_that_expires_between_pages_is_taken_in_one(server: ApiServer, start: Start) -> None:
    for number in range(4):
        server.put_slice(f"users-{number}", "users", [pod(f"10.0.1.{number}")])
    server.refusals = [status(410, "The provided continue parameter is too old")] * 2

    found = start.discovery(service="users")

    await found.until_endpoints(*(f"10.0.1.{number}:8080" for number in range(4)))


async def test_everything_is_listed_anew_in_time(shop: ApiServer, start: Start) -> None:
    found = start.discovery(service="users", watch_timeout="1s", resync="500ms")
    await found.until_endpoints(A, B)

    # Gone without an event: only a new list can tell.
    del shop.objects["endpointslices", "shop", "users-1"]

    await found.until_endpoints()


async def test_a_burst_is_told_in_few_answers_and_costs_its_differences(shop: ApiServer, start: Start) -> None:
    for number in range(100):
        pods = [pod(f"10.{number}.1.{each}") for each in range(50)]
        shop.put_slice(f"big-{number}", "users", pods)
    found = start.discovery(service="users")
    first = await found.until(lambda answer: len(answer.endpoints) == 5_002)
    await eventually(lambda: shop.watches == 2)
    before = {each.id: each for each in first.endpoints}

    for number in range(5_000):
        pods = [pod(f"10.0.1.{each}") for each in range(number % 50, 50)]
        shop.put_slice("big-0", "users", pods)
        if number % 500 == 0:
            await asyncio.sleep(0)

    shop.put_slice("users-9", "users", [pod("10.250.0.1")])
    last = await found.until(lambda answer: "10.250.0.1:8080" in {each.id for each in answer.endpoints})
    assert len(found.states) < 200
    assert sum(before.get(each.id) is each for each in last.endpoints) >= 4_950


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "needs either service or selector"),
        ({"service": "a", "selector": "b"}, "needs either service or selector"),
        ({"service": "Users"}, 'service: "Users" does not match'),
        ({"service": "users", "port": 70000}, "port"),
        ({"service": "users", "colour": "red"}, 'unknown key "colour"'),
        ({"service": "users", "kubeconfig": "/nowhere"}, "kubeconfig '/nowhere' cannot be read"),
        ({"service": "users", "context": "other"}, "has no context 'other'"),
    ],
)
async def test_options_that_cannot_work_are_refused(start: Start, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        start.make_discovery(**config)

    assert "\n" not in str(refused.value)
