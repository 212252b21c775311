from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_sdk.testing import InvalidConfigError, StartGateway, assert_plugin_ok, one_route
from gateway_plugin_upstream_auth import UpstreamAuth
from gateway_plugin_upstream_auth.config import UpstreamAuthConfig

OAUTH: dict[str, Any] = {"token_url": "https://idp.test/token", "client_id": "g", "client_secret": "hunter2"}
AWS = {"access_key_id": "AK", "secret_access_key": "hunter2", "region": "eu", "service": "s3"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "has no credentials: write one of basic, bearer"),
        ({"bearer": {"token": "a"}, "aws": AWS}, "has bearer and aws: write one of"),
        ({"basic": {"username": "a:b", "password": "x"}}, "has a colon"),
        ({"basic": {"username": "a", "password": "hunter2\n"}}, "line break"),
        ({"bearer": {"token": "hunter2 hunter3"}}, "is not a bearer token"),
        ({"bearer": {"token": ""}}, "is not a bearer token"),
        ({"api_key": {"value": "hunter2"}}, "write header or query"),
        ({"api_key": {"value": "hunter2", "header": "A", "query": "b"}}, "write header or query"),
        ({"api_key": {"value": "hunter2", "query": "b", "prefix": "Token"}}, "prefix goes with header"),
        ({"api_key": {"value": "", "header": "A"}}, "value is empty"),
        ({"api_key": {"value": "hunter2", "header": "A b"}}, "api_key.header"),
        ({"oauth2": {**OAUTH, "token_url": "idp.test"}}, "is not a URL"),
        ({"oauth2": {**OAUTH, "token_url": "https://u:hunter2@idp.test/"}}, "has a user in it"),
        ({"oauth2": {**OAUTH, "params": {"scope": "x"}}}, "params has 'scope'"),
        ({"oauth2": {**OAUTH, "scopes": ["a b"]}}, "scopes"),
        ({"oauth2": {**OAUTH, "upstream": "nowhere"}}, "nowhere"),
        ({"aws": {**AWS, "region": "eu central"}}, "is not a name that AWS gives"),
        ({"aws": {**AWS, "payload": "none"}}, "aws.payload"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_with_its_place_and_without_its_secret(
    gateway: StartGateway, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        gateway(one_route("http://127.0.0.1:9", {"name": "upstream-auth", "config": config}), plugins=[UpstreamAuth])

    assert message in str(caught.value)
    assert "routes[0].plugins[0].config" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "codes"),
    [
        ({"oauth2": {**OAUTH, "token_url": "http://idp.test/token"}}, ["plain-token-url"]),
        ({"oauth2": {**OAUTH, "token_url": "http://127.0.0.1/token"}}, []),
        ({"aws": {**AWS, "service": "execute-api", "payload": "unsigned"}}, ["unsigned-payload"]),
        ({"aws": {**AWS, "payload": "unsigned"}}, []),
    ],
)
def test_what_is_unlikely_to_be_meant_is_a_warning(config: dict[str, Any], codes: list[str]) -> None:
    found = list(UpstreamAuth.check_config(UpstreamAuthConfig.model_validate(config)))

    assert [(finding.code, finding.severity) for finding in found] == [(code, "warning") for code in codes]


def test_no_secret_is_in_a_text_of_the_options() -> None:
    for config in ({"oauth2": OAUTH}, {"aws": {**AWS, "session_token": "hunter2"}}, {"bearer": {"token": "hunter2"}}):
        model = UpstreamAuthConfig.model_validate(config)

        assert "hunter2" not in repr(model) + model.model_dump_json()


def test_the_plugin_keeps_to_what_plugins_should() -> None:
    assert_plugin_ok(UpstreamAuth, {"bearer": {"token": "abc"}})
