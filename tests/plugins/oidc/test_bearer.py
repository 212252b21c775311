"""Access tokens beside sessions; how both go together is in `test_plugin`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from gateway_plugin_oidc.bearer import Bearers, Caller
from gateway_plugin_oidc.id_tokens import expected_of
from gateway_plugin_oidc.provider import Provider as KnownProvider
from gateway_plugin_oidc.provider import ProviderDocument
from gateway_plugin_oidc.refusals import Refusal
from gateway_plugin_sdk.testing import ManualClock
from gateway_tokens.keys import from_jwks

from tests.plugins.oidc.provider import Provider


def bearers(provider: Provider, clock: ManualClock, *, trust_unverified_email: bool = False) -> Bearers:
    known = KnownProvider("", "", from_jwks({"keys": [provider.jwk()]}, (), secrets_allowed=False))

    async def has_key_for(*_: object) -> KnownProvider:
        return known

    document = cast("ProviderDocument", SimpleNamespace(has_key_for=has_key_for, generation=known))
    expected = expected_of(provider.issuer, (), provider.client_id, 60.0)
    return Bearers(
        document, expected, ["api"], clock, trust_unverified_email=trust_unverified_email, fields=lambda *_: ()
    )


def token(provider: Provider, **claims: Any) -> str:
    return provider.signed({**provider.claims_for("robot"), "aud": "api", **claims}, typ="at+jwt")


@pytest.mark.parametrize("trusted", [False, True])
async def test_an_address_counts_only_if_it_is_verified(provider: Provider, clock: ManualClock, trusted: bool) -> None:
    made = bearers(provider, clock, trust_unverified_email=trusted)
    text, verified = token(provider, email="a@example.com"), token(provider, email="a@example.com", email_verified=True)

    for each, counts in ((text, trusted), (verified, True)):
        caller = await made.check(each, "client")
        assert isinstance(caller, Caller)
        assert ("email" in caller.identity.claims) is counts
        assert caller.identity.subject == f"{provider.issuer}|robot"
        assert made.known(each) == caller


async def test_a_token_that_is_bound_to_a_key_is_not_enough_by_itself(provider: Provider, clock: ManualClock) -> None:
    # Who holds it has to prove the key (RFC 9449, RFC 8705), which a session's application never does.
    made = bearers(provider, clock)

    refused = await made.check(token(provider, cnf={"jkt": "x"}), "client")

    assert isinstance(refused, Refusal)
    assert (refused.status, refused.reason) == (401, "token-bound")
