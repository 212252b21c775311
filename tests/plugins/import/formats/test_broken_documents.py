"""Whatever stands in a document, an import gives a result that can be read, or a failure with a place."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from gateway_import.failures import CannotImportError
from hypothesis import given
from hypothesis import strategies as st

from tests.importing import import_text, written

KONG: dict[str, Any] = {
    "_format_version": "3.0",
    "services": [
        {
            "name": "s", "url": "http://a.example.com:80/x", "retries": 2, "connect_timeout": 1000, "tls_verify": False,
            "routes": [
                {
                    "name": "r", "paths": ["/a", "~/b$"], "hosts": ["*.a.com"], "methods": ["GET"], "strip_path": True,
                    "headers": {"x": ["1"]}, "protocols": ["https"], "regex_priority": 1,
                    "plugins": [
                        {"name": "key-auth", "config": {"key_names": ["k"], "anonymous": "alice"}},
                        {"name": "acl", "config": {"allow": ["g"]}},
                        {"name": "jwt", "config": {"claims_to_verify": ["exp"]}},
                        {"name": "basic-auth", "config": {}},
                        {"name": "openid-connect", "config": {"issuer": "https://a", "auth_methods": ["bearer"]}},
                    ],
                }
            ],
        },
        {"name": "t", "host": "u", "port": 80, "protocol": "http", "path": "/y", "routes": [{"paths": ["/c"]}]},
    ],
    "upstreams": [
        {
            "name": "u", "algorithm": "least-connections", "hash_on": "none",
            "targets": [{"target": "a:80", "weight": 1}],
            "healthchecks": {"active": {"healthy": {"interval": 1, "http_statuses": [200]}},
                "passive": {"unhealthy": {"http_failures": 1}}},
        }
    ],
    "consumers": [
        {
            "username": "alice", "acls": [{"group": "g"}], "keyauth_credentials": [{"key": "k"}],
            "jwt_secrets": [{"key": "i", "secret": "s", "algorithm": "HS256"}],
            "basicauth_credentials": [{"username": "a", "password": "p"}],
        }
    ],
    "plugins": [
        {"name": name, "config": config}
        for name, config in {
            "cors": {"origins": ["*"], "max_age": 1}, "rate-limiting": {"minute": 1, "limit_by": "ip"},
            "ip-restriction": {"allow": ["10.0.0.0/8"]}, "request-transformer": {"add": {"headers": ["a:b"]}},
            "request-size-limiting": {"allowed_payload_size": 1}, "proxy-cache": {"cache_ttl": 1},
            "rate-limiting-advanced": {"limit": [1], "window_size": [1]}, "correlation-id": {"header_name": "x"},
        }.items()
    ],
}  # fmt: skip
KRAKEND: dict[str, Any] = {
    "version": 3, "host": ["http://a:80"], "timeout": "2s", "port": 80, "tls": {"public_key": "a", "private_key": "b"},
    "extra_config": {"security/cors": {"allow_origins": ["https://a.com"]}},
    "endpoints": [
        {
            "endpoint": "/a/{id}", "method": "GET", "input_headers": ["x"], "input_query_strings": ["q"],
            "backend": [{"url_pattern": "/b/{id}?c=d", "host": ["http://b"], "sd": "dns", "allow": [], "mapping": {}}],
            "extra_config": {
                "auth/validator": {"alg": "RS256", "jwk_url": "https://a", "propagate_claims": [["a", "b"]]},
                "qos/ratelimit/router": {"max_rate": 1, "client_max_rate": 1, "strategy": "ip", "every": "1m"},
            },
        }
    ],
}  # fmt: skip
OPENAPI: dict[str, Any] = {
    "openapi": "3.1.0", "servers": [{"url": "https://{a}/v1", "variables": {"a": {"default": "b.com"}}}],
    "security": [{"o": ["x"]}],
    "components": {"securitySchemes": {"o": {"type": "oauth2"}, "k": {"type": "apiKey", "in": "header", "name": "x"}}},
    "paths": {"/a/{b}.{c}": {"$ref": "#/paths/~1d"}, "/d": {"get": {"operationId": "x", "security": [{"k": []}, {}]}}},
}  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1.5, 10**30, "", "a", "/", "~(", "${A}", "\n", [], ["a"], [[]], {}, {"a": "b"}, [{}]]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from places(inner, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    made = copy.deepcopy(document)
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return made


@pytest.mark.parametrize(("name", "document"), [("kong", KONG), ("krakend", KRAKEND), ("openapi", OPENAPI)])
@given(st.data())
def test_a_document_with_another_value_somewhere_is_imported_or_refused(
    name: str, document: dict[str, Any], data: st.DataObject
) -> None:
    text = json.dumps(changed(document, data.draw(st.sampled_from(list(places(document)))), data.draw(VALUES)))

    try:
        imported = import_text(name, text, target=None, validate=False)
    except CannotImportError:  # which has a place: test_failures.py
        return
    found = written(imported)
    assert all(route["id"] for route in found.get("routes", []))


@pytest.mark.parametrize(("name", "document"), [("kong", KONG), ("krakend", KRAKEND), ("openapi", OPENAPI)])
def test_the_documents_themselves_are_imported(name: str, document: dict[str, Any]) -> None:
    imported = import_text(name, json.dumps(document), target=None, validate=False)

    assert written(imported)["routes"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nginx", ("limit_req_zone $uri zone=z:1m rate=1r/s; server { limit_req zone=z; limit_req_status x; "
                  "location / { proxy_pass http://u; } }")),
        ("nginx", "server { location / { proxy_pass http://[::1; } }"),
        ("nginx", "upstream u { server a max_fails=x; } server { location / { proxy_pass http://u; } }"),
        ("traefik", ("http: {routers: {a: {rule: 'Path(`/`)', service: s, middlewares: [m]}}, "
                    "middlewares: {m: {forwardAuth: {address: 'http://[x'}}}}")),
        ("traefik", ("http: {routers: {a: {rule: 'Path(`/`)', service: s}}, "
                    "services: {s: {loadBalancer: {servers: [{url: 'http://[x'}]}}}}")),
        ("kong", ("{_format_version: '3.0', services: [{name: s, host: u}], upstreams: [{name: u, "
                 "healthchecks: {active: {healthy: {interval: 5, http_statuses: [x]}}}}]}")),
    ],
)  # fmt: skip
def test_a_value_that_is_none_of_its_kind_is_a_finding_or_an_error_and_no_crash(name: str, text: str) -> None:
    with suppress(CannotImportError):
        written(import_text(name, text))


SERVED_BY = "http: {routers: {r: {rule: 'Path(`/a`)', service: s}}, services: {"
OF_KONG = "_format_version: '3.0'\nservices:\n- {name: s, url: 'http://u', routes: [{name: r, paths: [PATH]}]}\n"


@pytest.mark.parametrize(
    ("name", "text", "line", "message"),
    [
        ("kong", "_format_version: '3.0'\nservices:\n- {name: s, host: u, port: 99999}\n", 3, "the port 99999"),
        ("kong", OF_KONG.replace("PATH", "{a: 1}"), 3, "the path a mapping of route 'r'"),
        ("kong", OF_KONG.replace("PATH", "a"), 3, "the path 'a' of route 'r'"),
        ("kong", OF_KONG.replace("PATH", "~a"), 3, "the path '~a' of route 'r'"),
        ("nginx", "server {\n location / {\n  proxy_pass http://u\n }\n}\n", 4, "without `;`"),
        ("krakend", 'version: 3\ntimeout: soon\nendpoints: []\n', 2, "the timeout 'soon'"),
        ("openapi", "openapi: 3.1.0\nservers:\n- url: 'http://{h}'\npaths: {/a: {get: {}}}\n", 3, "have no default"),
    ],
)  # fmt: skip
def test_a_value_that_its_own_product_refuses_is_a_failure_with_its_line(
    name: str, text: str, line: int, message: str
) -> None:
    with pytest.raises(CannotImportError) as failure:
        import_text(name, text)

    assert (failure.value.origin.line, message in str(failure.value)) == (line, True), str(failure.value)


@pytest.mark.parametrize(
    "service",
    [
        "s: {weighted: {services: [{name: s}]}}",
        "s: {weighted: {services: [{name: t}]}}, t: {weighted: {services: [{name: s}]}}",
        "s: {failover: {service: s, fallback: s}}",
        "s: {mirroring: {service: s, mirrors: [{name: s}]}}",
        "s: {loadBalancer: {servers: []}}",
        "s: {loadBalancer: {}}",
        "s: {weighted: {services: [{name: t}]}}, t: {loadBalancer: {servers: []}}",
    ],
)
def test_a_service_of_traefik_that_is_made_of_itself_or_of_nothing_closes_its_routes(service: str) -> None:
    imported = import_text("traefik", f"{SERVED_BY}{service}}}}}\n")

    assert [each["respond"] for each in written(imported)["routes"]] == [{"status": 403}]
    assert "upstreams" not in written(imported)
