"""Configurations of KrakenD: what each construct becomes, what is refused, and how the result routes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gateway_import.failures import CannotImportError
from gateway_plugin_sdk.testing import ScriptedUpstream, StartGateway

from tests.importing import check, import_text, losses, started, written

EVERYTHING: dict[str, Any] = {"input_headers": ["*"], "input_query_strings": ["*"]}


def endpoint(path: str = "/a", *, backend: dict[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    return {"endpoint": path, "backend": [{"url_pattern": path, **(backend or {})}], **keys}


def document(*endpoints: dict[str, Any], **keys: Any) -> str:
    return json.dumps({"version": 3, "host": ["http://127.0.0.1:8081"], "endpoints": list(endpoints), **keys})


def route(text: str) -> dict[str, Any]:
    (found,) = written(import_text("krakend", text))["routes"]
    assert isinstance(found, dict)
    return found


ROUTES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (endpoint("/a", **EVERYTHING), {"path": "/a", "methods": ["GET"], "timeouts": {"total": "2s"}}),
    (endpoint("/a/{id}", method="put", timeout="500ms", **EVERYTHING), {"path": "/a/:id", "methods": ["PUT"]}),
    (endpoint("/a", backend={"url_pattern": "/b"}, **EVERYTHING), {"rewrite": {"template": "/b"}}),
    (
        endpoint("/a/{id}", backend={"url_pattern": "/b/{id}?x=1&y={id}"}, **EVERYTHING),
        {"rewrite": {"template": "/b/:id", "query": {"set": {"x": "1", "y": ":id"}}}},
    ),
    (endpoint(input_headers=["*"], input_query_strings=["p"]), {"rewrite": {"query": {"keep": ["p"]}}}),
    (endpoint(input_headers=["*"]), {"rewrite": {"query": {"keep": []}}}),
    (endpoint(querystring_params=["p"], headers_to_pass=["*"]), {"rewrite": {"query": {"keep": ["p"]}}}),
]


@pytest.mark.parametrize(("krakend", "ours"), ROUTES)
def test_an_endpoint_becomes_a_route(tmp_path: Path, krakend: dict[str, Any], ours: dict[str, Any]) -> None:
    imported = import_text("krakend", document(krakend))

    assert (losses(imported), check(imported, tmp_path)) == ([], [])
    found = written(imported)["routes"][0]
    assert {key: found.get(key) for key in ours} == ours


BINDINGS: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (
        endpoint(input_query_strings=["*"]),
        "headers",
        {"request": {"keep": ["user-agent", "x-forwarded-*"]}},
    ),
    (
        endpoint(input_query_strings=["*"], input_headers=["X-A", "Accept"]),
        "headers",
        {"request": {"keep": ["x-a", "accept", "user-agent", "x-forwarded-*"]}},
    ),
    (
        endpoint(extra_config={"qos/ratelimit/router": {"max_rate": 9, "capacity": 3, "every": "1m"}}, **EVERYTHING),
        "ratelimit",
        {"limits": [{"name": "all", "rate": 9, "per": "1m", "key": "constant", "burst": 3}]},
    ),
    (
        endpoint(
            extra_config={"qos/ratelimit/router": {"client_max_rate": 2, "strategy": "header", "key": "x"}},
            **EVERYTHING,
        ),
        "ratelimit",
        {"limits": [{"name": "client", "rate": 2, "per": "1s", "key": "header:x"}]},
    ),
    (
        endpoint(backend={"extra_config": {"qos/ratelimit/proxy": {"max_rate": 5, "capacity": 5}}}, **EVERYTHING),
        "ratelimit",
        {"limits": [{"name": "proxy", "rate": 5, "per": "1s", "key": "constant", "burst": 5}]},
    ),
    (
        endpoint(
            extra_config={"auth/validator": {
                "alg": "ES256", "jwk_url": "https://a.example.com/keys", "issuer": "i", "audience": ["x", "y"],
                "roles": ["r"], "roles_key": "https://a.example.com/roles", "scopes": ["s"], "scopes_matcher": "all",
                "propagate_claims": [["sub", "x-user"]], "cookie_key": "t", "cache": True,
            }},
            **EVERYTHING,
        ),
        "auth",
        {
            "providers": {"jwt": {
                "scheme": "jwt", "algorithms": ["ES256"], "jwks_url": "https://a.example.com/keys", "issuer": "i",
                "audience": ["x", "y"], "audience_match": "all",
                "roles": {"any": ["r"], "claim": "https://a\\.example\\.com/roles"}, "scopes": {"all": ["s"]},
                "token_from": [{"header": "Authorization", "scheme": "Bearer"}, {"cookie": "t"}],
                "claims_to_headers": {"x-user": "sub"},
            }},
            "require": "jwt",
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("krakend", "name", "config"), BINDINGS)
def test_a_namespace_becomes_a_binding(
    tmp_path: Path, krakend: dict[str, Any], name: str, config: dict[str, Any]
) -> None:
    imported = import_text("krakend", document(krakend))

    assert (losses(imported), check(imported, tmp_path)) == ([], [])
    ((binding,),) = (each["plugins"] for each in written(imported)["routes"])
    assert (binding["name"], binding["config"]) == (name, config)


@pytest.mark.parametrize(
    "krakend",
    [
        endpoint(backend={"method": "POST"}),
        endpoint(backend={"sd": "consul"}),
        endpoint(backend={"url_pattern": "/{resp0_id}"}),
        endpoint(backend={"host": ["ftp://x"]}),
        endpoint(backend={"host": ["gcppubsub://"], "extra_config": {"backend/pubsub/publisher": {"topic_url": "t"}}}),
        endpoint(backend={"input_headers": ["x-a"]}),
        endpoint(extra_config={"auth/api-keys": {"roles": ["a"]}}),
        endpoint(extra_config={"validation/cel": {"check_expr": "true"}}),
        endpoint(extra_config={"novel/namespace": {}}),
        endpoint(extra_config={"novel/namespace": "20s"}),
        endpoint(extra_config={"auth/validator": {"jwk_url": "http://a.example.com"}}),
        endpoint(extra_config={"auth/validator": {"alg": "RS256"}}),
        endpoint(extra_config={"auth/validator": {"jwk_url": "https://a.example.com", "novel": 1}}),
        endpoint(extra_config={"qos/ratelimit/router": {"client_max_rate": 1, "strategy": "novel"}}),
    ],
)
def test_a_guard_that_cannot_be_carried_over_closes_its_route(tmp_path: Path, krakend: dict[str, Any]) -> None:
    imported = import_text("krakend", document(krakend))

    assert any(what.startswith("!") for _, what in losses(imported))
    assert check(imported, tmp_path) == []
    found = written(imported)["routes"][0]
    assert (found["path"], found["respond"], "target" in found) == ("/a", {"status": 403}, False)


@pytest.mark.parametrize(
    "keys",
    [
        {"extra_config": {"security/bot-detector": {"deny": ["x"]}}},
        {"tls": {"public_key": "c.pem", "private_key": "k.pem", "enable_mtls": True}},
    ],
)
def test_a_guard_of_the_whole_service_closes_every_route(keys: dict[str, Any]) -> None:
    imported = import_text("krakend", document(endpoint("/a"), endpoint("/b"), **keys))

    assert [each["respond"] for each in written(imported)["routes"]] == [{"status": 403}] * 2
    assert len(losses(imported)) == 1


def test_keys_that_krakend_takes_for_comments_are_left_out_and_names_of_fields_stay() -> None:
    shaped = {"mapping": {"_id": "id"}, "@todo": 1, "#": ["x"], "_why": {"a": "b"}}
    commented = {"@auth/validator": {"novel": 1}, "telemetry/logging": {"@level": "ERROR"}}
    imported = import_text("krakend", document(endpoint(backend=shaped, extra_config=commented)))

    assert losses(imported) == [(1, "'telemetry/logging' of endpoint GET /a")]
    (found,) = written(imported)["routes"]
    (call,) = found["plugins"][0]["config"]["calls"]
    assert "_id" in str(call)


def test_version_2_has_dashes_in_the_keys_of_the_validator() -> None:
    validator = {"jwk-url": "https://a.example.com/keys", "propagate-claims": [["sub", "x-user"]]}
    protected = endpoint(extra_config={"github.com/devopsfaith/krakend-jose/validator": validator}, **EVERYTHING)

    (bound,) = route(document(protected))["plugins"]
    provider = bound["config"]["providers"]["jwt"]
    assert (provider["jwks_url"], provider["claims_to_headers"]) == ("https://a.example.com/keys", {"x-user": "sub"})
    twice = endpoint(extra_config={"auth/validator": {**validator, "jwk_url": "https://b.example.com/keys"}})
    with pytest.raises(CannotImportError, match="has a key twice, with - and with _"):
        import_text("krakend", document(twice))


def test_what_guards_nothing_is_lost_and_the_route_stays() -> None:
    changed = endpoint(backend={"encoding": "xml"}, output_encoding="xml", **EVERYTHING)

    imported = import_text(
        "krakend", document({**changed, "extra_config": {"telemetry/opentelemetry": {}}, "novel": 1})
    )

    assert [line for line, _ in losses(imported)] == [1] * 4
    assert "target" in written(imported)["routes"][0]


@pytest.mark.parametrize("entry", [["sub", ""], ["", "x-user"], ["sub"], ["sub", 1], "sub"])
def test_a_claim_that_has_no_header_to_go_in_is_lost(entry: Any) -> None:
    claims = [["iss", "x-issuer"], entry]
    validator = {"alg": "RS256", "jwk_url": "https://a.example.com/keys", "propagate_claims": claims}

    imported = import_text("krakend", document(endpoint(extra_config={"auth/validator": validator}, **EVERYTHING)))

    assert losses(imported) == [(1, "an entry of 'propagate_claims'")]
    assert written(imported)["routes"][0]["plugins"][0]["config"]["providers"]["jwt"]["claims_to_headers"] == {
        "x-issuer": "iss"
    }


def test_the_service_has_a_listener_cors_and_names_of_version_2(tmp_path: Path) -> None:
    v2 = {
        "github_com/devopsfaith/krakend-cors": {"allow_origins": ["https://a.example.com"], "allow_credentials": True}
    }
    limit = {"github.com/devopsfaith/krakend-ratelimit/juju/router": {"maxRate": 5, "clientMaxRate": 1}}
    text = document(endpoint(extra_config=limit, **EVERYTHING), version=2, port=9000, extra_config=v2)

    imported = import_text("krakend", text)

    assert (losses(imported), check(imported, tmp_path)) == ([], [])
    found = written(imported)
    assert found["listen"] == [{"address": ":9000"}]
    assert found["plugins"][0]["config"] == {"origins": ["https://a.example.com"], "credentials": True}
    assert [limit["name"] for limit in found["routes"][0]["plugins"][0]["config"]["limits"]] == ["all", "client"]


def test_discovery_by_dns_and_several_hosts() -> None:
    backends = (
        endpoint("/a", backend={"host": ["srv.example.com"], "sd": "dns"}),
        endpoint("/b", backend={"host": ["x:1", "y:2"]}),
    )

    upstreams = written(import_text("krakend", document(*backends)))["upstreams"]

    assert upstreams[0]["discovery"]["config"] == {"host": "srv.example.com", "record": "srv", "scheme": "http"}
    assert [each["url"] for each in upstreams[1]["endpoints"]] == ["http://x:1", "http://y:2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": 3}', "stdin: is no configuration of KrakenD: version or endpoints is missing"),
        ('{\n"version": 4, "endpoints": []}', "stdin:2: has the version 4: known are 2 and 3"),
        ('{"version": 3,\n "host": {{ marshal .urls }}}', "stdin:2: has templates of flexible configuration"),
        ('{"version": 3,\n "endpoints": [{"endpoint": "a"}]}', "stdin:2: has the endpoint 'a': begin it with /"),
        ('{"version": 3,\n "endpoints": [{"endpoint": "/a"}]}', "stdin:2: endpoint GET /a has no backend"),
        ('{"version": 3, "endpoints": [{"endpoint": "/a"}', "stdin:2: is no YAML"),
        ("_format_version: '3.0'\nservices: []\n", "stdin: is no configuration of KrakenD"),
        (document(endpoint(backend={"host": ["http://[x"]})), "stdin:1: has the host 'http://[x', which is no URL"),
    ],
)
def test_what_is_no_configuration_of_krakend_is_a_clear_failure(text: str, message: str) -> None:
    with pytest.raises(CannotImportError) as failure:
        import_text("krakend", text)

    assert str(failure.value).startswith(message)


def test_the_backend_gets_what_is_listed_and_nothing_else(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    endpoints = [
        endpoint(
            "/users/{id}", backend={"url_pattern": "/u/{id}.json"}, input_headers=["X-A"], input_query_strings=["page"]
        ),
        endpoint("/open", **EVERYTHING),
        endpoint("/admin", extra_config={"auth/api-keys": {"roles": ["admin"]}}),
    ]
    running = started(gateway, import_text("krakend", document(*endpoints, host=[upstream.url])))

    response = running.get("/users/7?page=2&debug=1", headers={"X-A": "1", "X-B": "2", "Cookie": "a=b"})
    assert response.status == 200, response.text
    assert (response.status, upstream.last.target) == (200, "/u/7.json?page=2")
    assert [upstream.last.headers.get(name) for name in ("x-a", "x-b", "cookie")] == ["1", None, None]
    running.get("/open?debug=1", headers={"X-B": "2"})
    assert (upstream.last.target, upstream.last.headers.get("x-b")) == ("/open?debug=1", "2")
    assert running.get("/admin").status == 403
    assert running.request("POST", "/users/7").status == 405


@pytest.mark.parametrize(
    "extra",
    [{"server/virtual-host": {"hosts": ["a.com"]}}, {"router": {"max_payload": 10}}, {"router-of-our-own": {}}],
)
def test_a_namespace_of_the_service_that_refuses_requests_closes_every_endpoint(extra: dict[str, Any]) -> None:
    backend = {"host": ["http://127.0.0.1:8081"], "url_pattern": "/a"}
    document = {"version": 3, "extra_config": extra, "endpoints": [{"endpoint": "/a", "backend": [backend]}]}

    assert written(import_text("krakend", json.dumps(document)))["routes"][0]["respond"] == {"status": 403}


def test_a_namespace_under_both_of_its_names_is_an_error_as_one_would_be_left_out() -> None:
    names = ("auth/validator", "github.com/devopsfaith/krakend-jose/validator")
    extra = {name: {"alg": "RS256", "jwk_url": "https://a.com/keys"} for name in names}
    backend = {"host": ["http://127.0.0.1:8081"], "url_pattern": "/a"}
    document = {"version": 3, "endpoints": [{"endpoint": "/a", "backend": [backend], "extra_config": extra}]}

    with pytest.raises(CannotImportError, match="twice"):
        import_text("krakend", json.dumps(document))


@pytest.mark.parametrize(
    ("given", "total"),
    [
        ("3s", "3s"), ("1m30s", "90000ms"), ("1.5s", "1500ms"), ("0s", "2s"), ("0", "2s"), ("500us", "1ms"),
        ("1h", "1h"), ("250ms", "250ms"),
    ],
)  # fmt: skip
def test_timeouts_are_read_as_go_writes_durations(tmp_path: Path, given: str, total: str) -> None:
    backend = '[{"url_pattern": "/a", "host": ["http://127.0.0.1:1"]}]'
    text = f'{{"version": 3, "endpoints": [{{"endpoint": "/a", "timeout": "{given}", "backend": {backend}}}]}}'
    imported = import_text("krakend", text)

    assert written(imported)["routes"][0]["timeouts"] == {"total": total}
    assert check(imported, tmp_path) == []
