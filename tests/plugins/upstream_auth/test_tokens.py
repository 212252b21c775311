"""When tokens are asked for, and what becomes of requests meanwhile."""

from __future__ import annotations

import base64
import json
from random import Random
from typing import Any
from urllib.parse import parse_qs

import pytest
from gateway_plugin_sdk import Response, UpstreamError
from gateway_plugin_sdk.testing import FetchRequest, HarnessResult, ManualClock, PluginHarness, eventually
from gateway_plugin_upstream_auth import UpstreamAuth
from gateway_plugin_upstream_auth.config import OAuth2Config
from gateway_plugin_upstream_auth.tokens import TokenError, error_code, read_token

IDP = "https://idp.test"
OPTIONS: dict[str, Any] = {
    "token_url": f"{IDP}/token?tenant=1",
    "client_id": "the gateway",
    "client_secret": "s3cret:/",
}


class Idp:
    """Returns numbered tokens, or the failure that a test sets."""

    def __init__(self) -> None:
        self.requests: list[FetchRequest] = []
        self.failure: Response | UpstreamError | None = None
        self.lifetime: object = 3600

    def __call__(self, request: FetchRequest) -> Response:
        self.requests.append(request)
        if isinstance(self.failure, UpstreamError):
            raise self.failure
        token = {"access_token": f"t{len(self.requests)}", "token_type": "bearer", "expires_in": self.lifetime}
        return self.failure or Response.json(token)


@pytest.fixture
def idp() -> Idp:
    return Idp()


def harness(idp: Idp, clock: ManualClock, **options: Any) -> PluginHarness[UpstreamAuth]:
    return PluginHarness(UpstreamAuth, {"oauth2": OPTIONS | options}, clock=clock, upstreams={IDP: idp})


def sent(result: HarnessResult) -> str | None:
    return None if result.attempt is None else result.attempt.headers.get("authorization")


def test_a_token_is_asked_for_once_and_used_until_it_is_near_its_end(idp: Idp, clock: ManualClock) -> None:
    with harness(idp, clock) as gateway:
        first = [sent(gateway.request()) for _ in range(3)]
        clock.advance(3300)
        before = sent(gateway.request())
        clock.advance(250)
        near = sent(gateway.request())
        after = eventually(lambda: sent(gateway.request()) == "Bearer t2")

    assert first == ["Bearer t1"] * 3
    assert (before, near, after) == ("Bearer t1", "Bearer t1", True)
    assert len(idp.requests) == 2


def test_the_request_is_a_form_with_the_client_in_authorization(idp: Idp, clock: ManualClock) -> None:
    with harness(idp, clock, scopes=["a", "b"], audience="x", params={"resource": "r"}) as gateway:
        gateway.request()

    (request,) = idp.requests
    assert isinstance(request.body, bytes)
    assert (request.method, request.path) == ("POST", "/token?tenant=1")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    pair = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
    assert pair == "the+gateway:s3cret%3A%2F"
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"], "scope": ["a b"], "audience": ["x"], "resource": ["r"],
    }  # fmt: skip


def test_the_client_may_be_in_the_form(idp: Idp, clock: ManualClock) -> None:
    with harness(idp, clock, authentication="post") as gateway:
        gateway.request()

    (request,) = idp.requests
    assert isinstance(request.body, bytes)
    assert "authorization" not in request.headers
    assert parse_qs(request.body.decode())["client_secret"] == ["s3cret:/"]


@pytest.mark.parametrize(
    ("failure", "logged"),
    [
        (UpstreamError("s3cret", reason="upstream.reset"), "there is no response (upstream.reset)"),
        (Response.json({"error": "invalid_client", "error_description": "s3cret"}, 401), "status 401, invalid_client"),
        (Response.text("s3cret", 500), "status 500"),
        (Response.text("s3cret"), "the response is no JSON"),
        (Response.json({"access_token": "s3cret"}), "not of the type Bearer"),
        (Response.json({"access_token": "a\r\nb", "token_type": "Bearer"}), "has no access_token"),
        (Response.text("x" * 70_000), "the response is too large"),
    ],
)
def test_without_a_token_the_response_is_503_and_the_server_is_left_alone_for_a_while(
    idp: Idp, clock: ManualClock, failure: Any, logged: str
) -> None:
    idp.failure = failure
    with harness(idp, clock) as gateway:
        results = [gateway.request(headers=[("Authorization", "Bearer of-the-client")]) for _ in range(3)]
        idp.failure = None
        clock.advance(2)
        recovered = sent(gateway.request())
        texts = [record.getMessage() for record in gateway.logs]

    assert [(each.response.status, each.response.headers.get("retry-after")) for each in results] == [(503, "1")] * 3
    assert {each.response.failure for each in results} == {"upstream.no-credentials"}
    assert len(idp.requests) == 2
    assert recovered == "Bearer t2"
    assert any(logged in text for text in texts)
    assert not [text for text in texts if "s3cret" in text]


