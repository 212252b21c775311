from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_headers import HeaderRules
from gateway_plugin_headers.config import HeadersConfig, HstsConfig, RequestRules, ResponseRules, SecurityConfig
from gateway_plugin_sdk.testing import InvalidConfigError, assert_plugin_ok, one_route


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "changes nothing"),
        ({"request": {"set": {"Content-Length": "1"}}}, "belongs to the connection or the framing"),
        ({"request": {"remove": ["transfer-encoding"]}}, "belongs to the connection or the framing"),
        ({"request": {"remove": ["*-debug"]}}, "write a name, or its beginning"),
        ({"request": {"set": {"a b": "x"}}}, "request.set"),
        ({"request": {"set": {"X-A": "{user}"}}}, "names {user}, which there is not"),
        ({"request": {"set": {"X-A": "{status}"}}}, "only behind the upstream: move it to response"),
        ({"request": {"set": {"X-A": "${gone"}}}, "${"),
        ({"request": {"set": {"X-A": "a\u0001b"}}}, "control character"),
        ({"request": {"set": {"X-A": "snow \u2603"}}}, "outside latin-1"),
        ({"request": {"set": {"X-A": 5}}}, "request.set"),
        ({"request": {"append": {"Cookie": "a=1"}}}, "no list with commas"),
        ({"response": {"append": {"set-cookie": "a=1"}}}, "no list with commas"),
        ({"request": {"sets": {}}}, "sets"),
        ({"request": {"keep": []}}, "keep"),
        ({"response": {"statuses": ["60x"], "set": {"X-A": "b"}}}, "write for example 404, 500-599 or 5xx"),
        ({"response": {"statuses": ["599-500"], "set": {"X-A": "b"}}}, "ends before it begins: write 500-599"),
        ({"response": {"dedupe": {"X-A": "some"}}}, "dedupe"),
        ({"security": {"hsts": {"preload": True}}}, "preload needs subdomains: true"),
        ({"security": {"frame_options": "ALLOW-FROM x"}}, "frame_options"),
        ({"request": {"set": {"X-User": "{identity}"}}}, "identity"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_with_its_place(gateway: Any, config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        gateway(one_route("http://127.0.0.1:9", {"name": "headers", "config": config}), plugins=[HeaderRules])

    assert message in str(caught.value)


def test_every_option_is_described() -> None:
    models = (HeadersConfig, RequestRules, ResponseRules, SecurityConfig, HstsConfig)

    assert all(field.description for model in models for field in model.model_fields.values())


def test_the_plugin_keeps_to_what_plugins_should() -> None:
    assert_plugin_ok(HeaderRules, {"hide_server": True, "request": {"set": {"X-A": "b"}}})
