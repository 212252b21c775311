from __future__ import annotations

import json

import pytest
from gateway_plugin_auth.refusals import NO_CREDENTIALS, Refusal, answer, challenge, quoted


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
    response = answer(refusal, ["Bearer"], "r")

    assert response.status == status
    assert response.headers.get_all("www-authenticate") == [text]


def test_each_scheme_has_a_challenge_of_its_own() -> None:
    response = answer(NO_CREDENTIALS, ["Bearer", "ApiKey", "Basic"], "r")

    assert response.headers.get_all("www-authenticate") == [
        'Bearer realm="r"', 'ApiKey realm="r"', 'Basic realm="r", charset="UTF-8"',
    ]  # fmt: skip


def test_the_body_never_has_the_reason() -> None:
    bodies = [
        json.loads(answer(Refusal(reason), ["Bearer"], "r").body) for reason in ("expired", "signature", "revoked")
    ]

    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["status"] == 401
    assert "expired" not in str(bodies[0])


def test_texts_are_quoted() -> None:
    assert quoted('a"b\\c') == '"a\\"b\\\\c"'
    assert challenge("Basic", 'x"') == 'Basic realm="x\\"", charset="UTF-8"'
