from __future__ import annotations

import pytest

from tests.following import eventually
from tests.plugins.kubernetes.api_server import ApiServer, pod
from tests.plugins.kubernetes.conftest import Start

SERVICES = 40


async def test_all_upstreams_of_a_namespace_share_two_watches(server: ApiServer, start: Start) -> None:
    for number in range(SERVICES):
        server.put("services", "shop", f"s{number}", labels={"tier": "web"})
        server.put_slice(f"s{number}-1", f"s{number}", [pod(f"10.0.1.{number}")])
    found = [start.discovery(service=f"s{number}") for number in range(SERVICES)]
    selected = start.discovery(selector="tier=web")

    for number, each in enumerate(found):
        await each.until_endpoints(f"10.0.1.{number}:8080")
    await selected.until_endpoints(*(f"10.0.1.{number}:8080" for number in range(SERVICES)))

    await eventually(lambda: server.watches == 2)
    assert len(server.requests) == 4, "a list and a watch of each collection"


async def test_a_change_reaches_the_upstream_that_it_concerns_and_no_other(server: ApiServer, start: Start) -> None:
    for name, address in (("users", "10.0.0.1"), ("orders", "10.0.0.2")):
        server.put("services", "shop", name)
        server.put_slice(name, name, [pod(address)])
    users, orders = start.discovery(service="users"), start.discovery(service="orders")
    await users.until_endpoints("10.0.0.1:8080")
    await orders.until_endpoints("10.0.0.2:8080")
    before = len(orders.states)

    server.put_slice("users", "users", [pod("10.0.0.3")])
    await users.until_endpoints("10.0.0.3:8080")
    assert len(orders.states) == before

    # Given to another Service, it is that one's and no longer the first one's.
    server.put_slice("users", "orders", [pod("10.0.0.3")])
    await users.until_endpoints()
    await orders.until_endpoints("10.0.0.2:8080", "10.0.0.3:8080")


async def test_the_watches_end_with_the_last_upstream(server: ApiServer, start: Start) -> None:
    server.put("services", "shop", "users")
    server.put_slice("users", "users", [pod("10.0.0.1")])
    one, other = start.discovery(service="users"), start.discovery(service="users", port=8080)
    for each in (one, other):
        await each.until_endpoints("10.0.0.1:8080")

    await one.aclose()
    server.put_slice("users", "users", [pod("10.0.0.2")])
    await other.until_endpoints("10.0.0.2:8080")
    assert server.watches == 2

    await other.aclose()
    await eventually(lambda: server.watches == 0)


@pytest.mark.parametrize("settings", [{"namespace": "other"}, {"watch_timeout": "5m"}])
async def test_other_namespaces_and_settings_have_watches_of_their_own(
    settings: dict[str, str], server: ApiServer, start: Start
) -> None:
    start.discovery(service="users")
    start.discovery(service="users", **settings)

    await eventually(lambda: server.watches == 4)


async def test_changes_that_come_fast_are_told_together(server: ApiServer, start: Start) -> None:
    for number in range(SERVICES):
        server.put_slice(f"s{number}", f"s{number}", [pod(f"10.0.1.{number}")])
    found = [start.discovery(service=f"s{number}") for number in range(SERVICES)]
    for number, each in enumerate(found):
        await each.until_endpoints(f"10.0.1.{number}:8080")

    for change in range(5000):
        server.put_slice(f"s{change % SERVICES}", f"s{change % SERVICES}", [pod(f"10.2.{change % 200}.1")])
    for number, each in enumerate(found):
        await each.until_endpoints(f"10.2.{(5000 - SERVICES + number) % 200}.1:8080")

    assert sum(len(each.states) for each in found) < 5000
