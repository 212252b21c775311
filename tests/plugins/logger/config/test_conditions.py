from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_logger.config import Conditions, Sampling
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"statuses": ["200-"]}, "is not a status or a range of statuses"),
        ({"when": "status = 1"}, "'status = 1' is no expression"),
        ({"when": ""}, "'' is no expression"),
        ({"slower_than": 5}, "has no unit"),
        ({"status": [200]}, "not permitted"),
    ],
)
def test_conditions_that_cannot_hold_are_refused(conditions: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("(", r"\(")):
        Conditions.model_validate(conditions)


@pytest.mark.parametrize(
    "sampling", [{"rate": -0.1}, {"rate": 1.1}, {"rate": "1%"}, {"first": -1}, {"interval": 0}, {"by": "moon"}]
)
def test_samples_that_are_no_share_are_refused(sampling: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Sampling.model_validate(sampling)
