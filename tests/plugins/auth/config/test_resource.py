from __future__ import annotations

import datetime
from typing import Any

import pytest
from gateway_plugin_auth.config.resource import ResourceOptions
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "resource"), ({"resource": "api"}, "is not a URL"), ({"resource": "http://a.example/"}, "not encrypted"),
        ({"resource": "https://a.example/?b"}, "a query or a fragment"),
        ({"resource": "https://a.example/#b"}, "a query or a fragment"),
        ({"resource": 'https://a.example/"b'}, "percent-encode"),
        ({"resource": "https://a.example/\\"}, "percent-encode"),
        ({"resource": "https://a.example/\u0436"}, "percent-encode"),
        ({"resource": "https://u:p@a.example"}, "has a user"),
        ({"resource": "https://a.example", "more": {"since": datetime.date(2026, 1, 1)}}, "write it as a text"),
        ({"resource": "https://a.example", "more": {"x": [float("nan")]}}, "write it as a text"),
        ({"resource": "https://a.example", "scopes_supported": ["a b"]}, "pattern"),
        ({"resource": "https://a.example", "more": {"resource": "x"}}, "an option of its own"),
        ({"resource": "https://a.example", "authorization_servers": ["x"]}, "is not a URL"),
    ],
)  # fmt: skip
def test_what_clients_could_not_use_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ResourceOptions.model_validate(options)


def test_a_resource_on_this_machine_needs_no_tls() -> None:
    assert ResourceOptions.model_validate({"resource": "http://localhost:8080/a"}).resource == "http://localhost:8080/a"
