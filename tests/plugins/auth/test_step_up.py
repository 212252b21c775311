from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_auth.step_up import StepUp

from tests.plugins.auth.conftest import NOW, SECRET


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({}, "acr"), ({"acr": "low"}, "acr"), ({"acr": ["mfa"]}, "acr"), ({"acr": None}, "acr"),
        ({"acr": "mfa"}, "auth-time"), ({"acr": "mfa", "auth_time": NOW - 310}, "auth-time"),
        ({"acr": "mfa", "auth_time": "now"}, "auth-time"), ({"acr": "mfa", "auth_time": True}, "auth-time"),
        ({"acr": "mfa", "auth_time": 1e300}, "auth-time"), ({"acr": "mfa", "auth_time": float("nan")}, "auth-time"),
        ({"acr": "mfa", "auth_time": NOW - 309}, None), ({"acr": "hwk", "auth_time": NOW}, None),
    ],
)  # fmt: skip
def test_a_login_must_be_strong_and_recent(claims: dict[str, Any], reason: str | None) -> None:
    refusal = StepUp(("mfa", "hwk"), 300, 10).refusal(claims, NOW)

    assert (refusal.reason if refusal else None) == reason


async def test_a_weak_login_is_challenged_for_what_would_do(make_gate: Any, sign: Any) -> None:
    gate = await make_gate(secret=SECRET, step_up={"acr_values": ["phr", "mfa"], "max_age": "5m"})

    for _ in range(2):
        visit = await gate.visit(sign(acr="pwd", auth_time=NOW))
        assert (visit.status, visit.reason) == (401, "acr")
        assert visit.challenge == (
            'Bearer realm="gateway", error="insufficient_user_authentication", acr_values="phr mfa", max_age="300"'
        )
    assert (await gate.visit(sign(acr="mfa", auth_time=NOW))).status == 200


async def test_a_token_that_was_seen_before_is_refused_once_its_login_is_too_old(
    make_gate: Any, sign: Any, clock: Any
) -> None:
    gate = await make_gate(secret=SECRET, leeway="0s", step_up={"max_age": "1m"})
    token = sign(auth_time=NOW, exp=NOW + 3600)

    assert (await gate.visit(token)).status == 200
    clock.advance(59.9)
    assert (await gate.visit(token)).status == 200
    clock.advance(0.1)
    visit = await gate.visit(token)
    assert (visit.status, visit.reason) == (401, "auth-time")


async def test_scopes_come_before_the_login(make_gate: Any, sign: Any) -> None:
    gate = await make_gate(secret=SECRET, scopes={"all": ["pay"]}, step_up={"acr_values": ["mfa"]})

    visit = await gate.visit(sign(acr="pwd"))

    assert (visit.status, visit.reason) == (403, "scope"), "a better login would not help"
    assert (await gate.visit(sign(acr="pwd", scope="pay"))).reason == "acr"
