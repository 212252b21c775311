"""Rate limits of an authority are kept to: by all names, over restarts, and while another authority is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_core.clock import SystemClock
from gateway_plugin_sdk.testing import ManualClock, RunningGateway, StartGateway, eventually

from tests.plugins.acme.conftest import document, has_certificate
from tests.plugins.acme.limits import Front, in_front_of, limited
from tests.plugins.acme.pebble import Pebble
from tests.plugins.acme.test_status import NAME, issuance_of

pytestmark = pytest.mark.one_protocol(reason="about an authority")


@pytest.fixture
def front(pebble: Pebble) -> Iterator[Front]:
    with in_front_of(pebble) as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall=SystemClock().wall())


def refuse_orders(front: Front, retry_after: str, **more: Any) -> None:
    front.refuse = lambda path: limited(retry_after, **more) if path == "/order-plz" else None


def is_failing(running: RunningGateway, name: str = NAME) -> bool:
    return bool(issuance_of(running, name)["issuance"]["is_failing"])


def test_the_time_that_an_authority_gives_is_waited_for_over_restarts(
    gateway: StartGateway, pebble: Pebble, front: Front, storage: Path, clock: ManualClock
) -> None:
    refuse_orders(front, "7200")
    config = document(pebble, storage, [NAME], authorities=[front.config()])
    running = gateway(config, clock=clock)
    eventually(lambda: is_failing(running))
    assert "too many certificates" in issuance_of(running, NAME)["issuance"]["error"]

    def restart() -> RunningGateway:
        running.close()
        clock.advance(3000)
        again = gateway(config, clock=clock)
        eventually(lambda: any("ordered by this process" in each.getMessage() for each in again.logs))
        eventually(lambda: is_failing(again))
        return again

    running = restart()
    running = restart()
    assert front.orders() == 1
    front.refuse = lambda path: None
    clock.advance(1300)

    eventually(lambda: has_certificate(pebble.tls_port, NAME))
    assert front.orders() == 2


def test_a_limit_keeps_other_names_from_the_authority_for_a_while(
    gateway: StartGateway, pebble: Pebble, front: Front, storage: Path, clock: ManualClock
) -> None:
    names = [f"host{number}.example.com" for number in range(30)]
    refuse_orders(front, "7200", body=b"<html>Too Many Requests</html>")
    running = gateway(document(pebble, storage, names, authorities=[front.config()]), clock=clock)

    eventually(lambda: all(is_failing(running, name) for name in names))

    # Those that were under way together have met the limit; the others have not asked.
    assert front.orders() <= 8
    front.refuse = lambda path: None
    clock.advance(1000)
    eventually(lambda: pebble.issued() >= 22)
    clock.advance(7200)
    eventually(lambda: pebble.issued() == 30)


def test_while_one_authority_has_us_wait_another_one_is_asked_with_the_usual_pauses(
    gateway: StartGateway, pebble: Pebble, front: Front, storage: Path, clock: ManualClock
) -> None:
    refuse_orders(front, "86400")
    with in_front_of(pebble) as second:
        second.refuse = lambda path: (503, {}, b"maintenance")
        config = document(pebble, storage, [NAME], authorities=[front.config(), second.config()])
        running = gateway(config, clock=clock)
        eventually(lambda: is_failing(running))
        for failures in (2, 3):
            before = len(second.asked)
            clock.advance(2 * 4.0**failures)
            eventually(lambda count=before: len(second.asked) > count)  # type: ignore[misc]
        second.refuse = lambda path: None
        clock.advance(200)

        eventually(lambda: has_certificate(pebble.tls_port, NAME))
    assert front.orders() == 1


def test_what_an_authority_has_us_wait_is_bounded_by_a_week(
    gateway: StartGateway, pebble: Pebble, front: Front, storage: Path, clock: ManualClock
) -> None:
    refuse_orders(front, "99999999999")
    running = gateway(document(pebble, storage, [NAME], authorities=[front.config()]), clock=clock)
    eventually(lambda: is_failing(running))
    front.refuse = lambda path: None

    clock.advance(7 * 86400 + 1)

    eventually(lambda: front.orders() == 2)
