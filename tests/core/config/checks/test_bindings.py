from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import (
    ConfigError,
    ConfigFile,
    ConfigFinding,
    ConfigModel,
    ConfigProblem,
    DirectoryName,
    Document,
    FileName,
    LoadedConfig,
    PluginDescription,
    UpstreamName,
    load_config,
)
from gateway_core.hooks import Plugin
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load

from tests.core.config.conftest import Catalogue, Load


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("{name: loger}", 'no plugin "loger" is installed: did you mean "logger"?'),
        ("{name: consul}", "is installed: pip install gateway-plugin-consul"),
        ("{name: zookeper}", 'no plugin "zookeper" is installed: installed are audit, auth, cors, geo, logger, '),
        ("{name: jwt}", 'no plugin "jwt" is installed: auth does what it does elsewhere'),
        ("{name: gzip}", "compress does what it does elsewhere: pip install gateway-plugin-compress"),
        ("{name: StripPrefix}", 'no plugin "StripPrefix" is installed: write strip_path: true on the route'),
        ("{name: geo}", 'the plugin "geo" of acme-geo 3.2.1 does not load: ModuleNotFoundError'),
        ("{name: odd}", "the plugin's own schema is broken"),
        ("{name: auth}", r'"secret" is missing (auth 1.0.0)'),
        ("{name: ratelimit, config: {rate: 1000, burst: 1}}", "burst is too small for this rate (ratelimit 1.0.0)"),
    ],
)
def test_bindings_that_cannot_run_are_refused(load: Load, binding: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"plugins: [{binding}]")

    assert message in caught.value.problems[0].text


def test_binding_that_is_switched_off_needs_no_plugin_and_no_config(load: Load) -> None:
    load("plugins: [{name: geo, enabled: false}, {name: auth, enabled: false}, {name: gone, enabled: false}]")


def test_route_may_switch_off_what_it_inherits_and_nothing_else(load: Load) -> None:
    route = "routes: [{id: a, path: /, target: 'http://h', plugins: [{name: logger, enabled: false}]}]"
    load("plugins: [{name: logger}]\n" + route)

    with pytest.raises(
        ConfigError, match='switches off "logger", which no gateway-wide binding is called: there is none'
    ):
        load(route)


def test_same_wrong_config_is_reported_in_every_place(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("plugins: [{name: ratelimit, config: {rate: -1}}, {name: ratelimit, id: b, config: {rate: -1}}]")

    assert [problem.key_path for problem in caught.value.problems] == [
        "plugins[0].config.rate",
        "plugins[1].config.rate",
    ]


class Failing(Catalogue):
    """Plugins whose own checks raise."""

    def describe(self, name: str) -> PluginDescription | None:
        def fail(_config: object) -> list[str]:
            raise RuntimeError("boom")

        return PluginDescription(name, "acme-bad", "1", check=fail if name == "check" else None, needs_of=fail)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["check", "needs"])
def test_plugin_that_fails_while_it_is_asked_is_a_problem_not_a_crash(name: str) -> None:
    document = Document("g.yaml", f"plugins: [{{name: {name}}}]")

    with pytest.raises(ConfigError, match=rf"the plugin fails on this config: boom \({name} 1\)"):
        load_config([], environ={}, catalog=Failing(), extra_documents=[document])


class Options(ConfigModel):
    files: tuple[ConfigFile, ...] = ()
    ask: UpstreamName | None = None


class Naming(Plugin[Options]):
    name = "naming"
    config_model = Options


@pytest.fixture
def registry() -> PluginRegistry:
    registry = PluginRegistry(find=dict)
    registry.register(Naming)
    return registry


def document(config: str, *, upstreams: str = "[]", enabled: str = "true") -> str:
    return (
        f"upstreams: {upstreams}\n"
        "routes:\n"
        "  - id: it\n"
        "    path: /\n"
        "    target: http://127.0.0.1:1\n"
        f"    plugins: [{{name: naming, enabled: {enabled}, config: {config}}}]\n"
    )


def loaded(tmp_path: Path, registry: PluginRegistry, text: str, **more: Any) -> LoadedConfig:
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    return load([path], registry=registry, environ={}, **more)


