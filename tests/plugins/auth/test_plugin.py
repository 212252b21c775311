from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_auth import Auth, AuthConfig


async def test_a_good_token_passes_and_names_the_caller(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret)

    visit = await gate.visit(sign(sub="alice", role="admin"))

    assert visit.status == 200
    assert visit.request.identity.subject == "alice"
    assert visit.request.identity.scheme == "jwt"
    assert visit.request.identity.claims["role"] == "admin"


async def test_a_request_without_token_is_challenged_without_an_error(make_gate: Any, secret: str) -> None:
    gate = await make_gate(secret=secret, realm='the "inner" door')

    visit = await gate.visit()

    assert visit.status == 401
    assert visit.challenge == r'Bearer realm="the \"inner\" door"'
    assert visit.response.headers["content-type"] == "application/problem+json"
    assert visit.response.headers["cache-control"] == "no-store"


async def test_a_bad_token_is_answered_without_saying_why(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret)

    expired = await gate.visit(sign(exp=1))
    forged = await gate.visit(sign(key="b" * 32))

    assert expired.status == forged.status == 401
    assert expired.challenge == forged.challenge == 'Bearer realm="gateway", error="invalid_token"'
    assert expired.response.body == forged.response.body
    assert (expired.reason, forged.reason) == ("expired", "signature")


async def test_each_refusal_is_counted_by_reason(make_gate: Any, secret: str) -> None:
    gate = await make_gate(secret=secret)

    await gate.visit()
    await gate.visit("a.b.c")

    text = gate.metrics.exposition().decode()
    assert 'gateway_auth_refusals_total{binding="auth",reason="missing",route="test"} 1.0' in text
    assert 'gateway_auth_refusals_total{binding="auth",reason="malformed",route="test"} 1.0' in text


async def test_missing_scopes_are_forbidden_and_named(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret, scopes={"all": ["write"], "any": ["a", "b"]})

    refused = await gate.visit(sign(scope="read a"))
    passed = await gate.visit(sign(scope="b write"))

    assert refused.status == 403
    assert refused.challenge == 'Bearer realm="gateway", error="insufficient_scope", scope="a b write"'
    assert passed.status == 200


async def test_claims_become_headers_that_a_client_cannot_set(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret, claims_to_headers={"X-User": "sub", "X-Roles": "realm.roles"})
    forged = [("x-user", "root"), ("X_User", "root"), ("X-ROLES", "admin"), ("X-User", "root")]

    visit = await gate.visit(sign(sub="alice"), headers=forged)

    assert visit.request.headers.get_all("x-user") == ["alice"]
    assert visit.request.headers.get_all("x_user") == []
    assert visit.request.headers.get_all("x-roles") == []


async def test_a_stranger_who_may_pass_cannot_set_the_headers_either(make_gate: Any, secret: str) -> None:
    gate = await make_gate(secret=secret, require={"optional": "jwt"}, claims_to_headers={"X-User": "sub"})

    visit = await gate.visit(headers={"X-User": "root"})

    assert visit.status == 200
    assert "x-user" not in visit.request.headers


async def test_no_claim_can_break_the_head(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret, claims_to_headers={"X-User": "sub", "X-Roles": "roles"})

    visit = await gate.visit(sign(sub="a\r\nX-Admin: 1\0 Zoë", roles=["a,b", "c", 7, True, None, {"d": "é"}]))

    assert visit.status == 200
    assert "x-admin" not in visit.request.headers
    assert visit.request.headers["x-user"] == "a%0D%0AX-Admin: 1%00 Zo%C3%AB"
    assert visit.request.headers["x-roles"] == 'a%2Cb,c,7,true,null,{"d":"\\u00e9"}'


async def test_credentials_are_hidden_only_if_asked(make_gate: Any, secret: str, sign: Any) -> None:
    shows, hides = await make_gate(secret=secret), await make_gate(secret=secret, hide_credentials=True)

    shown, hidden = await shows.visit(sign()), await hides.visit(sign())

    assert "authorization" in shown.request.headers
    assert "authorization" not in hidden.request.headers


async def test_the_payload_can_go_upstream_whole(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret, payload_header="X-Payload")
    token = sign(a=1)

    visit = await gate.visit(token, headers={"X-Payload": "mine"})

    assert visit.request.headers.get_all("x-payload") == [token.split(".")[1]]


async def test_preflight_passes_only_if_allowed_and_only_without_credentials(make_gate: Any, secret: str) -> None:
    strict = await make_gate(secret=secret)
    lenient = await make_gate(secret=secret, allow_preflight=True)
    preflight = {"Origin": "https://b.example", "Access-Control-Request-Method": "PUT"}

    assert (await strict.visit(method="OPTIONS", headers=preflight)).status == 401
    assert (await lenient.visit(method="OPTIONS", headers=preflight)).status == 200
    assert (await lenient.visit(method="OPTIONS", headers={"Origin": "https://b.example"})).status == 401
    assert (await lenient.visit(method="GET", headers=preflight)).status == 401
    assert (await lenient.visit("bad", method="OPTIONS", headers=preflight)).status == 401


async def test_strangers_have_the_configured_name(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret, require={"optional": "jwt"}, anonymous="nobody")

    stranger, alice, forger = await gate.visit(), await gate.visit(sign()), await gate.visit("x")

    assert (stranger.subject, stranger.request.identity.scheme) == ("nobody", "anonymous")
    assert alice.subject == "alice"
    assert forger.status == 401


async def test_two_callers_at_once_are_both_known(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(
        providers={
            "user": {"scheme": "jwt", "secret": secret, "claims_to_headers": {"X-User": "sub"}},
            "app": {"scheme": "api-key", "keys": [{"subject": "phone", "key": "k-1"}], "hide_credentials": True},
        },
        require={"all": ["user", "app"]},
    )

    both = await gate.visit(sign(), headers={"X-API-Key": "k-1"})
    one = await gate.visit(sign())

    assert both.subject == "alice"
    assert [identity.subject for identity in both.request.state["auth.identities"]] == ["alice", "phone"]
    assert "x-api-key" not in both.request.headers
    assert one.status == 401
    assert one.challenge == 'Bearer realm="gateway", ApiKey realm="gateway"'


async def test_two_instances_keep_apart(make_gate: Any, sign: Any) -> None:
    first, second = await make_gate(secret="a" * 32), await make_gate(secret="b" * 32)
    token = sign(key="a" * 32)

    assert (await first.visit(token)).status == 200
    assert (await second.visit(token)).status == 401


def test_the_plugin_denies_when_it_fails_and_names_what_it_gives() -> None:
    assert Auth.default_on_error == "deny"
    assert "identity" in Auth.provides
    assert Auth.config_model is AuthConfig


@pytest.mark.parametrize("preceding", ["", "basic dXNlcjpwYXNz", "Bearer", "Bearer ", "bearer\tx"])
async def test_what_is_no_bearer_token_is_refused(make_gate: Any, secret: str, preceding: str) -> None:
    gate = await make_gate(secret=secret)

    visit = await gate.visit(headers={"Authorization": preceding})

    assert visit.status == 401


async def test_tokens_that_are_ahead_of_the_clock_are_warned_of(
    make_gate: Any, secret: str, sign: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gate = await make_gate(secret=secret)

    assert (await gate.visit(sign(nbf=4102444800))).status == 401

    (line,) = [each for each in caplog.records if "not-yet-valid" in each.getMessage()]
    assert line.levelname == "WARNING"
    assert "clock of its issuer is ahead" in line.getMessage()
