from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from gateway_core.routing import RouteRule, ValueCondition


def test_rules_and_conditions_are_values() -> None:
    one, other = (RouteRule(id="a", payload=1, path="/", headers=(ValueCondition("x", value="1"),)) for _ in range(2))

    assert one == other
    assert hash(one) == hash(other)
    with pytest.raises(FrozenInstanceError):
        one.id = "b"  # type: ignore[misc]
