from __future__ import annotations

from typing import Any

import pytest
from gateway_core.config.models.own_response import RedirectConfig, RespondConfig
from gateway_core.config.models.route import RouteConfig
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("respond", "reason"),
    [
        ({"status": 199}, "200"),
        ({"status": "200"}, "integer"),
        ({"status": 204, "body": "x"}, "leave out body"),
        ({"headers": {"Content-Length": "1"}}, "frames the response itself"),
        ({"headers": {"transfer-encoding": "chunked"}}, "frames the response itself"),
        ({"headers": {"x": "a\r\nb: c"}}, "control character"),
        ({"headers": {"X": "a", "x": "b"}}, "twice"),
        ({"headers": {"x y": "a"}}, "not a header name"),
    ],
)
def test_responses_that_cannot_be_sent_are_refused(respond: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        RespondConfig.model_validate(respond)


@pytest.mark.parametrize(
    "redirect", [{"path": "/a", "prefix": "/b"}, {"host": "a:80", "port": 81}, {"port": 65536}, {"prefix": "b"}]
)
def test_redirects_that_contradict_themselves_are_refused(redirect: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RedirectConfig.model_validate(redirect)


@pytest.mark.parametrize(
    ("redirect", "scheme", "expected"),
    [({"scheme": "https"}, None, "http"), ({"scheme": "http"}, None, "https"), ({"scheme": "https"}, "https", "https")],
)
def test_a_redirect_to_a_scheme_is_for_the_other_one(redirect: Any, scheme: str | None, expected: str) -> None:
    route = RouteConfig.model_validate({"id": "r", "redirect": redirect, "scheme": scheme})

    assert route.effective_scheme == expected


def test_a_response_excludes_what_would_send_the_request_elsewhere() -> None:
    for key, value in (("target", "http://h"), ("redirect", {"path": "/x"}), ("mirror", {"target": "http://h"})):
        with pytest.raises(ValidationError, match="keep"):
            RouteConfig.model_validate({"id": "r", "respond": {}, key: value})
