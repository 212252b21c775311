from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_auth.config import SourceConfig
from gateway_plugin_auth.credentials import Source
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("config", "source"),
    [
        ({"header": "X-A"}, Source("header", "X-A")),
        ({"header": "X-A", "scheme": "Token"}, Source("header", "X-A", "Token")),
        ({"cookie": "a"}, Source("cookie", "a")),
        ({"query": "a"}, Source("query", "a")),
    ],
)
def test_a_place_is_one_of_three(config: dict[str, Any], source: Source) -> None:
    assert SourceConfig.model_validate(config).compiled() == source


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({}, "a place is one of header, cookie and query, not none"),
        ({"header": "a", "query": "b"}, "not header and query"),
        ({"cookie": "a", "scheme": "Bearer"}, "scheme 'Bearer' only goes with header"),
        ({"header": "a", "scheme": "a b"}, "scheme"),
        ({"header": "a b"}, "'a b' is not a header name"),
        ({"query": ""}, "query"),
        ({"cookie": "a=b"}, "cookie"),
        ({"cookie": "a b"}, "cookie"),
    ],
)
def test_other_places_are_refused(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        SourceConfig.model_validate(config)
