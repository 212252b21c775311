"""The written document: each entry with its place, closed routes, what was lost and what must be set."""

# ruff: noqa: E501 - configurations, one a line
from __future__ import annotations

from pathlib import Path

import pytest
from gateway_import.failures import Origin
from gateway_import.model import Binding, Imported, Listener, Route, Upstream
from gateway_import.writer import to_yaml

from tests.importing import check, import_text, written


def at(line: int) -> Origin:
    return Origin("kong.yml", line)


def example() -> Imported:
    imported = Imported("Kong 3.0", "kong.yml", document={"trusted_proxies": ["10.0.0.0/8"]})
    imported.listeners.append(Listener({"address": ":8000"}, at(1), ["proxy_listen"]))
    imported.upstreams.append(Upstream("users", {"endpoints": [{"url": "http://127.0.0.1:8081"}]}, at(2)))
    secret = imported.secret("kong key alice", "API key of 'alice'", at(9))
    keys = {"scheme": "api-key", "keys": [{"subject": "alice", "key": secret}]}
    auth = Binding("auth", {"providers": {"keys": keys}}, at(8), comments=["key-auth"])
    imported.plugins.append(Binding("cors", {"origins": ["*"]}, at(3)))
    imported.routes.append(Route("open", {"path_prefix": "/open", "target": "users"}, at(4)))
    imported.routes.append(Route("users", {"path_prefix": "/users", "target": "users"}, at(5), [auth]))
    closed = Route("x", {"hosts": ["a.b"], "path": "/x", "target": "users", "strip_path": True}, at(6), [auth])
    imported.routes.append(closed)
    imported.lose_guard(at(7), "plugin 'my\nplugin'", "there is none here", "write one", [closed])
    imported.note(at(3), "cors", "a difference")
    return imported


def test_the_document_is_readable_and_each_entry_has_its_place() -> None:
    assert (
        to_yaml(example())
        == """\
# Imported from kong.yml (Kong 3.0) by gateway import.
#
# Not carried over:
# - kong.yml:7: plugin 'my plugin' (a guard: what it guarded is refused): there is none here; write one
#
# Works in another way:
# - kong.yml:3: cors: a difference
#
# Variables of the environment that must be set:
# - KONG_KEY_ALICE: API key of 'alice' (kong.yml:9)

listen:
  # kong.yml:1
  # proxy_listen
  - address: ":8000"

trusted_proxies: ["10.0.0.0/8"]

plugins:
  # kong.yml:3
  - name: cors
    config: {origins: ["*"]}

upstreams:
  # kong.yml:2
  - name: users
    endpoints: [{url: "http://127.0.0.1:8081"}]

routes:
  # kong.yml:4
  - id: open
    path_prefix: /open
    target: users
  # kong.yml:5
  - id: users
    path_prefix: /users
    target: users
    plugins:
      # kong.yml:8
      # key-auth
      - name: auth
        config: {providers: {keys: {scheme: api-key, keys: [{subject: alice, key: "${KONG_KEY_ALICE}"}]}}}
  # kong.yml:6
  # closed: kong.yml:7: plugin 'my plugin' (a guard: what it guarded is refused): there is none here; write one
  - id: x
    hosts: [a.b]
    path: /x
    respond: {status: 403}
"""
    )


def test_a_closed_route_keeps_its_conditions_and_loses_the_rest() -> None:
    closed = written(example())["routes"][2]

    assert closed == {"id": "x", "hosts": ["a.b"], "path": "/x", "respond": {"status": 403}}


def test_secrets_that_only_closed_routes_had_need_not_be_set() -> None:
    imported = example()
    imported.close(imported.routes[1], imported.findings[0])

    assert "KONG_KEY_ALICE" not in to_yaml(imported)


def test_the_gateway_accepts_it(tmp_path: Path) -> None:
    assert check(example(), tmp_path) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("kong", ("{_format_version: '3.0', services: [{name: s, url: 'http://u', routes: [{name: r, plugins: [{name: "
                 "request-transformer, config: {add: {headers: ['Authorization: hunter2']}}}]}]}]}")),
        ("traefik", ("http: {routers: {r: {rule: 'Path(`/`)', service: s, middlewares: [m]}}, services: {s: {loadBalancer: "
                    "{servers: [{url: 'http://u'}]}}}, middlewares: {m: {headers: {customRequestHeaders: {Authorization: hunter2}}}}}")),
        ("nginx", "server { location / { proxy_pass http://u; proxy_set_header Authorization hunter2; } }"),
    ],
)  # fmt: skip
def test_a_field_that_keeps_a_secret_has_a_variable_for_its_value(name: str, text: str) -> None:
    imported = import_text(name, text)

    assert "hunter2" not in to_yaml(imported)
    plugins = written(imported)["routes"][0]["plugins"]
    (value,) = [each["config"]["request"] for each in plugins if "request" in each.get("config", {})]
    assert f"<{imported.variables[0].name}>" in str(value)
