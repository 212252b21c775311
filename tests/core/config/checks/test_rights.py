"""What documents of sources may not reach on this machine without a right to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from gateway_core.config import (
    PROGRAM_KEY,
    ConfigError,
    ConfigModel,
    Document,
    LoadedConfig,
    OutputFile,
    SecretUrl,
    UpstreamName,
    load_config,
)
from gateway_core.hooks import Plugin
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load
from pydantic import Field


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


@pytest.mark.parametrize(
    ("text", "key_path"),
    [
        ("upstreams: [{name: u, endpoints: [{url: 'http://localhost:9090'}]}]", "upstreams[0].endpoints[0].url"),
        ("upstreams: [{name: u, discovery: {name: dns, config: {host: localhost, port: 9090}}}]",
         "upstreams[0].discovery.config.host"),
        ("routes: [{path: /a, target: 'http://[::1]:9090'}]", "routes[0].target"),
        ("routes: [{path: /a, target: 'http://127.0.0.1:9091'}]", "routes[0].target"),
        ("routes: [{path: /a, target: 'http://h', mirror: {target: 'http://[::]:9090'}}]", "routes[0].mirror.target"),
        ("route_defaults: {target: 'http://LOCALHOST:9090'}\nroutes: [{path: /a}]", "routes[0].target"),
        ("error_pages: [{statuses: [404], target: 'http://127.0.0.1:9090', path: /e}]", "error_pages[0].target"),
        ("plugins: [{name: asking, config: {ask: 'http://127.0.0.1:9090'}}]", "plugins[0].config.ask"),
    ],
)  # fmt: skip
def test_a_source_without_the_right_to_files_reaches_no_admin_listener(
    registry: PluginRegistry, tmp_path: Path, text: str, key_path: str
) -> None:
    """What comes to it over the loopback interface counts as of this machine."""
    (tmp_path / "admin.yaml").write_text("admin: {listen: '127.0.0.1:9090', health_listen: '127.0.0.1:9091'}\n")
    remote = Document("etcd://h/a", text if "routes:" in text else f"{text}\nroutes: []\n")

    def loaded(document: Document) -> None:
        load([tmp_path / "admin.yaml"], registry=registry, environ={}, documents=[document])

    with pytest.raises(ConfigError) as caught:
        loaded(remote)

    found = [(each.code, each.key_path, each.place.file) for each in caught.value.problems]
    assert found == [("admin.not-allowed", key_path, "etcd://h/a")]
    loaded(replace(remote, rights=frozenset({"files"})))


def test_a_file_of_this_machine_may_route_to_the_admin_listener(registry: PluginRegistry, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("admin: {listen: '127.0.0.1:9090'}\nroutes: [{path: /metrics, target: 'http://127.0.0.1:9090'}]\n")
    remote = Document("etcd://h/a", "routes: [{path: /a, target: 'http://127.0.0.1:9092'}]\n")

    load([path], registry=registry, environ={}, documents=[remote])


class Store(ConfigModel):
    directory: OutputFile | None = None
    url: SecretUrl = SecretUrl("valkey://127.0.0.1")
    command: tuple[Annotated[str, Field(json_schema_extra={PROGRAM_KEY: True})], ...] = ()


class Making:
    """What extensions offer, with options of every kind that reach out."""

    config_model = Store


FACTORIES: Any = {("discovery", "making"): Making(), ("certificates", "making"): Making()}
REACHES_OUT = {
    "directory: /etc/cron.d": "directory",
    "url: 'unix:///run/s'": "url",
    "command: [sh, -c, reboot]": "command[0]",
}


def loaded(*paths: Path, remote: Document | None = None) -> LoadedConfig:
    return load_config(
        paths,
        environ={},
        catalog=PluginRegistry(find=dict),
        extra_documents=[] if remote is None else [remote],
        discoveries=["making"],
        factories=FACTORIES,
    )


@pytest.mark.parametrize(("options", "key"), REACHES_OUT.items(), ids=REACHES_OUT.values())
@pytest.mark.parametrize(
    ("text", "place"),
    [
        (
            "listen: {address: ':1', tls: {certificates: [{name: making, config: {OPTIONS}}]}}\nroutes: []\n",
            "listen.tls.certificates[0].config",
        ),
        (
            "upstreams: [{name: u, discovery: {name: making, config: {OPTIONS}}}]\nroutes: []\n",
            "upstreams[0].discovery.config",
        ),
    ],
    ids=["certificates", "discovery"],
)
def test_extensions_of_a_source_write_no_file_run_no_program_and_reach_no_socket_without_the_right(
    text: str, place: str, options: str, key: str
) -> None:
    remote = Document("etcd://h/a", text.replace("OPTIONS", options))

    with pytest.raises(ConfigError) as caught:
        loaded(remote=remote)

    assert [(each.code, each.key_path) for each in caught.value.problems] == [("file.not-allowed", f"{place}.{key}")]
    loaded(remote=replace(remote, rights=frozenset({"files"})))


def test_what_extensions_write_is_relative_to_its_document_as_all_files_are(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(
        "upstreams: [{name: u, discovery: {name: making, config: {directory: kept, command: [make-it]}}}]\nroutes: []\n"
    )

    found = loaded(tmp_path / "gateway.yaml").config.upstreams[0].discovery

    assert found is not None
    assert found.config == {"directory": str(tmp_path / "kept"), "command": ["make-it"]}
