from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import Document
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load
from gateway_plugin_oidc import Oidc
from gateway_plugin_oidc.config import OidcConfig
from gateway_plugin_oidc.findings import findings, findings_together

from tests.plugins.oidc.test_config import USUAL, made


def found(**changes: Any) -> list[tuple[str, str]]:
    return [(each.code, each.severity) for each in findings(made(**changes))]


def test_check_tells_what_sealed_cookies_cannot_do_alone() -> None:
    assert found() == [("sessions-not-shared", "warning")]
    assert found(session={"single_gateway": True}) == []
    assert found(valkey={"url": "valkey://127.0.0.1"}) == []


def test_files_are_looked_at(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("short")

    assert ("file-invalid", "error") in found(keys=None, keys_file=str(keys))


def together(*bindings: tuple[str, OidcConfig]) -> list[tuple[int, str, str]]:
    return [(index, each.code, each.severity) for index, each in findings_together(bindings)]


def test_bindings_that_share_a_redirect_uri_or_a_cookie_are_warned_about() -> None:
    one, other = made(), made(issuer="https://other.example")
    apart = made(issuer="https://other.example", redirect_uri="https://app.example/b/cb", cookie={"name": "b"})
    one_cookie = made(issuer="https://other.example", redirect_uri="https://app.example:443/b/cb")

    assert together(("oidc", one), ("b", other)) == [(1, "redirect-uri-shared", "warning")]
    assert together(("oidc", one), ("b", one)) == [(1, "redirect-uri-shared", "warning")], "sealed with its id"
    assert together(("oidc", one), ("oidc", other)) == [(1, "redirect-uri-shared", "warning")]
    assert together(("oidc", one), ("b", one_cookie)) == [(1, "cookie-shared", "warning")]
    assert together(("oidc", one), ("b", apart)) == []


def test_bindings_that_read_each_others_sessions_need_valkey_for_what_ends_them() -> None:
    valkey = {"url": "valkey://127.0.0.1"}
    one, other = made(valkey=valkey), made(valkey=valkey, unauthenticated="deny", claims_to_headers={"X-User": "sub"})

    assert together(("oidc", one), ("oidc", other)) == []
    assert together(("oidc", made()), ("oidc", made(unauthenticated="deny")), ("oidc", made())) == [
        (1, "ends-not-shared", "warning")
    ]


@pytest.mark.parametrize(("paths", "codes"), [(["/"], []), (["/", "/b", "/c"], ["oidc.ends-not-shared"])])
def test_a_set_of_plugins_on_several_routes_is_several_bindings(paths: list[str], codes: list[str]) -> None:
    binding = {"name": "oidc", "config": {**USUAL, "session": {"single_gateway": True}}}
    routes = [{"id": p, "path_prefix": p, "target": "http://127.0.0.1:9", "plugins": [{"use": "login"}]} for p in paths]
    text = json.dumps({"plugin_sets": [{"name": "login", "plugins": [binding]}], "routes": routes})
    registry = PluginRegistry(dict)
    registry.register(Oidc)

    found = load([], registry=registry, environ={}, documents=[Document("gateway.yaml", text)]).warnings

    assert [each.code for each in found if each.code.startswith("oidc.")] == codes


def test_check_reports_shared_redirect_uris_at_their_place(tmp_path: Path) -> None:
    of_a = {"id": "a", "name": "oidc", "config": {**USUAL, "session": {"single_gateway": True}}}
    of_b = {"id": "b", "name": "oidc", "config": {**USUAL, "session": {"single_gateway": True}}}
    target = "http://127.0.0.1:9"
    routes = [
        {"id": "a", "path_prefix": "/", "target": target, "plugins": [of_a]},
        {"id": "b", "path_prefix": "/b", "target": target, "plugins": [of_b]},
    ]
    (tmp_path / "gateway.yaml").write_text(json.dumps({"routes": routes}))
    registry = PluginRegistry(dict)
    registry.register(Oidc)

    warnings = load([tmp_path / "gateway.yaml"], registry=registry, environ={}).warnings

    (found,) = [each for each in warnings if each.code.startswith("oidc.")]
    assert (found.code, found.key_path) == ("oidc.redirect-uri-shared", "routes[1].plugins[0].config.redirect_uri")
