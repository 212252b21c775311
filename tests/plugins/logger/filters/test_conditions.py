from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_logger.config import Conditions
from gateway_plugin_logger.filters.conditions import make_condition


@pytest.mark.parametrize(
    ("condition", "matching", "other"),
    [
        ({"statuses": ["5xx", 404]}, {"status": 404}, {"status": 200}),
        ({"methods": ["POST"]}, {"method": "POST"}, {}),
        ({"routes": ["a"]}, {"route": "a"}, {"route": None}),
        ({"paths": ["/health"]}, {"target": "/health?x"}, {"target": "/healthy"}),
        ({"paths": ["/static/*"]}, {"target": "/static/a.js"}, {"target": "/static"}),
        ({"hosts": ["Example.com"]}, {"host": "EXAMPLE.com:80"}, {"host": "www.example.com"}),
        ({"hosts": ["[::1]"]}, {"host": "[::1]:80"}, {"host": "::1"}),
        ({"slower_than": "1s"}, {"duration": 1.1}, {"duration": 0.9}),
        ({"retried": True}, {"attempts": 2}, {"attempts": 1}),
        ({"aborted": True}, {"aborted": "client"}, {}),
        ({"failed": True}, {"error": "away"}, {}),
        ({"when": "status == 201"}, {"status": 201}, {}),
        ({"statuses": [404], "slower_than": "1s"}, {"duration": 2.0}, {"status": 200}),
        ({"statuses": [404], "slower_than": "1s"}, {"status": 404}, {"status": 200}),
    ],
)
def test_conditions_hold_if_any_of_them_does(
    condition: dict[str, Any], matching: dict[str, Any], other: dict[str, Any], make_event: Any
) -> None:
    test = make_condition(Conditions.model_validate(condition), undecided=True)

    assert test is not None
    assert test(*make_event(**matching))
    assert not test(*make_event(**other))


def test_who_answered_is_a_condition(make_event: Any) -> None:
    test = make_condition(Conditions(produced_by=("auth",)), undecided=True)
    event = make_event()

    assert test is not None
    assert not test(*event)
    event.record.produced_by = "auth"
    assert test(*event)


def test_no_conditions_are_no_test() -> None:
    assert make_condition(Conditions(), undecided=True) is None
