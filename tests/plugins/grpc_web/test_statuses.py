from __future__ import annotations

import pytest
from gateway_plugin_grpc_web.statuses import message_for, status_for


@pytest.mark.parametrize(
    ("status", "failure", "code"),
    [
        (400, None, 13), (401, None, 16), (403, None, 7), (404, None, 12), (413, "body-too-large", 8), (429, None, 14),
        (502, "upstream.reset", 14), (503, "upstream.unavailable", 14), (503, "limits.max-requests", 8),
        (504, None, 14), (504, "upstream.timeout", 4), (504, "request-timeout", 4), (408, "body-too-slow", 4),
        (500, "internal", 2), (302, None, 2), (418, None, 2),
    ],
)  # fmt: skip
def test_each_status_has_a_code_and_a_reason_says_it_better(status: int, failure: str | None, code: int) -> None:
    assert status_for(status, failure) == code


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (403, b'{"detail": "not you", "title": "Forbidden"}', "not you"),
        (403, b'{"title": "Forbidden"}', "Forbidden"),
        (403, b'{"detail": "100%\\n\\u00e9"}', "100%25%0A%C3%A9"),
        (403, b'{"detail": 1}', "Forbidden"),
        (403, b"[]", "Forbidden"),
        (403, b"no JSON", "Forbidden"),
        (403, None, "Forbidden"),
        (599, None, "HTTP status 599"),
    ],
)
def test_a_message_is_the_detail_percent_encoded(status: int, body: object, message: str) -> None:
    assert message_for(status, body) == message
