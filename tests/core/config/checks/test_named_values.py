from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ConfigError, ConfigFile, ConfigModel, Document, LoadedConfig, UpstreamName
from gateway_core.hooks import Plugin
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load


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
    assert "create it, or correct the path" in problem.message
    assert tmp_path / "gone" in refused.value.files


def test_a_document_from_elsewhere_names_no_files(tmp_path: Path, registry: PluginRegistry) -> None:
    (tmp_path / "list").touch()
    remote = Document("etcd://h/gateway/a.yaml", document(f"{{files: ['{tmp_path}/list']}}"))

    with pytest.raises(ConfigError) as refused:
        load([], registry=registry, environ={}, documents=[remote])

    (problem,) = refused.value.problems
    assert problem.code == "file.not-allowed"
    assert "etcd://h/gateway/a.yaml may not: give it in a file of this machine" in problem.message
    assert tmp_path / "list" not in refused.value.files


def test_an_upstream_is_one_of_the_document_or_a_url(tmp_path: Path, registry: PluginRegistry) -> None:
    upstreams = "[{name: users, endpoints: [{url: 'http://127.0.0.1:2'}]}]"
    for target in ("users", "http://127.0.0.1:3"):
        loaded(tmp_path, registry, document(f"{{ask: '{target}'}}", upstreams=upstreams))

    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, registry, document("{ask: user}", upstreams=upstreams))

    (problem,) = refused.value.problems
    assert (problem.code, problem.key_path) == ("upstream.unknown", "routes[0].plugins[0].config.ask")
    assert problem.message == '"user" is not an upstream: did you mean "users"?'


def test_part_of_a_configuration_may_name_upstreams_of_another_part(tmp_path: Path, registry: PluginRegistry) -> None:
    loaded(tmp_path, registry, document("{ask: user}"), is_partial=True)
