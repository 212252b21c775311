"""A provider as the documentation of Microsoft Entra ID describes it, where it differs from others."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from gateway_plugin_sdk.testing import ManualClock, ScriptedUpstream, eventually

from tests.plugins.oidc.conftest import HOST, Browser, StartOidc
from tests.plugins.oidc.provider import Provider
from tests.plugins.oidc.test_documented_providers import allowed

pytestmark = pytest.mark.in_turn
TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
Entra = Callable[..., dict[str, Any]]


@pytest.fixture
def entra(provider: Provider, options: dict[str, Any]) -> Entra:
    """Several tenants: the issuer of the metadata is a template, and no address is said to be verified."""
    provider.issuer = provider.url + "/{tenantid}/v2.0"
    provider.metadata_changes = {"authorization_response_iss_parameter_supported": None}
    provider.tamper_callback = lambda parameters: parameters.pop("iss")

    def configure(**claims: Any) -> dict[str, Any]:
        own = {
            "iss": f"{provider.url}/{TENANT}/v2.0", "tid": TENANT, "ver": "2.0", "oid": "o1", "aio": "x", "rh": "x",
            "preferred_username": "alice@example.com", "email": "alice@example.com", **claims,
        }  # fmt: skip
        provider.tamper_claims = lambda made: made.update(own)
        return {
            **options,
            "issuer": provider.issuer,
            "discovery_url": provider.url + "/.well-known/openid-configuration",
            "tenants": [TENANT],
        }

    return configure


@pytest.mark.parametrize(
    "cut",
    [
        {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.example.com/x"}}},
        {"hasgroups": True},
        {},
    ],
    ids=["_claim_names", "hasgroups", "no groups"],
)
def test_entra_cuts_groups_which_is_no_proof_of_their_absence(
    entra: Entra, upstream: ScriptedUpstream, clock: ManualClock, cut: dict[str, Any]
) -> None:
    rule = {"not": {"groups": ["blocked"]}}

    assert allowed(entra(**cut), upstream, clock, rule=rule) == 403
    assert allowed(entra(groups=["staff"]), upstream, clock, rule=rule) == 200
    kept = {**entra(**cut), "session": {"claims": ["sub", "groups"]}}
    assert allowed(kept, upstream, clock, rule=rule) == 403, "also if the claims that say so are not kept"


def test_entra_verifies_no_addresses(entra: Entra, upstream: ScriptedUpstream, clock: ManualClock) -> None:
    fields = {"claims_to_headers": {"X-Mail": "email", "X-User": "oid", "X-Tenant": "tid"}}

    assert allowed({**entra(), **fields}, upstream, clock, rule={"authenticated": True}) == 200

    got = upstream.last.headers
    assert (got.get("x-mail"), got["x-user"], got["x-tenant"]) == (None, "o1", TENANT)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://sts.windows.net/" + TENANT + "/", "ver": "1.0"},
        {"tid": "another"},
        {"tid": None},
        {"aud": "api://web"},
        {"aud": ["web", "api://other"]},
    ],
    ids=["issuer of v1", "tenant", "no tenant", "aud as a URI", "several aud"],
)
def test_entra_tokens_of_another_version_tenant_or_audience_are_refused(
    entra: Entra, start: StartOidc, provider: Provider, claims: dict[str, Any]
) -> None:
    config = entra(**claims)
    changes = {name: config[name] for name in ("issuer", "discovery_url", "tenants")}
    browser = Browser(start(**changes))

    assert browser.follow(browser.to_provider()).status == 400


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"aud": "11111111-aaaa", "azp": "another"}, 200),
        ({"aud": "api://shop"}, 200),
        ({"aud": "web"}, 401),
        ({"aud": "11111111-aaaa", "iss": f"https://sts.windows.net/{TENANT}/", "ver": "1.0"}, 401),
    ],
    ids=["id of the API", "URI of the API", "id of the client", "version 1"],
)
def test_entra_access_tokens_are_for_the_api_by_its_id_or_its_uri(
    entra: Entra, start: StartOidc, provider: Provider, claims: dict[str, Any], status: int
) -> None:
    config = entra()
    changes = {name: config[name] for name in ("issuer", "discovery_url", "tenants")}
    gateway = start(bearer={"audience": ["11111111-aaaa", "api://shop"]}, **changes)
    whole = {**provider.claims_for("robot"), "iss": f"{provider.url}/{TENANT}/v2.0", "tid": TENANT, **claims}
    token = provider.signed(whole, typ="JWT")

    answer = gateway.get("/", headers={"Host": HOST, "Authorization": f"Bearer {token}"})

    assert answer.status == status


def test_entra_access_tokens_for_graph_have_a_nonce_in_their_head_and_are_for_graph_alone(
    entra: Entra, start: StartOidc, provider: Provider
) -> None:
    """What is signed has the hash of the nonce in its place, so only Graph can verify such a token."""
    config = entra()
    changes = {name: config[name] for name in ("issuer", "discovery_url", "tenants")}
    whole = {**provider.claims_for("alice"), "iss": f"{provider.url}/{TENANT}/v2.0", "tid": TENANT, "aud": "graph"}
    signed = provider.signed(whole, typ="JWT", nonce=hashlib.sha256(b"n").hexdigest())
    head = {**jwt.get_unverified_header(signed), "nonce": "n"}
    shown = base64.urlsafe_b64encode(json.dumps(head).encode()).rstrip(b"=").decode()
    token = ".".join([shown, *signed.split(".")[1:]])
    provider.tamper_tokens = lambda tokens: tokens.update(access_token=token)
    provider.extra_claims = {}
    without_hash = provider.tamper_claims
    provider.tamper_claims = lambda claims: (without_hash(claims), claims.pop("at_hash"))
    browser = Browser(start(bearer={"audience": "graph"}, **changes))

    assert browser.visit("/").status == 200, "a login does not read the access token"
    answer = browser.gateway.get("/", headers={"Host": HOST, "Authorization": f"Bearer {token}"})
    assert answer.status == 401


def test_entra_writes_lifetimes_as_text_in_version_1(start: StartOidc, provider: Provider, clock: ManualClock) -> None:
    provider.expires_in = "3600"
    browser = Browser(start())
    browser.visit("/")

    clock.advance(3570)
    browser.get("/")

    eventually(lambda: provider.requests["refresh"] == 1)


@pytest.mark.parametrize("error", ["interaction_required", "consent_required"])
def test_entra_asks_for_another_factor_where_others_say_invalid_grant(
    start: StartOidc, provider: Provider, entra: Entra, clock: ManualClock, error: str
) -> None:
    """``interaction_required`` of a token endpoint, when a policy wants more of the user than the grant has."""
    browser = Browser(start(**entra()))
    browser.visit("/")
    provider.token_error = {"error": error, "suberror": "basic_action", "error_codes": [50076]}
    clock.advance(3601)

    assert browser.get("/").status == 401
    provider.token_error = {}
    assert browser.visit("/").status == 200