def test_files_that_bindings_name_are_watched(tmp_path: Path, registry: PluginRegistry) -> None:
    (tmp_path / "list").touch()

    config = loaded(tmp_path, registry, document(f"{{files: ['{tmp_path}/list']}}"))

    assert tmp_path / "list" in config.files


def test_a_missing_file_is_a_problem_with_a_place_and_is_watched(tmp_path: Path, registry: PluginRegistry) -> None:
    text = document(f"{{files: ['{tmp_path}/gone']}}")

    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, registry, text)

    (problem,) = refused.value.problems
    assert (problem.code, problem.place.line) == ("file.missing", 6)
    assert problem.key_path == "routes[0].plugins[0].config.files[0]"
    assert "create it, or correct the path" in problem.text
    assert tmp_path / "gone" in refused.value.files


def test_a_document_from_elsewhere_names_no_files(tmp_path: Path, registry: PluginRegistry) -> None:
    (tmp_path / "list").touch()
    remote = Document("etcd://h/gateway/a.yaml", document(f"{{files: ['{tmp_path}/list']}}"))

    with pytest.raises(ConfigError) as refused:
        load([], registry=registry, environ={}, documents=[remote])

    (problem,) = refused.value.problems
    assert problem.code == "file.not-allowed"
    assert "etcd://h/gateway/a.yaml may not: give it in a file of this machine" in problem.text
    assert tmp_path / "list" not in refused.value.files


def test_an_upstream_is_one_of_the_document_or_a_url(tmp_path: Path, registry: PluginRegistry) -> None:
    upstreams = "[{name: users, endpoints: [{url: 'http://127.0.0.1:2'}]}]"
    for target in ("users", "http://127.0.0.1:3"):
        loaded(tmp_path, registry, document(f"{{ask: '{target}'}}", upstreams=upstreams))

    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, registry, document("{ask: user}", upstreams=upstreams))

    (problem,) = refused.value.problems
    assert (problem.code, problem.key_path) == ("upstream.unknown", "routes[0].plugins[0].config.ask")
    assert problem.text == '"user" is not an upstream: did you mean "users"?'


def test_part_of_a_configuration_may_name_upstreams_of_another_part(tmp_path: Path, registry: PluginRegistry) -> None:
    loaded(tmp_path, registry, document("{ask: user}"), is_partial=True)


def test_names_of_files_start_from_the_document_that_says_them(tmp_path: Path, registry: PluginRegistry) -> None:
    (tmp_path / "inner").mkdir()
    for name in ("a.pem", "inner/a.pem"):
        (tmp_path / name).write_text(name)
    (tmp_path / "inner" / "b.yaml").write_text(
        "routes: [{path: /b, target: 'http://127.0.0.1:1', plugins: [{name: naming, config: {files: [a.pem]}}]}]\n"
        "upstreams: [{name: u, endpoints: [{url: 'https://127.0.0.1:1'}], "
        "tls: {ca: ca.pem, cert: /etc/c.pem, key: k.pem}}]\n"
    )
    (tmp_path / "gateway.yaml").write_text(
        "include: inner/b.yaml\nlisten: {address: ':1', tls: {cert: a.pem, key: '${KEY}', client_ca: ca.pem}}\n"
        "plugins: [{name: naming, config: {files: [a.pem]}}]\n"
    )

    found = load([tmp_path / "gateway.yaml"], registry=registry, environ={"KEY": "keys/a.pem"}).config

    (listen,) = found.listen
    assert listen.tls is not None
    assert (listen.tls.cert, listen.tls.key) == (str(tmp_path / "a.pem"), str(tmp_path / "keys" / "a.pem"))
    assert listen.tls.client_ca == str(tmp_path / "ca.pem")
    assert found.upstreams[0].tls.ca == str(tmp_path / "inner" / "ca.pem")
    assert found.upstreams[0].tls.cert == "/etc/c.pem"
    assert found.plugins[0].config["files"] == [str(tmp_path / "a.pem")]
    assert found.routes[0].plugins[0].config["files"] == [str(tmp_path / "inner" / "a.pem")]


