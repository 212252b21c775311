from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_cors import Cors
from gateway_plugin_cors.config import CorsConfig
from gateway_plugin_sdk.testing import InvalidConfigError, assert_plugin_ok, one_route


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "origins"),
        ({"origins": []}, "origins"),
        (
            {"origins": ["*"], "credentials": True},
            "would let every page of the web act for your users: list the origins",
        ),
        ({"origins": ["*", "https://a.example.com"]}, '"*" stands for all origins'),
        ({"origins": ["app.example.com"]}, "write a scheme and a host, such as https://app.example.com"),
        ({"origins": ["https://app.example.com/"]}, "has a path, and origins have none: write https://app.example.com"),
        ({"origins": ["https://app.example.com/x?y"]}, "has a path"),
        ({"origins": ["https://App.example.com"]}, "in lower case: write https://app.example.com"),
        ({"origins": ["https://app.example.com:443"]}, "names the default port, which browsers leave out"),
        ({"origins": ["https://app.example.com:99999"]}, "its port is no number"),
        ({"origins": ["https://a.*.example.com"]}, "has no other wildcard; use regex"),
        ({"origins": ["https://u@example.com"]}, "has a user"),
        ({"origins": ["https://b\u00fccher.example"]}, "write the host's name with xn--"),
        ({"origins": [{"regex": "("}]}, "origins[0].regex"),
        (
            {"origins": ["https://a.test", {"regex": "https://.*"}], "credentials": True},
            "a pattern for every origin would let every page of the web act for your users: name the hosts",
        ),
        ({"origins": ["https://a.test"], "methods": ["get"]}, "they are case-sensitive: write GET"),
        ({"origins": ["https://a.test"], "methods": []}, "methods"),
        ({"origins": ["https://a.test"], "headers": ["a b"]}, "is not a header name"),
        ({"origins": ["https://a.test"], "headers": ["*", "x-a"]}, '"*" stands for all headers'),
        ({"origins": ["https://a.test"], "expose": ["*"], "credentials": True}, "list the fields"),
        ({"origins": ["https://a.test"], "max_age": 600}, "is not a duration"),
        ({"origins": ["https://a.test"], "allow_origin": "x"}, "allow_origin"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_with_its_place(gateway: Any, config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        gateway(one_route("http://127.0.0.1:9", {"name": "cors", "config": config}), plugins=[Cors])

    assert message in str(caught.value)
    assert "routes[0].plugins[0].config" in str(caught.value)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(("origin", "codes"), [("null", ["null-credentials"]), ("https://a.test", [])])
def test_credentials_for_the_origin_of_any_sandboxed_frame_are_a_warning(origin: str, codes: list[str]) -> None:
    config = CorsConfig.model_validate({"origins": ["https://b.test", origin], "credentials": True})

    assert [(each.code, each.severity) for each in Cors.check_config(config)] == [(code, "warning") for code in codes]


def test_every_option_is_described() -> None:
    assert all(field.description for field in CorsConfig.model_fields.values())


def test_the_plugin_keeps_to_what_plugins_should() -> None:
    assert_plugin_ok(Cors, {"origins": ["https://app.example.com"]})
