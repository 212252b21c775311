from __future__ import annotations

from typing import Any

import pytest
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
    ],
)
def test_what_cannot_be_meant_is_refused(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TransformConfig.model_validate(config)
