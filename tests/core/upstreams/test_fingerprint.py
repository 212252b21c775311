from __future__ import annotations

import pytest
from gateway_core.config import HealthCheckConfig, Secret
from gateway_core.upstreams.fingerprint import fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": 1}, {"a": "1"}),
        ([1, 2], [2, 1]),
        ({"a": {"b": 1}}, {"a": {"b": 2}}),
        ({}, []),
        ({}, {"a": None}),
        (Secret("one"), Secret("other")),
        (Secret("one"), "one"),
        (
            HealthCheckConfig.model_validate({"headers": {"authorization": "Bearer one"}}),
            HealthCheckConfig.model_validate({"headers": {"authorization": "Bearer other"}}),
        ),
    ],
)
def test_what_differs_has_another_fingerprint(one: object, other: object) -> None:
    assert fingerprint(one) != fingerprint(other)


def test_what_is_equal_has_the_same_fingerprint_in_every_process() -> None:
    value = {"b": [1, None, "é"], "a": HealthCheckConfig(path="/health")}

    assert fingerprint(value) == fingerprint({"a": HealthCheckConfig(path="/health"), "b": (1, None, "é")})
    assert fingerprint("a", 1) == "484c670ce4753ed75a3cc908af49224a"
