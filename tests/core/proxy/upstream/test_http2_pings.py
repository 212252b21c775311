"""How often an endpoint gets a PING."""

from __future__ import annotations

from gateway_core.proxy.upstream.http2_pings import PingRation


def test_two_may_be_sent_without_a_response_between_them() -> None:
    ration = PingRation()
    assert [ration.spend(now) for now in (0, 1, 2)] == [True, True, False]


def test_a_response_allows_two_more() -> None:
    ration = PingRation()
    ration.spend(0)
    ration.spend(1)
    ration.responded()
    assert [ration.spend(now) for now in (2, 3, 4)] == [True, True, False]


def test_without_a_response_the_next_one_comes_after_five_minutes() -> None:
    ration = PingRation()
    assert [ration.spend(now) for now in (0, 1, 300, 301, 302)] == [True, True, False, True, False]


def test_an_endpoint_that_had_too_many_gets_them_at_twice_the_interval() -> None:
    ration = PingRation()
    ration.spend(0)
    ration.reproved()
    ration.responded()
    assert [ration.spend(now) for now in (1, 599, 600, 1199, 1200)] == [False, False, True, False, True]
    ration.reproved()
    assert [ration.spend(now) for now in (2399, 2400)] == [False, True]
