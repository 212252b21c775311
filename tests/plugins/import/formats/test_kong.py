"""Declarative configurations of Kong: what each construct becomes, what is refused, and how the result routes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gateway_import.failures import CannotImportError
from gateway_plugin_sdk.testing import ScriptedUpstream, StartGateway
from hypothesis import given
from hypothesis import strategies as st

from tests.importing import check, import_text, losses, started, written

HEAD = '_format_version: "3.0"\n'


def document(*routes: dict[str, Any], url: str = "http://127.0.0.1:8081", **more: Any) -> str:
    service = {"name": "users", "url": url, "routes": list(routes)}
    return json.dumps({"_format_version": "3.0", "services": [service], **more})


def plugin(name: str, **config: Any) -> dict[str, Any]:
    return {"name": name, "config": config}


HOSTILE = [
    "a: b",
    "# a",
    "---",
    "...",
    '"',
    "'",
    "\\",
    "a\nb",
    "\r",
    "\u2028",
    "\x85",
    "\t",
    "\x00",
    "${HOME}",
    "$${A",
    "{{",
    "~",
    "!a",
    "ü",
]
ALICE = {"username": "alice", "keyauth_credentials": [{"key": "secret-of-alice"}], "acls": [{"group": "staff"}]}
ROUTES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"paths": ["/a"]}, {"path_prefix": "/a", "strip_path": True}),
    ({"paths": ["/a/"], "strip_path": False}, {"path_prefix": "/a"}),
    ({"paths": ["/a", "/b"]}, {"path_prefix": ["/a", "/b"], "strip_path": True}),
    ({"paths": ["/"]}, {"path_prefix": "/"}),
    ({"hosts": ["A.example.com", "*.b.example.com:443"]}, {"hosts": ["a.example.com", "*.b.example.com"]}),
    ({"methods": ["get"], "preserve_host": True}, {"methods": ["GET"], "preserve_host": True}),
    ({"headers": {"x-a": ["1"]}, "paths": ["/"]}, {"headers": {"x-a": {"regex": "(?i:1)"}}, "path_prefix": "/"}),
    (
        {"headers": {"x-a": ["1", "2"]}, "paths": ["/"]},
        {"headers": {"x-a": {"regex": "(?i:1|2)"}}, "path_prefix": "/"},
    ),
    (
        {"headers": {"x-a": ["~*b"]}, "paths": ["/"]},
        {"headers": {"x-a": {"regex": "(?i:.*(?:b).*)"}}, "path_prefix": "/"},
    ),
    ({"paths": ["~/a/[0-9]+$"], "strip_path": False}, {"path_regex": "/a/[0-9]+"}),
    ({"paths": ["~/a/(?<id>[0-9]+)"], "strip_path": False}, {"path_regex": "(?:/a/(?P<id>[0-9]+)).*"}),
    (
        {"paths": ["~/v[0-9]"]},
        {"path_regex": "(?:/v[0-9])/?(?P<kong_rest>.*)", "rewrite": {"template": "/:kong_rest"}},
    ),
    ({"paths": ["~/v[0-9]$"]}, {"path_regex": "/v[0-9]", "rewrite": {"template": "/"}}),
]


@pytest.mark.parametrize(("kong", "ours"), ROUTES)
def test_a_route_becomes_a_route(tmp_path: Path, kong: dict[str, Any], ours: dict[str, Any]) -> None:
    imported = import_text("kong", document({"name": "r", **kong}))

    assert (losses(imported), check(imported, tmp_path)) == ([], [])
    assert written(imported)["routes"] == [{"id": "r", "target": "users", **ours}]


CLOSING: list[dict[str, Any]] = [
    {"hosts": ["a.*"], "paths": ["/"]},
    {"snis": ["a.example.com"], "paths": ["/"]},
    {"sources": [{"ip": "10.0.0.0/8"}], "paths": ["/"]},
    {"paths": ["~/a/(?>b)(?<c"]},
]


@pytest.mark.parametrize("kong", CLOSING)
def test_a_route_with_a_condition_that_cannot_be_carried_over_is_closed(tmp_path: Path, kong: dict[str, Any]) -> None:
    imported = import_text("kong", document({"name": "r", **kong}))

    assert [what[0] for _, what in losses(imported)] == ["!"]
    assert check(imported, tmp_path) == []
    assert [route["respond"] for route in written(imported)["routes"]] == [{"status": 403}]


BINDINGS: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (
        plugin("cors", origins=["https://a.example.com", ".*\\.b"], methods=["get"], max_age=60, credentials=True),
        "cors",
        {
            "origins": ["https://a.example.com", {"regex": ".*\\.b"}], "credentials": True, "methods": ["GET"],
            "max_age": "60s",
        },
    ),
    (plugin("ip-restriction", allow=["10.0.0.0/8"], status=404), "ip", {"allow": ["10.0.0.0/8"], "status": 404}),
    (plugin("ip-restriction", blacklist=["192.0.2.1"]), "ip", {"deny": ["192.0.2.1"]}),
    (
        plugin("rate-limiting", minute=5, limit_by="ip", hide_client_headers=True),
        "ratelimit",
        {
            "limits": [{
                "name": "minute", "quota": 5, "window": "60s", "fixed": True, "key": "client_ip",
                "group": "kong-r-rate-limiting",
            }],
            "headers": [],
        },
    ),
    (
        plugin("rate-limiting-advanced", limit=[5], window_size=[30], identifier="header", header_name="x-t"),
        "ratelimit",
        {"limits": [{
            "name": "30s", "quota": 5, "window": "30s", "key": "header:x-t", "group": "kong-r-rate-limiting-advanced",
        }]},
    ),
    (
        plugin("request-transformer", add={"headers": ["x-a: {1}"]}, remove={"headers": ["x-b"]}),
        "headers",
        {"request": {"remove": ["x-b"], "default": {"x-a": "{{1}}"}}},
    ),
    (
        plugin("response-transformer", add={"headers": ["x-a:${HOME}"]}, rename={"headers": ["a:b"]}),
        "headers",
        {"response": {"rename": {"a": "b"}, "default": {"x-a": "${{HOME}}"}}},
    ),
    (plugin("proxy-cache", cache_ttl=30, strategy="memory"), "cache", {"default_ttl": "30s"}),
    (
        plugin("correlation-id", header_name="X-Id", echo_downstream=True, generator="uuid"),
        "headers",
        {"request": {"default": {"X-Id": "{request_id}"}}, "response": {"default": {"X-Id": "{request_id}"}}},
    ),
    (plugin("file-log", path="/dev/stdout"), "logger", {"format": "json", "path": "-"}),
    ({"name": "grpc-web"}, "grpc-web", {}),
]  # fmt: skip


@pytest.mark.parametrize(("kong", "name", "config"), BINDINGS)
def test_a_plugin_becomes_a_binding(tmp_path: Path, kong: dict[str, Any], name: str, config: dict[str, Any]) -> None:
    imported = import_text("kong", document({"name": "r", "paths": ["/"], "plugins": [kong]}))

    assert (losses(imported), check(imported, tmp_path)) == ([], [])
    ((binding,),) = (route["plugins"] for route in written(imported)["routes"])
    assert (binding["name"], binding.get("config", {})) == (name, config)


def test_plugins_that_are_keys_of_routes(tmp_path: Path) -> None:
    size = {"name": "a", "paths": ["/a"], "plugins": [plugin("request-size-limiting", allowed_payload_size=1)]}
    ended = {"name": "b", "paths": ["/b"], "plugins": [plugin("request-termination", status_code=410, message="gone")]}

    imported = import_text("kong", document(size, ended))

    assert check(imported, tmp_path) == []
    first, second = written(imported)["routes"]
    assert first["max_body_bytes"] == 1024 * 1024
    assert (second["respond"]["status"], second["respond"]["body"]) == (410, '{"message":"gone"}')


GUARDS = [
    {"name": "my-own"}, {"name": "bot-detection"}, {"name": "pre-function"}, {"name": "oauth2"}, {"name": "hmac-auth"},
    {"name": "ldap-auth"}, {"name": "mtls-auth"}, {"name": "acl"}, {"name": "key-auth"}, {"name": "request-validator"},
    plugin("openid-connect", issuer="https://a.example.com"), plugin("jwt", key_claim_name="kid"),
    plugin("request-transformer", replace={"uri": "/$(x)"}), plugin("request-transformer", remove={"body": ["a"]}),
    plugin("request-transformer", add={"headers": ["x:$(query_params.a)"]}),
    plugin("request-transformer", http_method="GET"),
    plugin("request-termination", trigger="x"), plugin("ip-restriction", allow=["10.0.0.0/8"], novel=1),
    plugin("rate-limiting", minute=1, limit_by="novel"), {**plugin("cors"), "condition": "http.path == '/'"},
]  # fmt: skip


@pytest.mark.parametrize("kong", GUARDS, ids=lambda each: f"{each['name']}-{sorted(each.get('config', {}))}")
@pytest.mark.parametrize("level", ["route", "service", "global"])
def test_a_guard_that_cannot_be_carried_over_closes_its_routes(kong: dict[str, Any], level: str) -> None:
    route: dict[str, Any] = {"name": "r", "paths": ["/"]}
    more: dict[str, Any] = {}
    if level == "route":
        route["plugins"] = [kong]
    else:
        more["plugins"] = [{**kong, "service": "users"} if level == "service" else kong]

    imported = import_text("kong", document(route, **more))

    assert any(what.startswith("!") for _, what in losses(imported))
    assert written(imported)["routes"] == [{"id": "r", "path_prefix": "/", "respond": {"status": 403}}]


def test_of_plugins_of_one_name_the_most_specific_one_runs() -> None:
    def limit(minute: int, **scope: str) -> dict[str, Any]:
        return {**plugin("rate-limiting", minute=minute, limit_by="ip"), **scope}

    routes = [{"name": name, "paths": [f"/{name}"]} for name in "ab"]
    both = limit(4, route="a", service="users")
    imported = import_text(
        "kong", document(*routes, plugins=[limit(1), limit(2, service="users"), limit(3, route="a")])
    )
    more = import_text("kong", document(*routes, plugins=[limit(3, route="a"), both, {**limit(9), "enabled": False}]))

    def quotas(imported: Any) -> dict[str, list[int]]:
        return {
            route["id"]: [each["config"]["limits"][0]["quota"] for each in route.get("plugins", [])]
            for route in written(imported)["routes"]
        }

    assert (quotas(imported), quotas(more)) == ({"a": [3], "b": [2]}, {"a": [4], "b": []})


def test_a_plugin_of_one_consumer_takes_its_credentials_and_no_one_elses() -> None:
    bob = {**ALICE, "username": "bob", "plugins": [plugin("request-size-limiting")]}
    route = {"name": "r", "paths": ["/"], "plugins": [plugin("key-auth")]}

    imported = import_text("kong", document(route, consumers=[ALICE, bob]))

    assert [what for _, what in losses(imported)] == ["!plugin 'request-size-limiting' of consumer 'bob'"]
    auth = written(imported)["routes"][0]["plugins"][0]["config"]
    assert [key["subject"] for key in auth["providers"]["key-auth"]["keys"]] == ["alice"]


def test_several_authentications_are_all_required_unless_one_consumer_is_anonymous(tmp_path: Path) -> None:
    both = [plugin("key-auth"), plugin("basic-auth")]
    open_to_all = [plugin("key-auth", anonymous="guest"), plugin("basic-auth", anonymous="guest")]
    alice = {**ALICE, "basicauth_credentials": [{"username": "alice", "password": "p"}]}
    routes = [{"name": "a", "paths": ["/a"], "plugins": both}, {"name": "b", "paths": ["/b"], "plugins": open_to_all}]

    def requirements(*consumers: dict[str, Any]) -> list[Any]:
        imported = import_text("kong", document(*routes, consumers=list(consumers)))
        return [route["plugins"][0]["config"]["require"] for route in written(imported)["routes"]]

    denied = {"username": "guest", "plugins": [plugin("request-termination")]}
    names = ["basic-auth", "key-auth"]
    first, second = requirements(alice, {"username": "guest"})
    assert (sorted(first["all"]), sorted(second["optional"]["any"])) == (names, names)
    assert sorted(requirements(alice, denied)[1]["any"]) == names


def test_secrets_stand_in_variables_and_nowhere_else() -> None:
    consumer = {
        "username": "alice",
        "keyauth_credentials": [{"key": "hunter2"}, {"key": "{vault://env/my-key}"}, {"key": '${{ env "DECK_KEY" }}'}],
        "jwt_secrets": [{"key": "iss-of-alice", "secret": "hunter2", "algorithm": "HS512"}],
    }
    route = {"name": "r", "paths": ["/"], "plugins": [plugin("key-auth"), plugin("jwt")]}

    imported = import_text("kong", document(route, consumers=[consumer]))

    names = {each.name for each in imported.variables}
    assert names == {"KONG_ALICE_API_KEY", "MY_KEY", "DECK_KEY", "KONG_ALICE_SECRET_OF_TOKENS"}
    assert "hunter2" not in str(written(imported))


def test_upstreams_with_targets_and_checks(tmp_path: Path) -> None:
    healthy = {"interval": 5, "successes": 1, "http_statuses": [200, 204]}
    upstream = {
        "name": "pool", "algorithm": "consistent-hashing", "hash_on": "header", "hash_on_header": "x-user",
        "hash_fallback": "ip", "host_header": "users.internal",
        "targets": [{"target": "10.0.0.1:80", "weight": 10}, {"target": "10.0.0.2:81"}],
        "healthchecks": {
            "active": {"type": "http", "http_path": "/health", "timeout": 2, "healthy": healthy},
            "passive": {"unhealthy": {"http_failures": 3, "tcp_failures": 2}},
        },
    }  # fmt: skip
    service = {
        "name": "s",
        "host": "pool",
        "path": "/v1",
        "read_timeout": 1500,
        "retries": 20,
        "routes": [{"paths": ["/a"]}],
    }

    imported = import_text(
        "kong", json.dumps({"_format_version": "3.0", "services": [service], "upstreams": [upstream]})
    )

    assert check(imported, tmp_path) == []
    found = written(imported)
    assert found["upstreams"] == [{
        "name": "s",
        "endpoints": [{"url": "http://10.0.0.1:80", "weight": 10}, {"url": "http://10.0.0.2:81", "weight": 100}],
        "hash_on": ["header:x-user", "client_ip"],
        "health_check": {
            "type": "http", "interval": "5s", "path": "/health", "timeout": "2s", "healthy_threshold": 1,
            "expected_statuses": [200, 204],
        },
        "outlier_detection": {"consecutive_5xx": 3, "consecutive_failures": 2},
        "timeouts": {"response": "1500ms", "idle": "1500ms"},
        "retries": {"attempts": 10, "on": ["connect-failure", "reset", "timeout"]},
    }]  # fmt: skip
    assert found["routes"][0]["rewrite"] == {"prefix": "/v1", "host": "users.internal"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services: []\n", "stdin: is no configuration of Kong: _format_version is missing"),
        ('_format_version: "4.0"\n', "stdin:1: has the _format_version '4.0': known are 1.1, 2.1, 3.0"),
        (HEAD + "services:\n  - name: a\n", "stdin:3: service 'a' has neither a url nor a host"),
        (HEAD + "services: {}\n", "stdin:2: 'services' must be a list, not a mapping"),
        (HEAD + "routes:\n  - {name: a, service: b}\n", "stdin:3: names the service 'b', which is not in the file"),
        (HEAD + "routes:\n  - {name: a, expression: 'http.path == \"/\"'}\n", "stdin:3: route 'a' has an expression"),
        (HEAD + "plugins:\n  - {config: {}}\n", "stdin:3: a plugin has no name"),
        (HEAD + "keyauth_credentials:\n  - {consumer: a, key: b}\n", "stdin:3: names the consumer 'a'"),
        ("http:\n  routers: {}\n", "stdin: is no configuration of Kong"),
        ("server {\n  listen 80;\n}\n", "stdin:1: the document must be a mapping"),
    ],
)
def test_what_is_no_configuration_of_kong_is_a_clear_failure(text: str, message: str) -> None:
    with pytest.raises(CannotImportError) as failure:
        import_text("kong", text)

    assert str(failure.value).startswith(message)


def test_certificates_vaults_and_unknown_entities_are_lost_with_their_lines() -> None:
    imported = import_text("kong", document(consumers=[{"username": "alice", "novel_credentials": [{}]}]))
    assert losses(imported) == [(1, "'novel_credentials' of consumer 'alice'")]
    text = HEAD + "certificates:\n  - {cert: a, key: b}\nvaults:\n  - {name: env, prefix: x}\nnovel: [1]\n"

    assert losses(import_text("kong", text)) == [(3, "'certificates'"), (5, "'vaults'"), (6, "'novel'")]


def test_formats_before_3_know_regular_expressions_by_their_characters() -> None:
    text = document({"name": "r", "paths": ["/a/\\d+", "/b~c"], "strip_path": False}).replace("3.0", "2.1")

    found = written(import_text("kong", text))["routes"]
    assert [(each.get("path_regex"), each.get("path_prefix")) for each in found] == [
        ("/b\\~c[^/].*", "/b~c"), ("(?:/a/\\d+).*", None),
    ]  # fmt: skip


def test_requests_go_where_kong_sends_them(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    guards = [plugin("key-auth"), plugin("acl", allow=["staff"])]
    routes: list[dict[str, Any]] = [
        {"name": "all", "paths": ["/"], "strip_path": False},
        {
            "name": "admin",
            "paths": ["/admin"],
            "strip_path": False,
            "plugins": guards,
        },
        {"name": "items", "paths": ["~/items/(?<id>\\d+)"], "plugins": [{"name": "my-own"}]},
        {"name": "shop", "paths": ["/shop"]},
        {"name": "safe", "paths": ["/safe"], "protocols": ["https"]},
        {"name": "get", "paths": ["/shop/x"], "hosts": ["h.example.com"]},
    ]
    bob = {"username": "bob", "keyauth_credentials": [{"key": "secret-of-bob"}]}
    imported = import_text("kong", document(*routes, url=f"{upstream.url}/api", consumers=[ALICE, bob]))
    running = started(gateway, imported, KONG_ALICE_API_KEY="key-of-alice", KONG_BOB_API_KEY="key-of-bob")

    def sent(path: str, **headers: str) -> str:
        response = running.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return f"{response.status} {upstream.last.target if response.status == 200 else ''}".strip()

    assert sent("/x?a=1") == "200 /api/x?a=1"
    assert sent("/shop/y") == "200 /api/y"
    assert sent("/shop/x", host="h.example.com") == "200 /api"
    assert sent("/admin/x") == "401"
    assert sent("/admin/x", apikey="key-of-bob") == "403"
    assert sent("/admin/x", apikey="key-of-alice") == "200 /api/admin/x"
    assert upstream.last.headers["x-consumer-username"] == "alice"
    assert sent("/administration") == "403", "it is below /admin for Kong"
    assert sent("/shopping") == "403", "Kong would send ping"
    assert (sent("/items/7/x"), sent("/items/y")) == ("403", "200 /api/items/y")
    assert sent("/safe") == "426"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.sampled_from(HOSTILE))
def test_values_come_back_as_they_are(text: str) -> None:
    ended = plugin("request-termination", body=text, content_type="text/plain")
    route = {
        "name": text,
        "paths": ["/a"],
        "plugins": [ended, plugin("ip-restriction", allow=["10.0.0.1"], message=text)],
    }
    consumer = {"username": text, "keyauth_credentials": [{"key": text}]}
    guarded = {"name": f"{text}-2", "paths": ["/b"], "plugins": [plugin("key-auth"), {"name": f"our-{text}"}]}
    known = {"name": f"{text}-3", "paths": ["/c"], "plugins": [plugin("key-auth")]}

    first, closed, last = written(import_text("kong", document(route, guarded, known, consumers=[consumer])))["routes"]

    assert (first["respond"]["body"], first["plugins"][0]["config"]["message"]) == (text, text)
    assert closed["respond"] == {"status": 403}
    keys = last["plugins"][0]["config"]["providers"]["key-auth"]["keys"]
    assert [key["subject"] for key in keys] == [text]
