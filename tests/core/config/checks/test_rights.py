"""What documents of sources may not reach on this machine without a right to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from gateway_core.config import ConfigError, ConfigModel, Document, SecretUrl, UpstreamName
from gateway_core.hooks import Plugin
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load


class Options(ConfigModel):
    ask: UpstreamName = "http://127.0.0.1:1"
    store: SecretUrl = SecretUrl("valkey://127.0.0.1")


class Asking(Plugin[Any]):
    name = "asking"
    config_model = Options


@pytest.fixture
def registry() -> PluginRegistry:
    registry = PluginRegistry(find=dict)
    registry.register(Asking)
    return registry


@pytest.mark.parametrize(
    ("listen", "key_path"),
    [
        ("'unix:/run/s'", "listen"),
        ("['127.0.0.1:1', 'unix:/run/s']", "listen[1]"),
        ("[{address: 'unix:/run/s'}]", "listen[0].address"),
        ("{address: 'unix:/run/s', mode: '0600'}", "listen.address"),
    ],
)
def test_a_source_without_the_right_makes_no_socket_file(registry: PluginRegistry, listen: str, key_path: str) -> None:
    remote = Document("etcd://h/a", f"listen: {listen}\nroutes: []\n")

    with pytest.raises(ConfigError) as caught:
        load([], registry=registry, environ={}, documents=[remote])

    assert [(each.code, each.key_path) for each in caught.value.problems] == [("file.not-allowed", key_path)]
    load([], registry=registry, environ={}, documents=[replace(remote, rights=frozenset({"files"}))])


@pytest.mark.parametrize(
    ("text", "key_path"),
    [
        ("upstreams: [{name: u, endpoints: [{url: 'unix:/run/s'}]}]", "upstreams[0].endpoints[0].url"),
        ("routes: [{path: /a, target: 'unix:/run/s'}]", "routes[0].target"),
        ("routes: [{path: /a, targets: [{target: 'unix:/run/s'}]}]", "routes[0].targets[0].target"),
        ("routes: [{path: /a, target: 'http://h', mirror: {target: 'unix:/run/s'}}]", "routes[0].mirror.target"),
        ("routes: [{path: /a, target: 'http://h', mirror: [{target: 'unix:/run/s'}]}]", "routes[0].mirror[0].target"),
        ("route_defaults: {target: 'unix:/run/s'}\nroutes: [{path: /a}]", "routes[0].target"),
        ("error_pages: [{statuses: [404], target: 'unix:/run/s', path: /e}]", "error_pages[0].target"),
        ("plugins: [{name: asking, config: {ask: 'unix:/run/s'}}]", "plugins[0].config.ask"),
        ("plugins: [{name: asking, config: {store: 'unix:///run/s'}}]", "plugins[0].config.store"),
    ],
)
def test_a_source_without_the_right_to_files_reaches_no_unix_socket(
    registry: PluginRegistry, text: str, key_path: str
) -> None:
    """Who may connect to a socket is decided by its file: the gateway's own control socket is one."""
    remote = Document("etcd://h/a", text if "routes:" in text else f"{text}\nroutes: []\n")

    with pytest.raises(ConfigError) as caught:
        load([], registry=registry, environ={}, documents=[remote])

    assert [(each.code, each.key_path) for each in caught.value.problems] == [("file.not-allowed", key_path)]
    load([], registry=registry, environ={}, documents=[replace(remote, rights=frozenset({"files"}))])
