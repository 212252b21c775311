from __future__ import annotations

from gateway_plugin_ratelimit.algorithms import Decision, TokenBucket
from gateway_plugin_ratelimit.config import LimitConfig
from gateway_plugin_ratelimit.limits import Limit
from gateway_plugin_ratelimit.passage import Passage


def passage_of(*decisions: Decision) -> Passage:
    limits = [Limit(f"l{i}", LimitConfig(name=f"l{i}", rate=1), "scope") for i in range(len(decisions))]
    passage = Passage(limits, [TokenBucket(1, 1)] * len(limits), ["c"] * len(limits), [1] * len(limits))
    passage.decisions = decisions
    return passage


def test_a_refused_request_waits_for_the_slowest_of_those_that_refuse() -> None:
    passage = passage_of(
        Decision(False, None, 0, 0.0, 2.0), Decision(True, None, 5, 0.0, 9.0), Decision(False, None, 0, 0.0, 3.0)
    )

    assert not passage.is_allowed
    assert passage.violated == ["l0", "l2"]
    assert passage.wait == 3.0


def test_an_allowed_request_is_held_back_as_long_as_the_slowest_wants() -> None:
    passage = passage_of(Decision(True, None, 1, 0.0, 0.0), Decision(True, None, 0, 0.0, 0.4))

    assert passage.is_allowed
    assert passage.violated == []
    assert passage.wait == 0.4
