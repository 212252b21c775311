from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.clock import ManualClock
from gateway_core.hooks import Binding
from gateway_core.hooks.failure_log import HookTimeoutError, describe
from gateway_core.messages import Request

Bind = Callable[..., Binding]


def fail(binding: Binding, request: Request | None, error: Exception) -> None:
    binding.faults.failed(binding, "gateway_log", request, error)


def test_the_first_failure_of_a_kind_is_logged_in_full_and_then_one_line_stands_for_ten_seconds(
    bind: Bind, request_: Request, clock: ManualClock, caplog: pytest.LogCaptureFixture, counted: Callable[..., float]
) -> None:
    binding = bind({})

    for _ in range(100):
        fail(binding, request_, ValueError("a"))
    fail(binding, request_, KeyError("b"))
    clock.advance(10)
    fail(binding, request_, ValueError("c"))

    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition("r-1: ")[2] for line in lines] == [
        "ValueError: a",
        "KeyError: 'b'",
        "ValueError: c (100 times since the last such line)",
    ]
    assert [record.exc_info is not None for record in caplog.records] == [True, True, False]
    assert [vars(record)["fields"]["count"] for record in caplog.records] == [1, 1, 100]
    assert counted("gateway_plugin_errors") == binding.faults.count == 102


def test_a_failure_is_recent_for_some_minutes(bind: Bind, clock: ManualClock) -> None:
    binding = bind({})
    assert not binding.faults.is_recent(clock.monotonic())

    fail(binding, None, ValueError("a"))

    assert binding.faults.is_recent(clock.monotonic())
    clock.advance(300)
    assert not binding.faults.is_recent(clock.monotonic())


def test_a_timeout_is_counted_as_such(bind: Bind, counted: Callable[..., float]) -> None:
    fail(bind({}), None, HookTimeoutError("no result within its timeout of 1s"))

    assert (counted("gateway_plugin_timeouts"), counted("gateway_plugin_errors")) == (1, 0)


def test_a_binding_names_itself_and_its_place(bind: Bind) -> None:
    assert str(bind({}, "x")) == "binding 'x' of plugin 'plugin-of-x' (gateway-wide)"
    assert str(bind({}, "x", route="r")) == "binding 'x' of plugin 'plugin-of-x' (on route 'r')"


def test_an_exception_is_described_in_one_line_with_its_place() -> None:
    with pytest.raises(ValueError, match="two") as caught:
        raise ValueError("two\nlines")

    assert describe(caught.value) == f"ValueError: two lines ({__file__}:{caught.traceback[-1].lineno + 1})"
    assert describe(KeyError()) == "KeyError"


def test_metrics_of_two_bindings_do_not_mix(bind: Bind, counted: Callable[..., float]) -> None:
    one, two = bind({}, "one"), bind({}, "two")

    fail(one, None, ValueError())
    fail(two, None, ValueError())
    fail(two, None, ValueError())

    labels: list[dict[str, Any]] = [{"binding": "one"}, {"binding": "two"}, {"plugin": "plugin-of-two"}]
    assert [counted("gateway_plugin_errors", **each) for each in labels] == [1, 2, 2]
