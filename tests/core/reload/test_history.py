from __future__ import annotations

from gateway_core.clock import ManualClock
from gateway_core.config import ConfigProblem, Place
from gateway_core.reload.history import ReloadHistory, State

PROBLEM = ConfigProblem(Place("g.yaml", 1, 2), "workers", "is wrong", code="value.invalid")


def test_the_start_counts_as_a_reload_and_takes_its_time() -> None:
    clock = ManualClock(wall=1_700_000_000.0)
    history = ReloadHistory(clock)
    assert history.last is None
    assert history.is_ok
    clock.advance(1.5)

    outcome = history.succeed("3 routes changed")

    assert outcome.describe() == {
        "ok": True,
        "result": "ok",
        "at": "2023-11-14T22:13:21.500+00:00",
        "seconds": 1.5,
        "trigger": "start",
        "stage": "committed",
        "reason": "3 routes changed",
        "problems": [],
        "report": "",
    }
    assert history.in_force_at == 1_700_000_001.5


def test_a_failure_is_told_with_its_problems_and_stays_when_a_later_reload_succeeds() -> None:
    clock = ManualClock()
    history = ReloadHistory(clock)
    history.succeed()
    in_force_at = history.in_force_at
    history.begin("gateway.yaml changed")
    clock.advance(0.25)

    failure = history.fail("rejected", [PROBLEM])

    assert (failure.result, failure.state, failure.seconds) == ("rejected", State.CHANGED, 0.25)
    assert failure.trigger == "gateway.yaml changed"
    assert [each["key"] for each in failure.describe()["problems"]] == ["workers"]
    assert (history.is_ok, history.in_force_at) == (False, in_force_at)

    history.begin("SIGHUP")
    history.succeed("1 route changed")

    assert history.is_ok
    assert history.last_failure is failure


def test_reloads_are_counted_by_what_became_of_them() -> None:
    history = ReloadHistory(ManualClock())
    history.succeed()
    history.fail("rejected", [PROBLEM])
    history.fail("no descriptors")
    history.fail("no descriptors")

    assert history.counts == {"ok": 1, "rejected": 1, "failed": 2}
