from __future__ import annotations

import asyncio
from typing import Any

from gateway_core.clock import SystemClock
from gateway_core.config import GatewayConfig
from gateway_core.snapshot.changes import Changes, Difference, changed_settings, compare, counted
from gateway_core.snapshot.yielder import Yielder
from hypothesis import given
from hypothesis import strategies as st

TABLES = st.dictionaries(st.integers(0, 9), st.integers(0, 2))


def compared(old: dict[Any, int], new: dict[Any, int]) -> Difference:
    return asyncio.run(compare(old, new, Yielder(SystemClock())))


def test_counts_what_is_new_gone_different_and_as_it_was() -> None:
    assert compared({"a": 1, "b": 2, "c": 3}, {"b": 2, "c": 4, "d": 5}) == Difference(1, 1, 1, 1)


@given(TABLES, TABLES)
def test_every_entry_is_counted_once(old: dict[int, int], new: dict[int, int]) -> None:
    found = compared(old, new)

    assert found.removed + found.changed + found.kept == len(old)
    assert found.added + found.changed + found.kept == len(new)
    assert found.is_empty is (old == new)


def test_says_only_what_is_different_and_always_the_bindings() -> None:
    changes = Changes(Difference(changed=3), Difference(), Difference(added=1, removed=2), 2, 41)

    assert str(changes) == "3 routes changed, 1 endpoint added, 2 endpoints removed, 2 bindings rebuilt, 41 kept"


def test_says_that_nothing_is_different() -> None:
    assert str(Changes(Difference(kept=4), Difference(), Difference(), 0, 1)) == "0 bindings rebuilt, 1 kept"


def test_says_which_settings_are_different() -> None:
    old = GatewayConfig.model_validate({"workers": 1, "shutdown_timeout": "5s"})
    new = GatewayConfig.model_validate({"workers": 2, "shutdown_timeout": "6s", "plugins": [{"name": "logger"}]})
    settings = changed_settings(old, new)

    assert sorted(settings) == ["shutdown_timeout", "workers"]
    assert changed_settings(old, old) == ()
    nothing = Difference()
    told = str(Changes(nothing, nothing, nothing, 0, 1, settings=("limits", "workers")))
    assert told == "limits and workers changed, 0 bindings rebuilt, 1 kept"


def test_counts_in_plain_english() -> None:
    assert [counted(number, "route") for number in (0, 1, 2)] == ["0 routes", "1 route", "2 routes"]
