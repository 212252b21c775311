from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_aggregate.config import AggregateConfig
from pydantic import ValidationError

CALL = {"name": "a", "target": "http://127.0.0.1:1", "path": "/"}


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"path": "a"}, "is not a path"),
        ({"path": "//a"}, "is not a path"),
        ({"path": "/a?b=c"}, "put the query into query"),
        ({"path": "/a b"}, "is not a path"),
        ({"path": "/é"}, "is not a path"),
        ({"path": "/a#b"}, "is not a path"),
        ({"path": "/a/../b"}, "has dots"),
        ({"path": "/a/%2E%2e"}, "has dots"),
        ({"path": "/a/..;x/b"}, "has dots"),
        ({"path": "/{id}"}, "param:id"),
        ({"query": {"a": "{b"}}, "without its partner"),
        ({"headers": {"X-A": "{x:y}"}}, "use one of"),
        ({"method": "POST", "body": {"a": ["{x:y}"]}}, "use one of"),
        ({"method": "TRACE"}, "method"),
        ({"body": {}}, "a GET has no body"),
        ({"method": "POST", "body": {}, "client_body": True}, "there is one body"),
        ({"client_headers": ["Host"]}, "never passed on"),
        ({"client_headers": ["Transfer_Encoding"]}, "never passed on"),
        ({"client_headers": ["If-None-Match"]}, "never passed on"),
        ({"client_headers": ["traceparent"]}, "never passed on"),
        ({"headers": {"Content-Length": "1"}}, "written by the gateway"),
        ({"headers": {"Host": "{query:host}"}}, "Host has a placeholder"),
        ({"headers": {"authorization": "Bearer abc"}}, "bind upstream-auth"),
        ({"headers": {"X-A": "1"}, "client_headers": ["x-a"]}, "write it once"),
        ({"query": {"a": "1"}, "client_query": ["a"]}, "write it once"),
        ({"response_headers": ["ETag"]}, "one call's content"),
        ({"response_headers": ["Cache-Control"]}, "one call's content"),
        ({"response_headers": ["connection"]}, "one call's content"),
        ({"default": {}}, "write required: false"),
        ({"required": False, "default": [1]}, "write an object, or group"),
        ({"required": False, "default": {"a": float("inf")}}, "is no JSON"),
        ({"required": False, "pass_statuses": [404]}, "for a required call"),
        ({"pass_statuses": [500]}, "pass_statuses"),
        ({"include": False, "group": "x"}, "leaves nothing"),
        ({"take": "/a/*"}, "name one place"),
        ({"allow": ["a"]}, "not a JSON pointer"),
        ({"deny": [""]}, "not a JSON pointer"),
        ({"rename": {"/a/*": "b"}}, "name one member"),
        ({"allow": ["/a"] * 257}, "allow"),
        ({"name": "a.b"}, "name"),
        ({"max_body_bytes": "2MiB"}, "max_body_bytes"),
    ],
)
def test_a_call_that_cannot_be_meant_is_refused(call: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        AggregateConfig.model_validate({"calls": [CALL | call]})


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"calls": []}, "calls"),
        ({"calls": [CALL] * 33}, "calls"),
        ({"static": {"a": float("nan")}}, "is no JSON"),
        ({"status": 204}, "status"),
        ({"max_parallel": 0}, "max_parallel"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        AggregateConfig.model_validate({"calls": [CALL], **config})


def test_a_default_of_null_is_one() -> None:
    config = AggregateConfig.model_validate({"calls": [CALL | {"required": False, "group": "a", "default": None}]})

    assert config.calls[0].has_default
