from __future__ import annotations

import json

import pytest
from gateway_core.messages import Response
from gateway_core.proxy.gateway_responses import gateway_response, with_request_id

STATUSES = (400, 404, 405, 408, 413, 417, 431, 500, 502, 503, 504, 505)


@pytest.mark.parametrize("status", STATUSES)
def test_every_response_is_a_problem_with_words_for_the_client(status: int) -> None:
    response = gateway_response(status)

    body = json.loads(response.body)  # type: ignore[arg-type]  # bytes
    assert response.is_problem
    assert response.produced_by == "gateway"
    assert body["status"] == status
    assert body["detail"]


def test_405_says_what_is_allowed() -> None:
    assert gateway_response(405, allow=("GET", "HEAD")).headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(("seconds", "said"), [(0, "1"), (0.2, "1"), (1, "1"), (1.01, "2"), (30, "30")])
def test_retry_after_is_rounded_up_and_never_zero(seconds: float, said: str) -> None:
    assert gateway_response(503, retry_after=seconds).headers["retry-after"] == said


def test_a_problem_gets_the_request_id_as_a_member() -> None:
    body = json.loads(with_request_id(gateway_response(404), b'{"status": 404}', "r-1"))

    assert body["request_id"] == "r-1"
    assert body["status"] == 404


@pytest.mark.parametrize(
    "response",
    [
        Response(200, b'{"a": 1}', {"Content-Type": "application/json"}),
        Response.problem(400, request_id="the plugin's own"),
        Response(404, b"", {"Content-Type": "application/problem+json"}),
    ],
    ids=["no problem", "an id of its own", "no body"],
)
def test_other_bodies_are_left_alone(response: Response) -> None:
    assert isinstance(response.body, bytes)
    assert with_request_id(response, response.body, "r-1") == response.body


def test_without_a_request_id_nothing_is_added() -> None:
    assert b"request_id" not in with_request_id(gateway_response(404), b"{}", "")