def test_a_source_with_the_right_to_files_names_them(tmp_path: Path, registry: PluginRegistry) -> None:
    (tmp_path / "a.pem").write_text("")
    text = document(f"{{files: [{tmp_path}/a.pem]}}")
    remote = Document("etcd://h/a.yaml", text, rights=frozenset({"files"}))

    loaded = load([], registry=registry, environ={}, documents=[remote])

    assert loaded.files == (tmp_path / "a.pem",)


def test_certificates_of_a_document_from_elsewhere_need_the_right_to_files(registry: PluginRegistry) -> None:
    text = "listen: {address: ':1', tls: {cert: /etc/c.pem, key: /etc/k.pem}}\nroutes: []\n"

    with pytest.raises(ConfigError) as caught:
        load([], registry=registry, environ={}, documents=[Document("etcd://h/a.yaml", text)])

    assert {problem.code for problem in caught.value.problems} == {"file.not-allowed"}
    assert [problem.key_path for problem in caught.value.problems] == ["listen.tls.cert", "listen.tls.key"]


class FactoryOptions(ConfigModel):
    token_file: FileName = ""


class Finding:
    """A discovery that reads a file."""

    config_model = FactoryOptions


def discovering(token: str) -> str:
    return f"upstreams: [{{name: u, discovery: {{name: finding, config: {{token_file: {token}}}}}}}]\nroutes: []\n"


def test_files_of_discoveries_start_from_the_document_too(tmp_path: Path, registry: PluginRegistry) -> None:
    (tmp_path / "gateway.yaml").write_text(discovering("secrets/token"))

    found = load_config(
        tmp_path / "gateway.yaml",
        environ={},
        catalog=registry,
        discoveries=["finding"],
        factories={("discovery", "finding"): Finding()},
    ).config

    assert found.upstreams[0].discovery is not None
    assert found.upstreams[0].discovery.config == {"token_file": str(tmp_path / "secrets" / "token")}


def test_a_source_names_no_file_for_a_discovery_without_the_right(registry: PluginRegistry) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(
            [],
            environ={},
            catalog=registry,
            extra_documents=[Document("etcd://h/a", discovering("/etc/shadow"))],
            discoveries=["finding"],
            factories={("discovery", "finding"): Finding()},
        )

    assert [(each.code, each.key_path) for each in caught.value.problems] == [
        ("file.not-allowed", "upstreams[0].discovery.config.token_file")
    ]


def test_no_file_is_opened_for_a_source_without_the_right(tmp_path: Path, registry: PluginRegistry) -> None:
    """What it says to a file would tell whether there is one, and what is in it."""
    opened: list[object] = []

    def check(*arguments: object) -> tuple[ConfigProblem, ...]:
        opened.append(arguments)
        return ()

    text = discovering(f"{tmp_path}/gone") + "listen: {address: ':1', tls: {cert: /etc/c.pem, key: /etc/k.pem}}\n"

    with pytest.raises(ConfigError) as caught:
        load_config(
            [],
            environ={},
            catalog=registry,
            extra_documents=[Document("etcd://h/a", text)],
            extra_checks=[check],
            discoveries=["finding"],
            factories={("discovery", "finding"): Finding()},
        )

    assert {each.code for each in caught.value.problems} == {"file.not-allowed"}
    assert opened == []


def test_a_certificate_file_has_a_place_of_its_own(tmp_path: Path, registry: PluginRegistry) -> None:
    (tmp_path / "gateway.yaml").write_text("listen:\n  address: ':1'\n  tls:\n    cert: a\n    key: b\nroutes: []\n")

    loaded = load([tmp_path / "gateway.yaml"], registry=registry, environ={})

    assert loaded.place_of("listen[0].tls.key").line == 5


class Site(ConfigModel):
    root: DirectoryName


class Serving(Plugin[Site]):
    name = "serving"
    config_model = Site


