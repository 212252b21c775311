from __future__ import annotations

from gateway_core.clock import ManualClock
from gateway_core.metrics.catalogue import OTHER
from gateway_core.metrics.registry import Metrics
from gateway_core.process.route_use import LastUsed, RouteUse

FINE = 200 * 4


def test_a_process_names_the_routes_that_had_a_request_since_it_was_asked() -> None:
    metrics = Metrics()
    users, _ = metrics.acquire_route("users", "users"), metrics.acquire_route("orders", "orders")
    use = RouteUse(metrics)

    assert use.moved() == []
    users.add(FINE, 0.1, 10)
    assert use.moved() == ["users"]
    assert use.moved() == []


def test_routes_that_share_counters_are_not_named() -> None:
    metrics = Metrics()
    metrics.acquire_route("users", OTHER).add(FINE, 0.1, 10)

    assert RouteUse(metrics).moved() == []


async def test_the_time_of_the_latest_look_that_found_a_route_used_is_kept() -> None:
    clock, answers = ManualClock(), [["users", "orders"], ["users"], []]

    async def ask() -> list[str]:
        return answers.pop(0)

    used = LastUsed(ask, clock)

    await used.look()
    first = clock.wall()
    clock.advance(5)
    await used.look()
    second = clock.wall()
    clock.advance(5)
    await used.look()

    assert used.at == {"orders": first, "users": second}
