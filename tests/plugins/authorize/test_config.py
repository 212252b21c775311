from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_authorize import Authorize
from gateway_plugin_authorize.config import AuthorizeConfig
from gateway_plugin_sdk.testing import InvalidConfigError, StartGateway, assert_plugin_ok, one_route

GET = {"methods": ["GET"]}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "decides nothing: write rule, opa or shadow_rule"),
        ({"rule": {}}, "is empty: write a condition"),
        ({"rule": {"any": []}}, "rule.any"),
        ({"rule": {"groups": []}}, "rule.groups"),
        ({"rule": {"not": {"any": [{}]}}}, "is empty: write a condition"),
        ({"rule": {"group": ["a"]}}, 'did you mean "groups"'),
        ({"rule": {"authenticated": False}}, "rule.authenticated"),
        ({"rule": {"paths": ["a"]}}, "rule.paths[0]"),
        ({"rule": {"claim": {"path": "a"}}}, "has no test: write one of equals"),
        ({"rule": {"claim": {"path": "a", "equals": 1, "regex": "b"}}}, "has equals and regex"),
        ({"rule": {"claim": {"path": "a", "one_of": [1, "1"]}}}, "values of several types"),
        ({"rule": {"claim": {"path": "a", "regex": "("}}}, "regex"),
        ({"rule": GET, "status": 200}, "status"),
        ({"rule": GET, "consumers": "gone.yaml"}, "names no file"),
        ({"rule": GET, "consumer_header": "X-Consumer"}, "consumer_header needs consumers"),
        ({"rule": {"consumers": ["shop"]}}, "needs a file of consumers"),
        ({"rule": GET, "opa": {"target": "nowhere"}}, "nowhere"),
        ({"rule": {"groups": ["a"]}}, "identity"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_with_its_place(
    gateway: StartGateway, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        gateway(one_route("http://127.0.0.1:9", {"name": "authorize", "config": config}), plugins=[Authorize])

    assert message in str(caught.value)
    assert "routes[0].plugins[0]" in str(caught.value)


def test_a_rule_names_a_consumer_that_there_is(gateway: StartGateway, tmp_path: Path) -> None:
    file = tmp_path / "consumers.yaml"
    file.write_text("consumers: [{name: shop, credentials: [{scheme: jwt, subject: a}]}]")
    rule = {"any": [GET, {"not": {"consumers": ["shop", "shp"]}}]}
    config = {"rule": rule, "consumers": str(file)}

    findings = list(Authorize.check_config(AuthorizeConfig.model_validate(config)))

    assert [(finding.path, finding.code) for finding in findings] == [
        (("rule", "any", 1, "not", "consumers", 1), "unknown-consumer")
    ]


def test_the_plugin_keeps_to_what_plugins_should() -> None:
    assert_plugin_ok(Authorize, {"rule": GET})