def test_a_directory_is_relative_to_its_document_not_watched_and_not_for_documents_from_elsewhere(
    tmp_path: Path, registry: PluginRegistry
) -> None:
    registry.register(Serving)
    (tmp_path / "site").mkdir()
    text = "plugins: [{name: serving, config: {root: ROOT}}]\nroutes: []\n"

    local = loaded(tmp_path, registry, text.replace("ROOT", "site"))
    remote = Document("etcd://h/a", text.replace("ROOT", str(tmp_path / "site")))
    with pytest.raises(ConfigError) as caught:
        load([], registry=registry, environ={}, documents=[remote])

    assert local.config.plugins[0].config == {"root": str(tmp_path / "site")}
    assert tmp_path / "site" not in local.files
    assert [(each.code, each.key_path) for each in caught.value.problems] == [
        ("file.not-allowed", "plugins[0].config.root")
    ]
    load([], registry=registry, environ={}, documents=[replace(remote, rights=frozenset({"files"}))])


class Claims(Plugin[dict[str, Any]]):
    name = "claims"
    config_schema = {"type": "object", "properties": {"port": {"type": "integer"}, "fails": {"type": "boolean"}}}

    @classmethod
    def check_bindings(cls, bindings: Sequence[tuple[str, Any]]) -> Iterable[tuple[int, ConfigFinding]]:
        if any("fails" in config for _, config in bindings):
            raise KeyError("port")
        for index, (binding, config) in enumerate(bindings[1:], 1):
            if config == bindings[0][1]:
                message = f"{bindings[0][0]} and {binding} have one port"
                yield index, ConfigFinding(("port",), message, code="one-port", severity="warning")


def together(tmp_path: Path, *plugins: str) -> list[tuple[str, str, str]]:
    registry = PluginRegistry(dict)
    registry.register(Claims)
    routes = [
        f"{{id: r{number}, path: /{number}, target: 'http://h', plugins: [{plugin}]}}"
        for number, plugin in enumerate(plugins)
    ]
    (tmp_path / "gateway.yaml").write_text(f"routes: [{', '.join(routes)}]")
    try:
        found = load([tmp_path / "gateway.yaml"], registry=registry, environ={}).warnings
    except ConfigError as error:
        found = error.problems
    return [(each.code, each.key_path, each.message) for each in found if each.code != "route.no-health"]


def test_a_plugin_looks_at_its_bindings_beside_each_other(tmp_path: Path) -> None:
    one, same, other = (
        "{name: claims, config: {port: 1}}",
        "{name: claims, id: b, config: {port: 1}}",
        "{name: claims, config: {port: 2}}",
    )

    place = "routes[1].plugins[0].config.port"
    assert together(tmp_path, one, same) == [("claims.one-port", place, "claims and b have one port")]
    assert together(tmp_path, one, other) == []
    assert together(tmp_path, one, one) == [], "one id and configuration are one binding"


def test_a_plugin_that_fails_on_its_bindings_is_reported(tmp_path: Path) -> None:
    ((code, place, message),) = together(
        tmp_path, "{name: claims, config: {fails: true}}", "{name: claims, id: b, config: {port: 1}}"
    )

    assert (code, place) == ("plugin.check-failed", "routes[0].plugins[0].config")
    assert "port" in message


@pytest.mark.parametrize(
    ("trust", "warned"),
    [
        ("", ["plugins[0].config.names[0]"]),
        ("trusted_proxies: [10.0.0.0/16]\n", []),
        ("listen: {address: '127.0.0.1:8080', trusted_proxies: [10.0.0.0/16]}\n", []),
    ],
)
def test_an_option_about_a_field_of_trusted_peers_is_a_warning_where_no_peer_is_trusted(
    load: Load, monkeypatch: pytest.MonkeyPatch, trust: str, warned: list[str]
) -> None:
    names = {"type": "array", "items": {"type": "string", "x-from-trusted-peer": True}}
    described = PluginDescription("certs", "acme-certs", "1", {"type": "object", "properties": {"names": names}})
    monkeypatch.setattr(Catalogue, "plugins", {**Catalogue.plugins, "certs": described})

    found = load(trust + "plugins: [{name: certs, config: {names: [X-Cert]}}]").warnings

    assert [(each.key_path, each.code) for each in found] == [(path, "trust.no-effect") for path in warned]
