"""Issuers with tenants, whose metadata is elsewhere, and subjects that are numbers."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from gateway_plugin_auth import AuthConfig
from pydantic import ValidationError


async def test_tokens_of_listed_tenants_are_verified_with_keys_of_metadata_elsewhere(
    make_gate: Any, key_server: Any, keys: Any
) -> None:
    issuer = f"{key_server.url}/{{tenantid}}/v2.0"
    key_server.set_jwks(keys.jwk(keys.rsa, kid="k1"))
    key_server.documents["/common"] = json.dumps({"issuer": issuer, "jwks_uri": f"{key_server.url}/jwks"})
    place = f"{key_server.url}/common"
    gate = await make_gate(issuer=issuer, discovery=True, discovery_url=place, tenants=["t1"], numeric_subject=True)

    async def visit(tenant: str, tid: str, sub: Any = "alice") -> Any:
        claims = {"sub": sub, "iss": f"{key_server.url}/{tenant}/v2.0", "tid": tid}
        payload = jwt.api_jws.encode(json.dumps(claims).encode(), keys.rsa, "RS256", {"kid": "k1"})
        return await gate.visit(payload)

    assert (await visit("t1", "t1")).subject == "alice"
    assert (await visit("t1", "t1", 4711)).subject == "4711"
    assert (await visit("t1", "t2")).reason == "tenant"
    assert (await visit("t2", "t2")).reason == "issuer"
    assert (await visit("{tenantid}", "t1")).reason == "issuer"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"issuer": "https://a/{tenantid}", "discovery": True}, "needs tenants"),
        ({"issuer": "https://a", "discovery": True, "tenants": ["a"]}, "needs tenants, and only that"),
        ({"issuer": "https://a/{tenantid}", "discovery": True, "tenants": ["a"]}, "needs discovery_url"),
        ({"issuer": "https://a", "jwks_url": "https://a/j", "discovery_url": "https://a/m"}, "without discovery"),
        ({"issuer": "https://a", "discovery": True, "discovery_url": "http://a/m"}, "is not encrypted"),
    ],
)
def test_a_configuration_that_names_no_tenants_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AuthConfig.model_validate(options)
