"""examples/microservices: versions by header and weight, copies, retries, breaker and health checks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.kit import PATIENCE
from tests.examples.kit import Example, Service, says, stops

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    with Example("microservices", tmp_path) as example:
        example.port("PORT")
        example.port("ADMIN_PORT")
        yield example


def services(example: Example, *broken: str) -> dict[str, Service]:
    names = ("orders-1", "orders-2", "orders-canary", "orders-next")
    return {
        name: example.upstream(
            name, name.replace("-", "_").upper(), *(("--status", broken[0]) if name == "orders-2" and broken else ())
        )
        for name in names
    }


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_testers_get_the_canary_and_a_tenth_of_the_clients_too(example: Example) -> None:
    running = services(example)
    gateway, url = example.ready()

    with example.client(url) as client:
        tester = client.get("/orders/7", headers={"X-Canary": "always"}).json()
        until(lambda: "orders-canary GET /orders/7" in running["orders-canary"].lines, "the canary prints its request")
        assert not running["orders-next"].lines  # no copies of what testers send
        names = [client.get("/orders/8", headers={"Cookie": f"session={n}"}).json()["name"] for n in range(200)]
        again = [client.get("/orders/8", headers={"Cookie": f"session={n}"}).json()["name"] for n in range(20)]

    assert tester["name"] == "orders-canary"
    counted = Counter(name.removesuffix("-1").removesuffix("-2") for name in names)
    assert 5 <= counted["orders-canary"] <= 40
    assert [name == "orders-canary" for name in names[:20]] == [name == "orders-canary" for name in again]
    until(lambda: "orders-next GET /orders/8" in running["orders-next"].lines, "the next version gets copies")
    stops(gateway)


def test_clients_do_not_see_that_an_endpoint_fails(example: Example) -> None:
    services(example, "503")
    gateway, url = example.ready()
    admin = f"http://127.0.0.1:{example.environ['ADMIN_PORT']}/metrics"

    def breaker_is_open() -> bool:
        lines = [line for line in httpx.get(admin).text.splitlines() if "orders-2" in line]
        return any("breaker" in line and '"open"' in line and line.endswith(" 1.0") for line in lines)

    with example.client(url) as client:
        statuses = [client.get("/orders/7", headers={"Cookie": f"session={n}"}).status_code for n in range(60)]

    assert set(statuses) == {200}
    until(breaker_is_open, "the breaker of orders-2 is open")
    stops(gateway)


def test_an_endpoint_that_stops_is_left_out(example: Example) -> None:
    running = services(example)
    gateway, url = example.ready()

    running["orders-1"].stop()
    with example.client(url) as client:
        statuses = [client.get("/orders/7", headers={"Cookie": f"session={n}"}).status_code for n in range(40)]
    assert set(statuses) == {200}
    says(gateway, "orders-1.*unhealthy|unhealthy.*orders-1")
    stops(gateway)
