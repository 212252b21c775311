from __future__ import annotations

import re

import pytest
from gateway_core.config.models.grpc import GRPC_CONTENT_TYPE, GrpcConfig
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ({"service": "users.v1.Users", "method": "Get"}, "/users.v1.Users/Get"),
        ({"service": "Users"}, "/Users/:method"),
        ({"method": "Get"}, "/:service/Get"),
        ({}, "/:service/:method"),
    ],
)
def test_calls_have_the_path_of_their_service_and_method(written: dict[str, str], path: str) -> None:
    assert GrpcConfig.model_validate(written).path == path


@pytest.mark.parametrize(
    "written",
    [
        {"service": ""}, {"service": "a/B"}, {"service": "/a.B"}, {"service": "a..B"}, {"service": "a.:b"},
        {"method": "a.B"}, {"method": "1a"}, {"method": "*"}, {"methods": "a"}, {"service": 1},
    ],
)  # fmt: skip
def test_what_no_service_or_method_is_called_is_refused(written: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GrpcConfig.model_validate(written)


@pytest.mark.parametrize(
    ("content_type", "is_grpc"),
    [
        ("application/grpc", True),
        ("application/grpc+proto", True),
        ("Application/GRPC; charset=utf-8", True),
        ("application/grpc-web-text+proto", True),
        ("application/grpcx", False),
        ("application/json", False),
        ("x/application/grpc", False),
    ],
)
def test_the_content_type_of_a_call_begins_with_application_grpc(content_type: str, is_grpc: bool) -> None:
    assert (re.fullmatch(GRPC_CONTENT_TYPE, content_type) is not None) is is_grpc
