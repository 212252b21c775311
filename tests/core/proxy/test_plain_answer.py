from __future__ import annotations

import json

from gateway_core.proxy.gateway_responses import own_answer
from gateway_core.proxy.plain_answer import plain_answer


def test_it_is_a_whole_answer_that_ends_its_connection() -> None:
    response = own_answer(503, retry_after=1)

    head, empty_line, body = plain_answer(response, "abc-1").partition(b"\r\n\r\n")

    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"http/1.1 503 service unavailable"
    assert empty_line
    assert b"connection: close" in lines
    assert b"content-length: %d" % len(body) in lines
    assert b"x-request-id: abc-1" in lines
    assert b"retry-after: 1" in lines
    assert b"content-type: application/problem+json" in lines
    assert json.loads(body) == {**json.loads(response.body), "request_id": "abc-1"}  # type: ignore[arg-type]  # bytes
