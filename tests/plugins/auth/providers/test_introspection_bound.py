"""Introspected tokens that are bound to a key or a certificate, and logins that are too weak, in real gateways."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from gateway_plugin_sdk.testing import ManualClock, ScriptedUpstream, StartGateway, one_route
from gateway_tokens.confirmation import certificate_thumbprint

from tests.plugins.auth.providers.conftest import (
    ALICE,
    CLIENT,
    NOW,
    PLUGINS,
    Start,
    bearer,
    refusals,
    send,
    server_side,
)
from tests.plugins.tokens.proofs import Prover

PROVER = Prover()
URI = "https://api.example.com/"
DPOP = {"origin": "https://api.example.com"}
BOUND: dict[str, Any] = {**ALICE, "token_type": "DPoP", "cnf": {"jkt": PROVER.jkt}}


def proven(token: str = "t0ken", *, scheme: str = "DPoP", prover: Prover = PROVER, **changes: Any) -> dict[str, str]:
    return {"Authorization": f"{scheme} {token}", "DPoP": prover.proof(token, URI, NOW, **changes)}


def test_a_bound_token_needs_a_proof_of_its_key_with_each_request(
    start: Start, upstream: ScriptedUpstream, server: ScriptedUpstream
) -> None:
    running = start(dpop={**DPOP, "hide_proof": True}, hide_credentials=True)
    server.answer_with(200, json=BOUND)
    once = proven()

    assert [running.get("/", headers=fields).status for fields in (once, proven(), once)] == [200, 200, 401]
    assert refusals(running) == {"dpop-replayed"}
    assert upstream.last.headers["x-user"] == "alice"
    assert not {name.lower() for name, _ in upstream.last.headers.items()} & {"authorization", "dpop"}
    assert len(server.requests) == 1
    other = running.get("/", headers=proven(prover=Prover()))
    assert (other.status, "dpop-thumbprint" in refusals(running)) == (401, True)
    assert 'error="invalid_dpop_proof"' in "".join(other.headers.get_all("www-authenticate"))


@server_side
@pytest.mark.parametrize("cache", [{}, {"size": 0}, {"max_age": "0s"}])
def test_a_bound_token_is_no_bearer_token_and_a_bearer_token_no_bound_one(
    start: Start, server: ScriptedUpstream, cache: dict[str, Any]
) -> None:
    running = start(dpop=DPOP, cache=cache)
    server.answer_with(200, json=BOUND)

    for _ in range(2):  # a token that was seen before is no exception
        assert running.get("/", headers=proven()).status == 200
        assert running.get("/", headers=proven(scheme="Bearer")).status == 401
        assert send(running) == 401
    assert refusals(running) == {"dpop-scheme"}
    server.answer_with(200, json=ALICE)
    for _ in range(2):
        assert send(running, "plain") == 200
        assert running.get("/", headers=proven("plain")).status == 401
    assert refusals(running) == {"dpop-scheme", "dpop-unbound"}


@server_side
def test_where_proofs_are_not_looked_at_bound_tokens_are_refused(start: Start, server: ScriptedUpstream) -> None:
    running = start()
    server.answer_with(200, json=BOUND)

    assert [send(running), send(running)] == [401, 401]
    assert refusals(running) == {"dpop-off"}


@server_side
@pytest.mark.parametrize(
    "says",
    [
        {"cnf": {}}, {"cnf": None}, {"cnf": {"kid": "1"}}, {"cnf": {"jkt": PROVER.jkt, "jwk": {}}},
        {"token_type": "DPoP"}, {"token_type": "dpop", "cnf": {"x5t#S256": PROVER.jkt}},
    ],
)  # fmt: skip
def test_what_a_token_is_bound_to_must_be_known(start: Start, server: ScriptedUpstream, says: dict[str, Any]) -> None:
    running = start(dpop=DPOP)
    server.answer_with(200, json={**ALICE, **says})

    assert [send(running), running.get("/", headers=proven()).status] == [401, 401]
    assert refusals(running) == {"confirmation"}


@server_side
def test_required_refuses_tokens_that_are_bound_to_nothing(start: Start, server: ScriptedUpstream) -> None:
    running = start(dpop={**DPOP, "required": True, "algorithms": ["ES256"]})

    for _ in range(2):
        got = running.get("/", headers=bearer("t0ken"))
        assert got.status == 401
        assert got.headers["www-authenticate"] == 'DPoP realm="gateway", error="invalid_token", algs="ES256"'
    assert refusals(running) == {"dpop-unbound"}


@server_side
def test_a_token_of_a_certificate_needs_that_certificate(
    gateway: StartGateway, upstream: ScriptedUpstream, server: ScriptedUpstream, clock: ManualClock
) -> None:
    der = b"\x30\x82certificate" * 20
    mtls = {"certificate_header": "Client-Cert", "required": True}
    provider = {"scheme": "introspection", "endpoint": server.url, "mtls": mtls, **CLIENT}
    config = one_route(upstream.url, {"name": "auth", "config": {"providers": {"opaque": provider}}})
    running = gateway({**config, "trusted_proxies": ["127.0.0.0/8"]}, plugins=PLUGINS)
    server.answer_with(200, json={**ALICE, "cnf": {"x5t#S256": certificate_thumbprint(der)}})
    field, other = (f":{base64.b64encode(each).decode()}:" for each in (der, der[1:]))

    assert [send(running, **{"Client-Cert": each}) for each in (field, other, field)] == [200, 401, 200]
    assert send(running) == 401
    assert refusals(running) == {"certificate-mismatch", "certificate-missing"}
    server.answer_with(200, json=ALICE)
    assert send(running, "plain", **{"Client-Cert": field}) == 401


@server_side
@pytest.mark.parametrize(
    "says", [{"token_use": "refresh_token"}, {"token_use": "ID"}, {"typ": "Refresh"}, {"typ": "Offline"}, {"typ": "ID"}]
)
def test_an_active_token_that_is_no_access_token_is_refused(
    start: Start, server: ScriptedUpstream, says: dict[str, Any]
) -> None:
    running = start()
    server.answer_with(200, json={**ALICE, **says})

    assert [send(running), send(running)] == [401, 401]
    assert refusals(running) == {"type"}
    server.answer_with(200, json={**ALICE, "token_use": "access_token", "typ": "Bearer"})
    assert send(running, "other") == 200


@server_side
def test_a_login_that_is_too_old_is_asked_for_again(start: Start, server: ScriptedUpstream, clock: ManualClock) -> None:
    running = start(step_up={"max_age": "5m", "acr_values": ["mfa"]}, leeway=0, cache={"max_age": "1h"})
    server.answer_with(200, json={**ALICE, "acr": "mfa", "auth_time": NOW - 290})

    assert [send(running), send(running)] == [200, 200]
    clock.advance(10)
    got = running.get("/", headers=bearer("t0ken"))
    assert (got.status, refusals(running)) == (401, {"auth-time"})
    assert (
        'error="insufficient_user_authentication", acr_values="mfa", max_age="300"' in got.headers["www-authenticate"]
    )
    server.answer_with(200, json={**ALICE, "acr": "pwd", "auth_time": NOW})
    assert [send(running, "weak"), refusals(running)] == [401, {"auth-time", "acr"}]


@server_side
def test_the_metadata_of_the_resource_says_what_introspected_tokens_need(
    gateway: StartGateway, upstream: ScriptedUpstream, server: ScriptedUpstream
) -> None:
    opaque = {
        "scheme": "introspection", "endpoint": server.url, "issuer": "https://login.example.com",
        "scopes": {"all": ["read"]}, "dpop": {"required": True, "algorithms": ["ES256"]}, **CLIENT,
    }  # fmt: skip
    unused = {**opaque, "issuer": "https://unused.example.com", "dpop": {"algorithms": ["EdDSA"]}}
    auth = {
        "providers": {"opaque": opaque, "unused": unused}, "require": "opaque",
        "resource_metadata": {"resource": "https://api.example.com"},
    }  # fmt: skip
    running = gateway(one_route(upstream.url, {"name": "auth", "config": auth}), plugins=PLUGINS)

    assert running.get("/.well-known/oauth-protected-resource").json() == {
        "resource": "https://api.example.com", "authorization_servers": ["https://login.example.com"],
        "scopes_supported": ["read"], "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256"], "dpop_bound_access_tokens_required": True,
    }  # fmt: skip
    challenge = running.get("/").headers["www-authenticate"]
    assert challenge.startswith('DPoP realm="gateway", algs="ES256", resource_metadata="https://api.example.com/')
    assert not server.requests
