from __future__ import annotations

from collections.abc import Callable

from gateway_core.clock import ManualClock
from gateway_core.hooks import Binding

Bind = Callable[..., Binding]


def test_a_binding_describes_its_policy_and_its_state(bind: Bind, clock: ManualClock) -> None:
    binding = bind({}, "x", route="r", quarantine=(1, 10.0, 30.0, 1), on_error="continue", is_shadow=True)
    now = clock.monotonic()
    before = binding.describe(now)

    binding.faults.failed(binding, "gateway_log", None, ValueError())

    assert before == {
        "id": "x",
        "path": "",
        "plugin": "plugin-of-x",
        "version": "1",
        "route": "r",
        "place": "",
        "mode": "shadow",
        "on_error": "continue",
        "failures": 0,
        "quarantine": "closed",
        "quarantines": 0,
        "released": False,
    }
    after = {"failures": 1, "quarantine": "open", "quarantines": 1}
    assert binding.describe(now) == {**before, **after}
    assert binding.describe(now + 30)["quarantine"] == "half-open"


def test_a_binding_without_quarantine_says_so(bind: Bind) -> None:
    assert bind({}).describe(0.0)["quarantine"] is None


def test_a_bindings_representation_shows_no_configuration(bind: Bind) -> None:
    binding = bind({})
    binding.config = {"secret": "hush"}

    assert "hush" not in repr(binding)
