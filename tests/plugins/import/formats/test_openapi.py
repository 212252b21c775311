"""OpenAPI documents: operations become routes, security becomes auth, and the result runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_import.failures import CannotImportError
from gateway_import.files import Files
from gateway_import.formats import load_format
from gateway_plugin_sdk.testing import ScriptedUpstream, StartGateway

from tests.importing import check, import_text, losses, started, written

SCHEMES = {
    "oidc": {"type": "openIdConnect", "openIdConnectUrl": "https://login.example.com/.well-known/openid-configuration"},
    "bearer": {"type": "http", "scheme": "Bearer"},
    "oauth": {"type": "oauth2", "flows": {}},
    "basic": {"type": "http", "scheme": "basic"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "digest": {"type": "http", "scheme": "digest"},
    "tls": {"type": "mutualTLS"},
    "elsewhere": {"$ref": "#/components/securitySchemes/key"},
}


def document(paths: dict[str, Any], **more: Any) -> str:
    base = {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "servers": [{"url": "http://127.0.0.1:8081/v1"}],
    }
    return yaml.safe_dump({**base, "components": {"securitySchemes": SCHEMES}, "paths": paths, **more}, sort_keys=False)


def import_document(text: str, **options: Any) -> Any:
    return import_text("openapi", text, **{"target": None, "validate": False, **options})


def routes(text: str, **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = written(import_document(text, **options))["routes"]
    return found


OPERATION: dict[str, Any] = {"responses": {}}


def test_a_version_that_only_begins_as_a_known_one_is_not_known() -> None:
    with pytest.raises(CannotImportError, match=r"has the version '3\.10\.0': known are 3\.0 and 3\.1"):
        import_document(document({"/a": {"get": OPERATION}}, openapi="3.10.0"))


def test_a_query_behind_a_path_is_a_condition(tmp_path: Path) -> None:
    text = document({"/a?x=1&y&z={z}": {"get": OPERATION}, "/a": {"get": OPERATION}})

    imported = import_document(text)
    asked, plain = written(imported)["routes"]

    assert (losses(imported), check(imported, tmp_path)) == ([], [])
    assert (asked["path"], asked["query"]) == ("/v1/a", {"x": "1", "y": {"present": True}, "z": {"present": True}})
    assert (plain["path"], "query" in plain) == ("/v1/a", False)
    with pytest.raises(CannotImportError, match="the parameter 'x' stands twice"):
        import_document(document({"/a?x=1&x=2": {"get": OPERATION}}))


def test_an_operation_behind_a_fragment_is_closed_unless_its_path_has_a_route(tmp_path: Path) -> None:
    text = document(
        {"/a": {"get": OPERATION}, "/a#q": {"get": OPERATION}, "/b#1": {"get": OPERATION}, "/b#2": {"get": OPERATION}}
    )

    imported = import_document(text)

    assert [what for _, what in losses(imported)] == ["GET /a#q", "!GET /b#1", "GET /b#2"]
    assert check(imported, tmp_path) == []
    first, second = written(imported)["routes"]
    assert (first["path"], "target" in first) == ("/v1/a", True)
    assert (second["path"], second["respond"]) == ("/v1/b", {"status": 403})


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/pets", {"path": "/v1/pets"}),
        ("/pets/{id}", {"path": "/v1/pets/:id"}),
        ("/pets/{pet-id}/{pet_id}", {"path": "/v1/pets/:pet_id/:pet_id_"}),
        ("/files/{a}.{b}", {"path_regex": "/v1/files/(?P<a>[^/]+)\\.(?P<b>[^/]+)"}),
        ("/v/{id}:cancel", {"path_regex": "/v1/v/(?P<id>[^/]+):cancel"}),
        ("/:x", {"path_regex": "/v1/:x"}),
        ("/st*r/{id}", {"path_regex": "/v1/st\\*r/(?P<id>[^/]+)"}),
    ],
)
def test_an_operation_becomes_a_route(tmp_path: Path, path: str, keys: dict[str, Any]) -> None:
    imported = import_document(document({path: {"get": {**OPERATION, "operationId": "op"}, "parameters": []}}))

    assert (losses(imported), check(imported, tmp_path)) == ([], [])
    assert written(imported)["routes"] == [{"id": "op", **keys, "methods": ["GET"], "target": "127.0.0.1"}]


@pytest.mark.parametrize(
    ("security", "require"),
    [
        (None, "oidc"),
        ([], None),
        ([{}], None),
        ([{"oidc": ["read"]}], "oidc-read"),
        ([{"oidc": []}, {"key": []}], {"any": ["oidc", "key"]}),
        ([{"oidc": [], "key": []}], {"all": ["oidc", "key"]}),
        ([{}, {"basic": []}], {"optional": "basic"}),
        ([{"bearer": []}], "bearer"),
        ([{"oauth": ["a", "b"]}], "oauth-a-b"),
        ([{"elsewhere": []}], "elsewhere"),
    ],
)
def test_security_of_the_operation_or_else_of_the_document_becomes_auth(security: Any, require: Any) -> None:
    operation = OPERATION if security is None else {**OPERATION, "security": security}

    (route,) = routes(document({"/a": {"get": operation}}, security=[{"oidc": []}]))

    found = [binding["config"] for binding in route.get("plugins", [])]
    assert [each["require"] for each in found] == ([] if require is None else [require])
    for each in found:
        for name, provider in each["providers"].items():
            scopes = name.split("-")[1:]
            assert provider.get("scopes", {}).get("all", []) == scopes


def test_what_no_document_says_is_a_variable(tmp_path: Path) -> None:
    security: list[dict[str, list[str]]] = [{name: []} for name in ("bearer", "basic", "key")]
    imported = import_document(document({"/a": {"get": {**OPERATION, "security": security}}}))

    names = {each.name for each in imported.variables}
    issuer = "https://login.example.com"
    assert names == {"OPENAPI_BEARER_ISSUER", "OPENAPI_BASIC_USERS", "OPENAPI_KEY_KEYS"}
    assert check(imported, tmp_path, {"OPENAPI_BEARER_ISSUER": issuer}) == []
    providers = written(imported)["routes"][0]["plugins"][0]["config"]["providers"]
    assert providers["key"] == {
        "scheme": "api-key",
        "key_from": [{"header": "X-Key"}],
        "keys_file": "<OPENAPI_KEY_KEYS>",
    }


@pytest.mark.parametrize("name", ["digest", "tls"])
def test_a_scheme_that_cannot_be_carried_over_closes_its_operations(tmp_path: Path, name: str) -> None:
    guarded = {**OPERATION, "operationId": "guarded", "security": [{name: []}, {"oidc": []}]}
    imported = import_document(document({"/a": {"get": guarded, "post": {**OPERATION, "operationId": "public"}}}))

    assert check(imported, tmp_path) == []
    closed, public = written(imported)["routes"]
    assert (closed["respond"], public["target"]) == ({"status": 403}, "127.0.0.1")
    assert losses(imported)[0][1] == f"!security scheme {name!r}"


def test_servers_may_be_those_of_a_path_or_an_operation_and_have_variables() -> None:
    servers = [
        {"url": "{scheme}://b.example.com/{v}", "variables": {"scheme": {"default": "https"}, "v": {"default": "x"}}}
    ]
    text = document(
        {"/a": {"servers": servers, "get": OPERATION, "put": {"servers": [{"url": "http://c:1"}]}}, "/d": {"get": {}}}
    )

    imported = import_document(text)

    addresses = [each["endpoints"][0]["url"] for each in written(imported)["upstreams"]]
    assert addresses == ["http://127.0.0.1:8081", "https://b.example.com", "http://c:1"]
    assert [each["path"] for each in written(imported)["routes"]] == ["/x/a", "/a", "/v1/d"]


def test_without_a_host_the_target_is_asked_for() -> None:
    text = document({"/a": {"get": OPERATION}}, servers=[{"url": "/v2"}])

    (closed,) = routes(text)
    (route,) = routes(text, target="http://127.0.0.1:9000")

    assert closed["respond"] == {"status": 403}
    assert (route["path"], route["target"]) == ("/v2/a", "127.0.0.1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("swagger: '2.0'\npaths: {}\n", "stdin: is no document of OpenAPI 3: convert it to OpenAPI 3"),
        ("_format_version: '3.0'\n", "stdin: is no document of OpenAPI 3: write openapi: 3.1.0"),
        ("openapi: 4.0.0\npaths: {}\n", "stdin:1: has the version '4.0.0': known are 3.0 and 3.1"),
        ("openapi: 3.1.0\npaths: {}\n", "stdin:1: has no paths"),
        ("openapi: 3.1.0\npaths:\n  a: {}\n", "stdin:3: has the path 'a': begin it with /"),
        ("openapi: 3.1.0\npaths:\n  /a: {$ref: 'http://evil/x'}\n", "stdin:3: refers to 'http://evil/x': bundle"),
        ("openapi: 3.1.0\npaths:\n  /a: {$ref: '#/b'}\n", "stdin:3: refers to '#/b', which is not in the document"),
        ("openapi: 3.1.0\npaths:\n  /a: {$ref: '#/paths/~1a'}\n", "stdin:3: has references that go round"),
        ("openapi: 3.1.0\npaths:\n  /a:\n    get: {security: [{x: []}]}\n", "stdin:4: GET /a asks for 'x'"),
        ("openapi: 3.1.0\npaths: [\n", "stdin:3: is no YAML"),
    ],
)
def test_what_is_no_document_is_a_clear_failure(text: str, message: str) -> None:
    with pytest.raises(CannotImportError) as failure:
        import_document(text)

    assert str(failure.value).startswith(message)


def test_requests_are_routed_and_validated(gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    limit = {"name": "limit", "in": "query", "schema": {"type": "integer"}}
    responses = {"responses": {"200": {"description": "ok"}}}
    paths = {
        "/pets": {"get": {"parameters": [limit], **responses}},
        "/pets/{id}": {
            "get": {"parameters": [{"name": "id", "in": "path", "required": True, "schema": {}}], **responses},
            "delete": {**responses, "security": [{"digest": []}]},
        },
        "/orders": {"get": {**responses, "security": [{"key": []}]}},
        "/reports": {"get": {**responses, "servers": [{"url": f"{upstream.url}/of/reports"}]}},
    }  # fmt: skip
    file, keys = tmp_path / "pets.yaml", tmp_path / "keys"
    file.write_text(document(paths, servers=[{"url": f"{upstream.url}/v1"}]))
    keys.write_text('{"subject": "alice", "key": "key-of-alice"}\n')
    files = Files(str(file))
    imported = load_format("openapi").read(files.first(), files, {"target": None, "validate": True})

    running = started(gateway, imported, OPENAPI_KEY_KEYS=str(keys))

    assert (running.get("/v1/pets?limit=3").status, upstream.last.target) == (200, "/v1/pets?limit=3")
    assert running.get("/v1/pets?limit=x").status == 400
    assert running.get("/v1/pets/7").status == 200
    assert running.request("DELETE", "/v1/pets/7").status == 403
    assert running.get("/v1/orders").status == 401
    assert running.get("/v1/orders", headers={"X-Key": "key-of-alice"}).status == 200
    assert running.get("/of/reports/reports").status == 200
    assert running.get("/pets").status == 404


def test_providers_of_schemes_and_scopes_of_like_names_are_told_apart() -> None:
    schemes = {"securitySchemes": {"a": SCHEMES["bearer"], "a-b": SCHEMES["key"]}}
    text = document({"/x": {"get": {**OPERATION, "security": [{"a-b": [], "a": ["b"]}]}}}, components=schemes)

    config = routes(text)[0]["plugins"][0]["config"]
    assert config["require"] == {"all": ["a-b", "a-b-2"]}
    assert [config["providers"][name]["scheme"] for name in config["require"]["all"]] == ["api-key", "jwt"]


@pytest.mark.parametrize("level", ["document", "path", "operation"])
def test_a_guard_that_another_gateway_reads_in_the_document_closes_its_operations(level: str) -> None:
    guard: dict[str, Any] = {"x-kong-plugin-key-auth": {"config": {}}}
    of = {each: guard if each == level else {} for each in ("document", "path", "operation")}
    text = document({"/x": {"get": {**OPERATION, **of["operation"]}, **of["path"]}}, **of["document"])

    assert routes(text)[0]["respond"] == {"status": 403}
