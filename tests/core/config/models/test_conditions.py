from __future__ import annotations

from typing import Any

import pytest
from gateway_core.config.models.conditions import AddressConditionConfig, ConditionConfig
from gateway_core.config.models.route import RouteConfig
from pydantic import ValidationError

ROUTE: dict[str, Any] = {"id": "r", "respond": {}}


def test_a_text_stands_for_its_value_and_for_its_network() -> None:
    route = RouteConfig.model_validate({**ROUTE, "cookies": {"a": "1"}, "client_ip": "10.0.0.0/8"})

    assert route.cookies == {"a": ConditionConfig(value="1")}
    assert route.client_ip == AddressConditionConfig.model_validate({"one_of": ["10.0.0.0/8"]})


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"cookies": {"a": 1}}, "put it in quotes"),
        ({"cookies": {"a b": "1"}}, "is not the name of a cookie"),
        ({"headers": {"a": {"one_of": []}}}, "give at least one"),
        ({"headers": {"a": ["1", "2"]}}, r"write \{one_of: \[...\]\}"),
        ({"query": {"a": {"one_of": ["1"], "none_of": ["2"]}}}, "one_of and none_of are given"),
        ({"params": {"a": {}}}, "give exactly one of value, regex, present, one_of and none_of"),
        ({"client_ip": "10.0.0.1/8"}, "write 10.0.0.0/8"),
        ({"client_ip": ["10.0.0.0/8"]}, r"write \{one_of: \[...\]\}"),
        ({"client_ip": {"regex": "10.*"}}, "compared with networks only"),
        ({"client_ip": {}}, "give exactly one of one_of and none_of"),
        ({"client_ip": {"none_of": []}}, "give at least one"),
        ({"scheme": "ftp"}, "http"),
    ],
)
def test_conditions_that_cannot_be_evaluated_are_refused(change: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValidationError, match=remedy):
        RouteConfig.model_validate({**ROUTE, **change})
