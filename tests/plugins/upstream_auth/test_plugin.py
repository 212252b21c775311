"""What upstreams get, from a real gateway."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest
from gateway_plugin_auth import Auth
from gateway_plugin_logger import Logger
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk.testing import (
    ManualClock,
    PluginHarness,
    ReceivedRequest,
    ScriptedUpstream,
    StartGateway,
    UpstreamAnswer,
    eventually,
)
from gateway_plugin_upstream_auth import UpstreamAuth, sigv4

SECRET = "a secret of more than thirty-two characters"
CLIENT = {"Authorization": "Bearer of-the-client", "X_Api_Key": "mine", "Cookie": "a=b"}
BEARER = {"bearer": {"token": "abc"}}
AWS = {"access_key_id": "AK", "secret_access_key": "SK", "region": "eu-central-1"}


def upstream_with(url: str, config: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": "u",
        "endpoints": [{"url": url}],
        "plugins": [{"name": "upstream-auth", "config": config}],
        **more,
    }


def served(url: str, config: dict[str, Any], upstream: Any = None, **route: Any) -> dict[str, Any]:
    return {
        "upstreams": [upstream_with(url, config, **(upstream or {}))],
        "routes": [{"id": "r", "path_prefix": "/", "target": "u", **route}],
    }


@pytest.fixture
def idp() -> Iterator[ScriptedUpstream]:
    """A token endpoint that numbers its tokens."""
    server, count = ScriptedUpstream(), iter(range(1, 1000))

    def give(_: ReceivedRequest) -> UpstreamAnswer:
        body = {"access_token": f"t{next(count)}", "token_type": "Bearer", "expires_in": 3600}
        return UpstreamAnswer(body=json.dumps(body), headers=[("Content-Type", "application/json")])

    server.answer_by(give)
    yield server
    server.close()


def oauth(idp: ScriptedUpstream, **more: Any) -> dict[str, Any]:
    return {"oauth2": {"token_url": f"{idp.url}/token", "client_id": "g", "client_secret": "s3cret", **more}}


@pytest.mark.parametrize(
    ("config", "name", "value"),
    [
        ({"basic": {"username": "g", "password": "pä:ss"}}, "authorization", "Basic Zzpww6Q6c3M="),
        (BEARER, "authorization", "Bearer abc"),
        ({"api_key": {"header": "X-Api-Key", "value": "k"}}, "x-api-key", "k"),
        ({"api_key": {"header": "Authorization", "prefix": "Token", "value": "k"}}, "authorization", "Token k"),
    ],
)
def test_credentials_take_the_place_of_the_clients(
    gateway: StartGateway, upstream: ScriptedUpstream, config: dict[str, Any], name: str, value: str
) -> None:
    running = gateway(served(upstream.url, config), plugins=[UpstreamAuth])

    assert running.get("/a?b=c", headers=CLIENT).status == 200
    headers = upstream.last.headers
    assert headers.get_all(name) == [value]
    assert "of-the-client" not in repr(headers.items())
    assert ("x_api_key" in headers) is (name == "authorization")
    assert headers["cookie"] == "a=b"


def test_a_key_in_the_query_takes_the_place_of_the_clients_and_is_in_no_log(
    gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    document = served(upstream.url, {"api_key": {"query": "key", "value": "s3cret+1"}, "remove": []})
    logger = {"name": "logger", "config": {"path": str(log), "fields": ["path", "query", "upstream_path", "status"]}}
    running = gateway({"plugins": [logger], **document}, plugins=[UpstreamAuth, Logger])

    assert running.get("/a?x=1&key=mine", headers=CLIENT).status == 200
    assert upstream.last.target == "/a?x=1&key=s3cret%2B1"
    assert upstream.last.headers["authorization"] == "Bearer of-the-client"
    eventually(lambda: log.exists() and log.read_text())
    assert "s3cret" not in log.read_text()


def test_retries_mirrors_and_fetches_get_credentials_as_well(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    retries = {"retries": {"attempts": 1, "on": [503], "backoff_base": "1ms"}}
    document = served(upstream.url, BEARER, retries, mirror=[{"target": "shadow"}])
    with ScriptedUpstream() as shadow:
        other = upstream_with(shadow.url, {"bearer": {"token": "xyz"}}) | {"name": "shadow"}
        document["upstreams"].append(other)
        running = gateway(document, plugins=[UpstreamAuth])
        upstream.answer_next(503)

        assert running.get("/", headers=CLIENT).status == 200
        assert [each.headers.get_all("authorization") for each in upstream.requests] == [["Bearer abc"]] * 2
        assert [each.headers.get_all("authorization") for each in shadow.wait_for(1)] == [["Bearer xyz"]]


def test_what_fails_with_on_error_continue_still_takes_the_clients_credentials_away() -> None:
    config = {"oauth2": {"token_url": "https://idp.test/", "client_id": "g", "client_secret": "x"}}
    with PluginHarness(UpstreamAuth, config, binding={"on_error": "continue"}) as harness:
        result = harness.request(headers=CLIENT)

    assert result.attempt is not None
    assert "authorization" not in result.attempt.headers


def test_fifty_requests_at_once_wait_for_one_token(
    gateway: StartGateway, upstream: ScriptedUpstream, idp: ScriptedUpstream
) -> None:
    running = gateway(served(upstream.url, oauth(idp)), plugins=[UpstreamAuth])

    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(lambda _: running.get("/").status, range(50)))

    assert statuses == [200] * 50
    assert {each.headers["authorization"] for each in upstream.requests} == {"Bearer t1"}
    assert len(idp.requests) == 1
    assert (
        'gateway_upstream_auth_tokens_total{binding="upstream-auth",result="obtained",route=""} 1' in running.metrics()
    )


def test_a_401_of_the_upstream_gets_a_safe_request_sent_once_more_with_another_token(
    gateway: StartGateway, upstream: ScriptedUpstream, idp: ScriptedUpstream, clock: ManualClock
) -> None:
    running = gateway(served(upstream.url, oauth(idp)), plugins=[UpstreamAuth])
    upstream.answer_by(lambda request: UpstreamAnswer(401 if request.headers["authorization"] == "Bearer t1" else 200))
    assert running.get("/").status == 401  # the token is new: another would not help

    clock.advance(11)

    assert running.get("/").status == 200
    assert [each.headers["authorization"] for each in upstream.requests] == ["Bearer t1", "Bearer t1", "Bearer t2"]
    assert len(idp.requests) == 2


def test_a_401_to_what_must_not_be_sent_twice_replaces_the_token_for_the_next_request(
    gateway: StartGateway, upstream: ScriptedUpstream, idp: ScriptedUpstream, clock: ManualClock
) -> None:
    running = gateway(served(upstream.url, oauth(idp)), plugins=[UpstreamAuth])
    assert running.get("/").status == 200
    clock.advance(11)
    upstream.answer_next(401)

    assert running.request("POST", "/", body=b"x").status == 401
    assert running.request("POST", "/", body=b"x").status == 200
    assert [each.headers["authorization"] for each in upstream.requests] == ["Bearer t1", "Bearer t1", "Bearer t2"]


def test_a_server_of_tokens_that_is_away_means_503_with_a_time_and_nothing_goes_upstream(
    gateway: StartGateway, upstream: ScriptedUpstream, idp: ScriptedUpstream
) -> None:
    idp.answer_with(503, body="s3cret")
    running = gateway(served(upstream.url, oauth(idp)), plugins=[UpstreamAuth])

    responses = [running.get("/", headers=CLIENT) for _ in range(2)]

    assert [(each.status, each.headers.get("retry-after")) for each in responses] == [(503, "1")] * 2
    assert upstream.requests == []
    assert not [each for each in responses if b"s3cret" in each.body or b"token" in each.body]


def test_a_secret_in_a_file_is_rotated_without_a_restart(
    gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    secret = tmp_path / "token"
    secret.write_text("first\n")
    document = served(upstream.url, {"bearer": {"token": f"${{file:{secret}}}"}})
    running = gateway(document, plugins=[UpstreamAuth])
    assert running.get("/").status == 200

    secret.write_text("second\n")
    running.reload(document)

    assert running.get("/").status == 200
    assert [each.headers["authorization"] for each in upstream.requests] == ["Bearer first", "Bearer second"]


def test_the_signature_of_aws_is_over_what_is_sent(
    gateway: StartGateway, upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    config = {"aws": {**AWS, "service": "execute-api", "session_token": "st"}}
    document = served(upstream.url, config, path_prefix="/api", strip_path=True)
    running = gateway(document, plugins=[UpstreamAuth])
    headers = [("Content-Type", "text/plain"), ("X-Amz-Date", "mine"), *CLIENT.items()]

    assert running.request("PUT", "/api/a%20b/c?z=1&y=%C3%A9+x", headers=headers, body=b"hello").status == 200

    got = upstream.last
    assert (got.target, got.body) == ("/a%20b/c?z=1&y=%C3%A9+x", b"hello")
    day, when = sigv4.timestamp(clock.wall())[:8], sigv4.timestamp(clock.wall())
    assert got.headers.get_all("x-amz-date") == [when]
    assert got.headers.get_all("x-amz-security-token") == ["st"]
    fields = sigv4.fields_to_sign(got.headers["host"], got.headers.items())
    text, names = sigv4.canonical_request(
        "PUT",
        sigv4.canonical_path("/a%20b/c", "execute-api"),
        sigv4.canonical_query(got.query),
        [each for each in fields if each[0].lower() != "x-amz-content-sha256"],
        hashlib.sha256(b"hello").hexdigest(),
    )
    assert names == "content-type;host;x-amz-date;x-amz-security-token"
    key = sigv4.signing_key("SK", day, "eu-central-1", "execute-api")
    assert got.headers.get_all("authorization") == [sigv4.authorization(key, "AK", when, text, names)]


def test_s3_gets_the_hash_of_the_body_or_that_it_is_not_signed(
    gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    for payload, expected in (("signed", hashlib.sha256(b"abc").hexdigest()), ("unsigned", "UNSIGNED-PAYLOAD")):
        config = {"aws": {**AWS, "service": "s3", "payload": payload}}
        running = gateway(served(upstream.url, config), plugins=[UpstreamAuth])

        assert running.request("PUT", "/key", body=[b"a", b"bc"]).status == 200
        assert upstream.last.headers.get_all("x-amz-content-sha256") == [expected]
        assert upstream.last.body == b"abc"


def test_a_body_that_is_too_long_to_sign_is_refused(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    config = {"aws": {**AWS, "service": "s3", "max_body": 4}}
    running = gateway(served(upstream.url, config), plugins=[UpstreamAuth])

    assert running.request("PUT", "/key", body=b"abcde").status == 413
    assert upstream.requests == []


def test_it_goes_together_with_the_other_plugins(
    gateway: StartGateway, upstream: ScriptedUpstream, idp: ScriptedUpstream, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    chain = [
        {"name": "auth", "config": {"secret": SECRET}},
        {"name": "ratelimit", "config": {"quota": 1, "window": "1h", "key": "identity"}},
        {"name": "logger", "config": {"path": str(log), "fields": ["status", "identity", "reason"]}},
    ]
    document = served(upstream.url, oauth(idp), plugins=chain)
    running = gateway(document, plugins=[UpstreamAuth, Auth, RateLimit, Logger])
    token = {"Authorization": f"Bearer {jwt.encode({'sub': 'alice'}, SECRET, 'HS256')}"}

    assert [running.get("/", headers=fields).status for fields in ({}, token, token)] == [401, 200, 429]
    assert [each.headers.get_all("authorization") for each in upstream.requests] == [["Bearer t1"]]
    eventually(lambda: log.exists() and log.read_text().count("\n") == 3)
    assert "t1" not in log.read_text()
    assert "s3cret" not in log.read_text()


def test_in_shadow_mode_the_request_is_left_as_it_is(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    document = served(upstream.url, BEARER)
    document["upstreams"][0]["plugins"][0]["mode"] = "shadow"
    running = gateway(document, plugins=[UpstreamAuth])

    assert running.get("/", headers=CLIENT).status == 200
    assert upstream.last.headers["authorization"] == "Bearer of-the-client"
