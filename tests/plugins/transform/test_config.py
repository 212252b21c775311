from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_transform import Transform
from gateway_plugin_transform.config import TransformConfig
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({}, "changes nothing"),
        ({"request": {"set": {"a": 1}}}, "'a' is not a JSON pointer"),
        ({"request": {"remove": [""]}}, "is not a JSON pointer"),
        ({"request": {"rename": {"/a/*": "/b"}}}, "name one place"),
        ({"request": {"jmespath": "a["}}, "is no JMESPath expression"),
        ({"request": {"template": {"a": "{{ b"}}}, "a placeholder without an end"),
        ({"request": {"template": ["{{ a[ }}"]}}, "is no JMESPath expression"),
        ({"response": {"statuses": [99]}}, "statuses"),
        ({"response": {"from_form": True}}, "from_form"),
        ({"request": {}, "max_body_bytes": "2MiB"}, "max_body_bytes"),
        ({"request": {}, "max_operations": 0}, "max_operations"),
    ],
)
def test_what_cannot_be_meant_is_refused(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TransformConfig.model_validate(config)


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        ({}, []),
        ({"max_body_bytes": "32KiB", "max_operations": 4000}, []),
        ({"max_body_bytes": "33KiB"}, ["max_body_bytes"]),
        ({"max_operations": 4001}, ["max_operations"]),
    ],
)
def test_bounds_that_allow_long_pauses_are_warnings(config: dict[str, Any], keys: list[str]) -> None:
    found = list(Transform.check_config(TransformConfig.model_validate({"request": {}} | config)))

    assert [(*each.path, each.code, each.severity) for each in found] == [
        (key, "long-pauses", "warning") for key in keys
    ]
