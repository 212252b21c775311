from __future__ import annotations

import os

import pytest
from gateway_core import shortages as module
from gateway_core.shortages import end_shortage, note_shortage, recent_shortages, shortages


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_noted", {})
    monkeypatch.setattr(module, "_counts", {})


def test_a_shortage_is_shown_for_a_minute_after_it_was_met_last() -> None:
    note_shortage("accept", "connections cannot be accepted", "too many open files", 100.0)
    note_shortage("accept", "connections cannot be accepted", "too many open files", 130.0)

    assert recent_shortages(189.0) == ["connections cannot be accepted: too many open files"]
    assert recent_shortages(190.0) == []


def test_one_that_lasts_is_shown_until_it_is_over() -> None:
    note_shortage("state", "it cannot be kept", "no space left on device", None)
    assert recent_shortages(1e9) == ["it cannot be kept: no space left on device"]

    end_shortage("it cannot be kept")
    end_shortage("it cannot be kept")

    assert recent_shortages(1e9) == []


def test_every_kind_is_counted_from_0_on() -> None:
    note_shortage("connect", "endpoints cannot be connected to", "no ports", 1.0)
    note_shortage("connect", "endpoints cannot be connected to", "no ports", 2.0)

    assert shortages() == {"accept": 0, "connect": 2, "log": 0, "memory": 0, "state": 0}


def test_a_child_does_not_report_what_its_parent_has_met() -> None:
    note_shortage("log", "lines are lost", "no space", None)

    child = os.fork()
    if not child:
        os._exit(0 if not recent_shortages(0.0) and not any(shortages().values()) else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert shortages()["log"] == 1
