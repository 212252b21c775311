from __future__ import annotations

from gateway_core.config import ConfigProblem, Place
from gateway_core.reload.record import ReloadRecord, Stage

PROBLEM = ConfigProblem(Place("g.yaml", 1, 2), "workers", "is wrong", code="value.invalid")


def test_nothing_is_told_before_the_first_reload() -> None:
    assert ReloadRecord().describe() is None


def test_the_last_reload_is_told_with_its_time_and_problems() -> None:
    record = ReloadRecord()
    record.succeed(1_700_000_000.0, "3 routes changed")
    assert record.describe() == {
        "ok": True,
        "at": "2023-11-14T22:13:20.000+00:00",
        "stage": "committed",
        "reason": "3 routes changed",
        "problems": [],
    }

    record.stage = Stage.CHANGED
    record.fail(1_700_000_060.0, "rejected", [PROBLEM])

    told = record.describe()
    assert told is not None
    assert (told["ok"], told["stage"], [each["key"] for each in told["problems"]]) == (False, "changed", ["workers"])
    assert record.in_force_at == 1_700_000_000.0


def test_reloads_are_counted_by_what_became_of_them() -> None:
    record = ReloadRecord()
    record.succeed(1.0)
    record.fail(2.0, "rejected", [PROBLEM])
    record.fail(3.0, "no descriptors")
    record.fail(4.0, "no descriptors")

    assert record.counts == {"ok": 1, "rejected": 1, "failed": 2}
