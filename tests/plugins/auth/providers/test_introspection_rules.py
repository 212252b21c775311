"""How we authenticate to an introspection endpoint, and what an active token must be."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from gateway_plugin_sdk.testing import (
    ManualClock,
    ScriptedUpstream,
    StartGateway,
    one_route,
)

from tests.plugins.auth.providers.conftest import (
    ALICE,
    CLIENT,
    NOW,
    PLUGINS,
    Start,
    bearer,
    forms,
    refusals,
    send,
    server_side,
)


@server_side
def test_the_client_authenticates_by_basic_with_both_parts_encoded(start: Start, server: ScriptedUpstream) -> None:
    running = start(client_id="a:b c", client_secret="p%+é")

    assert send(running) == 200
    sent = base64.b64decode(server.last.headers["authorization"].removeprefix("Basic ")).decode()
    assert sent == "a%3Ab+c:p%25%2B%C3%A9"
    assert "client_id" not in forms(server)[0]


@server_side
def test_the_client_authenticates_in_the_form(start: Start, server: ScriptedUpstream) -> None:
    running = start(client_auth="post", **CLIENT)

    assert send(running) == 200
    assert "authorization" not in server.last.headers
    assert (forms(server)[0]["client_id"], forms(server)[0]["client_secret"]) == (["gateway"], ["s3cret"])


@server_side
def test_the_client_authenticates_by_an_assertion_that_it_uses_once(
    start: Start, server: ScriptedUpstream, keys: Any, tmp_path: Path
) -> None:
    path = tmp_path / "client.pem"
    path.write_bytes(keys.p256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    running = start(
        client_auth="private_key_jwt", client_id="gateway",
        client_key={"file": str(path), "id": "k1", "audience": "https://login.example.com"},
    )  # fmt: skip

    assert [send(running, "one"), send(running, "two")] == [200, 200]
    sent = [form["client_assertion"][0] for form in forms(server)]
    options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
    read = [
        jwt.decode(text, keys.p256.public_key(), ["ES256"], options, audience="https://login.example.com")
        for text in sent
    ]
    assert jwt.get_unverified_header(sent[0])["kid"] == "k1"
    assert [(each["iss"], each["sub"], each["exp"] - each["iat"]) for each in read] == [("gateway", "gateway", 60)] * 2
    assert read[0]["jti"] != read[1]["jti"]
    assert forms(server)[0]["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]


MUST: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"issuer": "https://a"}, {"iss": "https://b"}, "issuer"),
    ({"issuer": "https://a"}, {}, "issuer"),
    ({"audience": "shop"}, {"aud": ["stock"]}, "audience"),
    ({"audience": "shop"}, {}, "audience"),
    ({"audience": ["a", "b"], "audience_match": "all"}, {"aud": ["a"]}, "audience"),
    ({}, {"exp": NOW - 61}, "expired"),
    ({}, {"nbf": NOW + 61}, "not-yet-valid"),
    ({}, {"exp": "soon"}, "malformed-claim"),
    ({}, {"sub": ["alice"]}, "malformed-claim"),
    ({}, {"sub": 5}, "malformed-claim"),
    ({"required_claims": ["client_id"]}, {}, "claim-missing"),
    ({"forbidden_claims": ["act"]}, {"act": {}}, "claim-forbidden"),
    ({"identity_claim": "uid"}, {}, "identity"),
    ({}, {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}, "dpop-off"),
    ({}, {"cnf": {"kid": "1"}}, "confirmation"),
    ({}, {"cnf": None}, "confirmation"),
]


@server_side
def test_an_active_token_must_be_what_is_asked_for(
    gateway: StartGateway, upstream: ScriptedUpstream, server: ScriptedUpstream, clock: ManualClock
) -> None:
    provider = {"scheme": "introspection", "endpoint": server.url, **CLIENT}
    routes = []
    for number, (options, _, _) in enumerate(MUST):
        binding = {"name": "auth", "config": {"providers": {"opaque": {**provider, **options}}}}
        route = {"id": f"r{number}", "path": f"/{number}", "target": upstream.url, "plugins": [binding]}
        routes.append(route)
    running = gateway({"routes": routes}, plugins=PLUGINS)

    for number, (_, claims, reason) in enumerate(MUST):
        server.answer_with(200, json={**ALICE, **claims})
        assert running.get(f"/{number}", headers=bearer(f"t{number}")).status == 401
        running.settle()
        label = f'reason="{reason}",route="r{number}"'
        assert any(label in line and line.endswith(" 1.0") for line in running.metrics().splitlines()), reason


def test_rules_and_the_callers_name_are_those_of_every_provider(
    start: Start, upstream: ScriptedUpstream, server: ScriptedUpstream
) -> None:
    running = start(scopes={"all": ["write"]}, claims_to_headers={"X-Name": "username"}, hide_credentials=True)
    server.answer_with(200, json={"active": True, "username": "bob", "scope": "read write"})
    assert send(running, "one", **{"X-Name": "forged"}) == 200
    assert upstream.last.headers.get_all("x-name") == ["bob"]
    assert "authorization" not in upstream.last.headers

    server.answer_with(200, json={"active": True, "username": "bob", "scope": "read"})
    assert [send(running, "two"), send(running, "two")] == [403, 403]
    assert refusals(running) == {"scope"}


@server_side
def test_json_web_tokens_and_others_go_together(
    gateway: StartGateway, upstream: ScriptedUpstream, server: ScriptedUpstream, secret: str, sign: Any
) -> None:
    providers = {
        "jwt": {"scheme": "jwt", "secret": secret},
        "opaque": {"scheme": "introspection", "endpoint": server.url, **CLIENT},
    }
    server.answer_with(200, json={"active": True, "sub": "a"})
    running = gateway(one_route(upstream.url, {"name": "auth", "config": {"providers": providers}}), plugins=PLUGINS)

    assert send(running, sign()) == 200
    assert not server.requests
    assert send(running, "opaque") == 200
    assert len(server.requests) == 1


@server_side
def test_a_new_secret_in_its_file_is_used_without_a_restart(
    gateway: StartGateway, upstream: ScriptedUpstream, server: ScriptedUpstream, tmp_path: Path
) -> None:
    path = tmp_path / "secret"
    path.write_text("one\n")
    provider = {
        "scheme": "introspection", "endpoint": server.url, "client_id": "g", "client_secret_file": str(path),
        "cache": {"size": 0},
    }  # fmt: skip
    server.answer_with(200, json={"active": True, "sub": "a"})
    config = one_route(upstream.url, {"name": "auth", "config": {"providers": {"opaque": provider}}})
    running = gateway(config, plugins=PLUGINS)
    assert send(running) == 200

    path.write_text("two\n")
    running.reload(config)

    assert send(running) == 200
    sent = [base64.b64decode(each.headers["authorization"].removeprefix("Basic ")) for each in server.requests]
    assert sent == [b"g:one", b"g:two"]


@server_side
def test_no_log_line_and_no_metric_has_the_token_or_the_secret(start: Start, server: ScriptedUpstream) -> None:
    running = start()
    server.answer_with(401)
    send(running, "very-s3cret-token")
    server.answer_with(200, json={"active": False})
    send(running, "very-s3cret-token")

    running.settle()
    text = running.metrics() + "".join(record.getMessage() for record in running.logs)
    assert "s3cret" not in text
    assert 'gateway_auth_introspections_total{endpoint="' in text
    assert any("client_auth" in record.getMessage() for record in running.logs)


@server_side
def test_requests_to_the_endpoint_are_counted_by_result(start: Start, server: ScriptedUpstream) -> None:
    running = start()
    send(running, "a")
    server.answer_with(200, json={"active": False})
    send(running, "b")
    server.answer_with(500)
    send(running, "c")
    send(running, "d")

    counts = {
        line.partition('result="')[2].partition('"')[0]: float(line.rpartition(" ")[2])
        for line in running.metrics().splitlines()
        if line.startswith("gateway_auth_introspections_total{")
    }
    assert counts == {"active": 1, "inactive": 1, "failed": 2}


@server_side
def test_the_server_gets_none_of_the_clients_fields(start: Start, server: ScriptedUpstream) -> None:
    running = start()

    send(running, **{"Cookie": "a=b", "X-Other": "1", "X-Forwarded-Host": "evil.example"})

    names = {name.lower() for name, _ in server.last.headers.items()}
    assert not names & {"cookie", "x-other", "x-forwarded-host"}
