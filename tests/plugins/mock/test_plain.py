from __future__ import annotations

from typing import Any

import pytest
from gateway_openapi.templates import segments_of
from gateway_plugin_mock.config import DelayConfig, ResponseConfig
from gateway_plugin_mock.plain import PlainResponse, seconds_of


@pytest.mark.parametrize(
    ("config", "method", "path", "expected"),
    [
        ({}, "PUT", "/any/thing", True),
        ({"path": "/users/:id"}, "GET", "/users/7", True),
        ({"path": "/users/:id"}, "GET", "/users/", False),
        ({"path": "/users/:id"}, "GET", "/users/7/x", False),
        ({"path": "/users"}, "GET", "/users", True),
        ({"path": "/users"}, "GET", "/users/", False),
        ({"path": "/files/*rest"}, "GET", "/files/a/b", True),
        ({"path": "/files/*rest"}, "GET", "/files", False),
        ({"path": "/"}, "GET", "/", True),
        ({"methods": ["GET"]}, "HEAD", "/", True),
        ({"methods": ["POST"]}, "HEAD", "/", False),
        ({"methods": ["POST"], "path": "/x"}, "POST", "/x;v=1", True),
    ],
)
def test_a_response_takes_requests_by_method_and_path(config: Any, method: str, path: str, expected: bool) -> None:
    assert PlainResponse(ResponseConfig.model_validate(config)).takes(method, segments_of(path)) is expected


@pytest.mark.parametrize(
    ("config", "body", "media_type"),
    [
        ({"body": "ok"}, b"ok", "text/plain; charset=utf-8"),
        ({"json": {"a": "\u00fc"}}, '{"a": "\u00fc"}'.encode(), "application/json"),
        ({"json": None}, b"null", "application/json"),
        ({"body": "<a/>", "headers": {"content-type": "text/xml"}}, b"<a/>", "text/xml"),
        ({}, b"", None),
    ],
)
def test_a_response_has_its_body_and_type(config: Any, body: bytes, media_type: str | None) -> None:
    response = PlainResponse(ResponseConfig.model_validate(config)).response

    assert (response.body, response.headers.get("Content-Type")) == (body, media_type)


def test_a_delay_is_between_its_ends() -> None:
    assert seconds_of(None) == 0
    assert seconds_of(DelayConfig.model_validate({"duration": "2s"})) == 2
    between = DelayConfig.model_validate({"duration": "1s", "to": "3s"})
    assert all(1 <= seconds_of(between) <= 3 for _ in range(100))
