"""Requests that a policy of Open Policy Agent decides about."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_plugin_authorize import Authorize
from gateway_plugin_sdk import Identity, Response, UpstreamError
from gateway_plugin_sdk.testing import PluginHarness

OPA = "http://opa.test"


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (Response.json({"result": True}), 200, None),
        (Response.json({"result": {"allow": True}}), 200, None),
        (Response.json({"result": False}), 403, "policy-denied"),
        (Response.json({"result": {"allow": False}}), 403, "policy-denied"),
        (Response.json({}), 403, "policy-undefined"),
        (Response.json({"result": {}}), 403, "policy-undefined"),
        (Response.json({"result": "true"}), 403, "policy-undefined"),
        (Response.json({"result": 1}), 403, "policy-undefined"),
        (Response.json([]), 403, "policy-undefined"),
        (Response.text("no"), 503, "policy-unavailable"),
        (Response.json({"result": True}, 500), 503, "policy-unavailable"),
        (Response.text("x" * 70_000), 503, "policy-unavailable"),
        (UpstreamError("away", status=504, reason="upstream.timeout"), 503, "policy-unavailable"),
    ],
    ids=str,
)
def test_only_a_true_of_the_policy_lets_a_request_pass(answer: Any, status: int, reason: str | None) -> None:
    with PluginHarness(Authorize, {"opa": {"target": OPA}}, upstreams={OPA: answer}) as harness:
        result = harness.request()

    assert (result.response.status, result.request.state.get("authorize.refusal")) == (status, reason)
    assert result.response.headers.get("retry-after") == ("1" if status == 503 else None)


def test_the_policy_knows_the_request_and_no_credentials() -> None:
    config = {"opa": {"target": OPA, "path": "/v1/data/x", "headers": ["X-Tenant", "X-Gone"]}}
    answer = Response.json({"result": True})
    with PluginHarness(Authorize, config, upstreams={OPA: answer}) as harness:
        identity = Identity("alice", "jwt", {"groups": ["a"]})
        headers = [("X-Tenant", "t"), ("Authorization", "Bearer s3cret")]
        harness.request("PUT", "/a/b?x=1&x=2", headers=headers, identity=identity)
        (sent,) = harness.fetched

    assert isinstance(sent.body, bytes)
    assert (sent.method, sent.path) == ("POST", "/v1/data/x")
    assert b"s3cret" not in sent.body
    assert json.loads(sent.body)["input"] == {
        "method": "PUT",
        "path": "/a/b",
        "segments": ["a", "b"],
        "query": {"x": ["1", "2"]},
        "host": "gateway.test",
        "scheme": "http",
        "client_ip": "192.0.2.1",
        "route": "test",
        "headers": {"x-tenant": ["t"]},
        "identity": {"subject": "alice", "scheme": "jwt", "claims": {"groups": ["a"]}},
        "consumer": None,
    }


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        ("admin.test", "admin.test"),
        ("ADMIN.test.:8443", "admin.test"),
        ("%61dmin.%54est", "admin.test"),
        ("[0:0::1]:80", "[::1]"),
    ],
)
def test_the_policy_knows_the_host_that_routes_match(sent: str, known: str) -> None:
    answer = Response.json({"result": True})
    with PluginHarness(Authorize, {"opa": {"target": OPA}}, upstreams={OPA: answer}) as harness:
        harness.request(host=sent)
        (asked,) = harness.fetched

    assert isinstance(asked.body, bytes)
    assert json.loads(asked.body)["input"]["host"] == known


def test_the_policy_is_asked_only_for_what_the_rule_allows() -> None:
    config = {"rule": {"methods": ["GET"]}, "opa": {"target": OPA}}
    with PluginHarness(Authorize, config, upstreams={OPA: Response.json({"result": True})}) as harness:
        statuses = [harness.request(method).response.status for method in ("GET", "PUT")]
        asked = len(harness.fetched)

    assert (statuses, asked) == ([200, 403], 1)
