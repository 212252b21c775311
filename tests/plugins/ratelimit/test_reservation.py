from __future__ import annotations

from gateway_plugin_ratelimit.algorithms import Decision, TokenBucket
from gateway_plugin_ratelimit.config import LimitConfig
from gateway_plugin_ratelimit.limits import Limit
from gateway_plugin_ratelimit.reservation import Reservation


def reservation_of(*decisions: Decision) -> Reservation:
    limits = [Limit(f"l{i}", LimitConfig(name=f"l{i}", rate=1), "scope") for i in range(len(decisions))]
    reservation = Reservation(limits, [TokenBucket(1, 1)] * len(limits), ["c"] * len(limits), [1] * len(limits))
    reservation.decisions = decisions
    return reservation


def test_a_refused_request_waits_for_the_slowest_of_those_that_refuse() -> None:
    reservation = reservation_of(
        Decision(False, None, 0, 0.0, 2.0), Decision(True, None, 5, 0.0, 9.0), Decision(False, None, 0, 0.0, 3.0)
    )

    assert not reservation.is_allowed
    assert reservation.violated == ["l0", "l2"]
    assert reservation.wait == 3.0


def test_an_allowed_request_is_held_back_as_long_as_the_slowest_wants() -> None:
    reservation = reservation_of(Decision(True, None, 1, 0.0, 0.0), Decision(True, None, 0, 0.0, 0.4))

    assert reservation.is_allowed
    assert reservation.violated == []
    assert reservation.wait == 0.4
