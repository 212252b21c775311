from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_forward_auth import ForwardAuth
from gateway_plugin_sdk.testing import InvalidConfigError, StartGateway, assert_plugin_ok, one_route

TARGET = {"target": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "target"),
        ({"target": "nowhere"}, "nowhere"),
        ({**TARGET, "path": "check"}, "path"),
        ({**TARGET, "path": "/a#b"}, "path"),
        ({**TARGET, "body": {"max_size": "1KiB"}}, "body does not go with GET"),
        ({**TARGET, "method": "POST", "body": {"max_size": 0}}, "max_size"),
        ({**TARGET, "request_headers": ["Content_Length"]}, "frames one message"),
        ({**TARGET, "upstream_headers": ["Host"]}, "frames one message"),
        ({**TARGET, "client_headers": ["transfer-encoding"]}, "frames one message"),
        ({**TARGET, "identity": {"subject": "Connection"}}, "frames one message"),
        ({**TARGET, "identity": {"claims": {"host": "Host"}}}, "frames one message"),
        ({**TARGET, "upstream_headers": ["a b"]}, "upstream_headers"),
        ({**TARGET, "sign_in": "login"}, "sign_in"),
        ({**TARGET, "cache": {"ttl": 0}}, "cache.ttl"),
        ({**TARGET, "timeout": 0}, "timeout"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_with_its_place(
    gateway: StartGateway, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        gateway(one_route("http://127.0.0.1:9", {"name": "forward-auth", "config": config}), plugins=[ForwardAuth])

    assert message in str(caught.value)
    assert "routes[0].plugins[0].config" in str(caught.value)


def test_the_plugin_keeps_to_what_plugins_should() -> None:
    assert_plugin_ok(ForwardAuth, TARGET)
