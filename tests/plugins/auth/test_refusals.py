from __future__ import annotations

import json
import math

import pytest
from gateway_plugin_auth.refusals import NO_CREDENTIALS, Refusal, challenge, quoted, response_to, unavailable


@pytest.mark.parametrize(
    ("refusal", "status", "text"),
    [
        (NO_CREDENTIALS, 401, 'Bearer realm="r"'),
        (Refusal("expired"), 401, 'Bearer realm="r", error="invalid_token"'),
        (Refusal("ambiguous", "invalid_request"), 401, 'Bearer realm="r", error="invalid_request"'),
        (Refusal("role", "insufficient_scope"), 403, 'Bearer realm="r", error="insufficient_scope"'),
        (
            Refusal("scope", "insufficient_scope", "a b"),
            403,
            'Bearer realm="r", error="insufficient_scope", scope="a b"',
        ),
    ],
)
def test_challenges_are_those_of_rfc_6750(refusal: Refusal, status: int, text: str) -> None:
    response = response_to(refusal, ["Bearer"], "r")

    assert response.status == status
    assert response.headers.get_all("www-authenticate") == [text]


def test_each_scheme_has_a_challenge_of_its_own() -> None:
    response = response_to(NO_CREDENTIALS, ["Bearer", "ApiKey", "Basic"], "r")

    assert response.headers.get_all("www-authenticate") == [
        'Bearer realm="r"', 'ApiKey realm="r"', 'Basic realm="r", charset="UTF-8"',
    ]  # fmt: skip


def test_the_body_never_has_the_reason() -> None:
    bodies = [
        json.loads(response_to(Refusal(reason), ["Bearer"], "r").body)  # type: ignore[arg-type]  # bytes
        for reason in ("expired", "signature", "revoked")
    ]

    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["status"] == 401
    assert "expired" not in str(bodies[0])


def test_what_cannot_be_checked_now_is_no_challenge_and_tells_when_to_come_again() -> None:
    response = response_to(unavailable("no-keys", 1.2), ["Bearer", "Basic"], "r")

    assert (response.status, response.headers.get("retry-after")) == (503, "2")
    assert "www-authenticate" not in response.headers
    assert json.loads(response.body)["detail"] == "the credentials cannot be checked at the moment"  # type: ignore[arg-type]  # bytes
    assert b"keys" not in response.body  # type: ignore[operator]  # bytes


@pytest.mark.parametrize(("seconds", "told"), [(-5, 1), (0, 1), (1, 1), (59.1, 60), (86400, 60), (math.inf, 60)])
def test_the_time_to_come_again_is_between_a_second_and_a_minute(seconds: float, told: int) -> None:
    assert unavailable("busy", seconds).retry_after == told


def test_texts_are_quoted() -> None:
    assert quoted('a"b\\c') == '"a\\"b\\\\c"'
    assert challenge("Basic", 'x"') == 'Basic realm="x\\"", charset="UTF-8"'
