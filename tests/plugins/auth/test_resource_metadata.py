"""The metadata of the API (RFC 9728)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_plugin_sdk.testing import one_route

from tests.plugins.auth.conftest import SECRET

URL = "https://api.example.com/.well-known/oauth-protected-resource/orders"
PATH = "/.well-known/oauth-protected-resource/orders"
CONFIG: dict[str, Any] = {
    "secret": SECRET, "issuer": "https://login.example.com", "scopes": {"all": ["read"], "any": ["a", "b"]},
    "dpop": {"algorithms": ["ES256"], "required": True}, "mtls": {"required": True},
    "resource_metadata": {
        "resource": "https://api.example.com/orders", "resource_name": "Orders",
        "more": {"resource_policy_uri": "https://api.example.com/policy"},
    },
}  # fmt: skip


@pytest.fixture(params=["gateway-wide", "route"])
def running(request: Any, gateway: Any, upstream: Any) -> Any:
    binding = {"name": "auth", "config": CONFIG}
    if request.param == "route":
        return gateway(one_route(upstream.url, binding))
    return gateway({**one_route(upstream.url, path_prefix="/orders"), "plugins": [binding]})


def test_the_document_says_what_the_binding_asks_for(running: Any, upstream: Any) -> None:
    answer = running.get(PATH, headers={"Host": "evil.example"})

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json() == {
        "resource": "https://api.example.com/orders",
        "authorization_servers": ["https://login.example.com"],
        "scopes_supported": ["a", "b", "read"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Orders",
        "dpop_signing_alg_values_supported": ["ES256"],
        "dpop_bound_access_tokens_required": True,
        "tls_client_certificate_bound_access_tokens": True,
        "resource_policy_uri": "https://api.example.com/policy",
    }
    assert not upstream.requests


@pytest.mark.parametrize("other", [{}, {"dpop": {}}])
async def test_a_proof_is_required_only_if_every_provider_requires_it(make_gate: Any, other: Any) -> None:
    providers = {
        "a": {"scheme": "jwt", "secret": SECRET, "dpop": {"required": True}},
        "b": {"scheme": "jwt", "secret": SECRET, **other},
    }
    gate = await make_gate(providers=providers, resource_metadata={"resource": "https://a.example"})

    visit = await gate.visit(target="/.well-known/oauth-protected-resource")

    assert "dpop_bound_access_tokens_required" not in json.loads(visit.response.body)


def test_a_head_has_no_body_and_other_methods_are_refused(running: Any) -> None:
    head = running.request("HEAD", PATH)

    assert (head.status, head.body) == (200, b"")
    refused = running.request("POST", PATH)
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")


def test_challenges_name_the_document_whatever_the_host(running: Any) -> None:
    answer = running.get("/orders/1", headers={"Host": "evil.example"})

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == f'DPoP realm="gateway", algs="ES256", resource_metadata="{URL}"'


def test_no_other_path_has_it(running: Any) -> None:
    for path in ("/.well-known/oauth-protected-resource", PATH + "/", PATH + "x", "/x" + PATH):
        assert running.get(path).status in {401, 404}


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ("https://a.example", "/.well-known/oauth-protected-resource"),
        ("https://a.example/", "/.well-known/oauth-protected-resource"),
        ("https://a.example:8443/b/c", "/.well-known/oauth-protected-resource/b/c"),
    ],
)
async def test_the_path_of_the_resource_stands_behind_the_well_known_one(
    make_gate: Any, resource: str, path: str
) -> None:
    options = {"resource": resource, "authorization_servers": ["https://b.example"], "scopes_supported": ["s"]}
    gate = await make_gate(secret=SECRET, resource_metadata=options)

    document = await gate.visit(target=path)
    challenge = (await gate.visit()).challenge

    assert document.status == 200
    host = resource.split("/")[2]
    assert challenge == f'Bearer realm="gateway", resource_metadata="https://{host}{path}"'