def test_what_the_server_says_of_when_counts(idp: Idp, clock: ManualClock) -> None:
    idp.failure = Response.text("", 429, headers={"Retry-After": "30"})
    with harness(idp, clock) as gateway:
        gateway.request()
        clock.advance(5)
        later = gateway.request().response

    assert (later.status, later.headers["retry-after"], len(idp.requests)) == (503, "25", 1)


def test_a_token_that_is_valid_outlives_failures_to_replace_it(idp: Idp, clock: ManualClock) -> None:
    with harness(idp, clock) as gateway:
        gateway.request()
        idp.failure = Response.text("", 503)
        clock.advance(3560)
        near = sent(gateway.request())
        eventually(lambda: len(idp.requests) == 2)
        clock.advance(40)
        expired = gateway.request().response.status

    assert (near, expired) == ("Bearer t1", 503)


def test_a_401_replaces_a_token_unless_it_is_new(idp: Idp, clock: ManualClock) -> None:
    refused = Response(401)
    with harness(idp, clock) as gateway:
        young = [sent(gateway.request(upstream_response=refused)) for _ in range(2)]
        clock.advance(11)
        old = [sent(gateway.request(upstream_response=refused)) for _ in range(3)]

    assert young == ["Bearer t1"] * 2
    assert old == ["Bearer t1", "Bearer t2", "Bearer t2"]


def test_a_401_takes_no_token_away_while_there_is_no_other(idp: Idp, clock: ManualClock) -> None:
    refused = Response(401)
    with harness(idp, clock) as gateway:
        gateway.request()
        clock.advance(11)
        gateway.request(upstream_response=refused)
        idp.failure = Response.text("", 503)

        meanwhile = [sent(gateway.request(upstream_response=refused)) for _ in range(3)]
        idp.failure = None
        clock.advance(11)
        gateway.request(upstream_response=refused)

        assert meanwhile == ["Bearer t1"] * 3
        assert len(idp.requests) == 2, "one client's 401s are no storm of requests for tokens"
        assert sent(gateway.request()) == "Bearer t3"


def test_a_401_may_be_left_alone(idp: Idp, clock: ManualClock) -> None:
    with harness(idp, clock, retry_unauthorized=False) as gateway:
        clock.advance(11)
        tokens = [sent(gateway.request(upstream_response=Response(401))) for _ in range(3)]

    assert tokens == ["Bearer t1"] * 3


def test_an_operator_has_the_next_request_get_another_token(idp: Idp, clock: ManualClock) -> None:
    with harness(idp, clock) as gateway:
        tokens = [sent(gateway.request())]
        assert gateway.call("refresh") == {"token": True, "requests": 1}
        tokens.append(sent(gateway.request()))

    assert tokens == ["Bearer t1", "Bearer t2"]


@pytest.mark.parametrize(
    ("expires_in", "refresh", "expiry"),
    [
        (3600, (3480, 3540), 3595),
        ("3600", (3480, 3540), 3595),
        (10, (6.5, 7.5), 9),
        (None, (210, 240), 295),
        (True, (210, 240), 295),
        ("soon", (210, 240), 295),
        (float("nan"), (210, 240), 295),
        (10**400, (366 * 86400 - 120, 366 * 86400 - 60), 366 * 86400 - 5),
        (float("inf"), (366 * 86400 - 120, 366 * 86400 - 60), 366 * 86400 - 5),
    ],
)
def test_a_lifetime_is_read_with_some_jitter_ahead(
    expires_in: object, refresh: tuple[float, float], expiry: float
) -> None:
    config = OAuth2Config.model_validate(OPTIONS)
    data = json.dumps({"access_token": "a", "token_type": "Bearer", "expires_in": expires_in}).encode()

    tokens = [read_token(data, config, 100.0, Random(seed)) for seed in range(50)]

    assert all(refresh[0] <= token.refresh_at - 100 <= refresh[1] for token in tokens)
    assert len({token.refresh_at for token in tokens}) > 40
    assert {token.expires_at for token in tokens} == {100.0 + expiry}


@pytest.mark.parametrize("lifetime", [0, -1, "0"])
def test_a_token_that_has_ended_is_none(lifetime: object) -> None:
    data = json.dumps({"access_token": "a", "token_type": "Bearer", "expires_in": lifetime}).encode()

    with pytest.raises(TokenError, match="expired already"):
        read_token(data, OAuth2Config.model_validate(OPTIONS), 0.0, Random(0))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"error": 1}', b'{"error": "x\\ny"}', b"[" * 100_000])
def test_only_a_code_of_a_failure_is_shown(data: bytes) -> None:
    assert error_code(data) == ""
