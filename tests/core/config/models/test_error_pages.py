from __future__ import annotations

from typing import Any

import pytest
from gateway_core.config import ErrorPageConfig, StatusRange
from pydantic import ValidationError


def test_statuses_are_numbers_and_ranges() -> None:
    page = ErrorPageConfig.model_validate({"statuses": [404, "500-599", "429"], "body": "x"})

    assert page.statuses == (StatusRange(404, 404), StatusRange(500, 599), StatusRange(429, 429))
    assert page.from_ == ("gateway", "plugin")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"statuses": []}, "is empty"),
        ({"statuses": [200]}, "400 to 599"),
        ({"statuses": ["599-500"]}, "write 500-599"),
        ({"statuses": [True]}, "is not a status"),
        ({"from": ["client"]}, "gateway"),
        ({"from": []}, "is empty"),
        ({"path": "/x"}, "body and path exclude each other"),
        ({"body": None, "target": "http://h"}, "give the path of the page"),
        ({"body": None, "path": "x"}, "begin with /"),
        ({"body": None, "path": "/:code"}, "only :status"),
        ({"body": None, "status": 200}, "status has no page"),
        ({"body": None, "content_type": "a/b"}, "content_type is that of body"),
        ({"content_type": "a\nb"}, "control character"),
        ({"status": 99}, "200"),
        ({"status": 304}, "304 has no body"),
    ],
)
def test_pages_that_cannot_be_sent_are_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        ErrorPageConfig.model_validate({"statuses": [404], "body": "x", **change})
