from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.cli.plugins_install import news
from uv import find_uv_bin

from tests.core.cli.fresh import FreshEnvironment, build_distribution, build_wheel

pytestmark = pytest.mark.slow

UV = str(find_uv_bin())
HIDE_PIP = """
import importlib.util as util
find = util.find_spec
util.find_spec = lambda name, package=None: None if name == "pip" else find(name, package)
"""


@pytest.fixture
def environment(tmp_path: Path) -> FreshEnvironment:
    return FreshEnvironment(tmp_path / "environment")


@pytest.fixture
def made_by_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FreshEnvironment:
    """Return an environment as ``uv venv`` makes it, with uv as ``uv run`` has it."""
    monkeypatch.setenv("UV", UV)
    return FreshEnvironment(tmp_path / "made-by-uv", uv=UV)


def test_it_says_what_is_new_and_what_changed(environment: FreshEnvironment, tmp_path: Path) -> None:
    first = environment.gateway("plugins", "install", "--no-index", build_wheel(tmp_path / "1"))
    second = environment.gateway("plugins", "install", "--no-index", build_wheel(tmp_path / "2", "2.0"))

    assert first.returncode == 0, first.stderr
    assert "new: tiny (gateway-plugin-tiny 1.0)" in first.stdout
    assert second.returncode == 0, second.stderr
    assert "changed: tiny (1.0 -> gateway-plugin-tiny 2.0)" in second.stdout


def test_a_plugin_that_does_not_load_is_status_1(environment: FreshEnvironment, tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path, code="import no_such_module_anywhere\n")

    result = environment.gateway("plugins", "install", "--no-index", wheel)

    assert result.returncode == 1
    assert "tiny does not load: ModuleNotFoundError" in result.stderr


def test_options_that_would_not_fit_any_more_are_named_first(environment: FreshEnvironment, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("plugins: [{name: tiny, config: {a: 1}}]\nroutes: []\n")
    good = build_wheel(tmp_path / "1", options='"a": {}')
    bad = build_wheel(tmp_path / "2", "2.0")

    assert environment.gateway("plugins", "install", "--no-index", good, "-c", config).returncode == 0
    refused = environment.gateway("plugins", "install", "--no-index", bad, "-c", config)
    forced = environment.gateway("plugins", "install", "--no-index", bad, "-c", config, "--force")

    assert refused.returncode == 1
    assert "gateway.yaml:1:" in refused.stderr
    assert "nothing was installed" in refused.stderr
    assert forced.returncode == 1
    assert "changed: tiny (1.0 -> gateway-plugin-tiny 2.0)" in forced.stdout


def test_pips_own_options_are_passed_on(environment: FreshEnvironment, tmp_path: Path) -> None:
    build_wheel(tmp_path / "wheels")

    result = environment.gateway(
        "plugins", "install", "--no-index", "--find-links", tmp_path / "wheels", "-U", "gateway-plugin-tiny"
    )

    assert result.returncode == 0, result.stderr
    assert "new: tiny (gateway-plugin-tiny 1.0)" in result.stdout


def test_what_pip_refuses_is_status_1(environment: FreshEnvironment) -> None:
    result = environment.gateway("plugins", "install", "--no-index", "gateway-plugin-that-is-nowhere")

    assert result.returncode == 1
    assert result.stderr.strip().endswith("pip could not install them; nothing was changed")


@pytest.mark.parametrize(("fixture", "installer"), [("environment", "pip"), ("made_by_uv", "uv")])
def test_a_plugin_that_needs_another_version_of_what_the_gateway_requires_is_refused_before_anything_changes(
    request: pytest.FixtureRequest, tmp_path: Path, fixture: str, installer: str
) -> None:
    environment: FreshEnvironment = request.getfixturevalue(fixture)
    wheels = tmp_path / "wheels"
    build_wheel(wheels, requires=("pluggy<1",))
    build_distribution(wheels, "pluggy", "0.9")

    result = environment.gateway("plugins", "install", "--no-index", "--find-links", wheels, "gateway-plugin-tiny")

    assert result.returncode == 1
    assert "pluggy>=1.5 is needed by gateway-core" in result.stderr
    assert result.stderr.strip().endswith(f"{installer} could not install them; nothing was changed")
    assert environment.gateway("--version").returncode == 0
    assert "tiny" not in environment.gateway("plugins", "list").stdout


def test_a_plugin_does_not_replace_the_gateway(environment: FreshEnvironment, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    build_wheel(wheels, requires=("gateway-plugin-sdk==99",))
    build_distribution(wheels, "gateway-plugin-sdk", "99")

    result = environment.gateway("plugins", "install", "--no-index", "--find-links", wheels, "gateway-plugin-tiny")

    assert result.returncode == 1
    assert "is needed by the gateway itself" in result.stderr


def test_uv_installs_into_an_environment_that_it_made(made_by_uv: FreshEnvironment, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("plugins: [{name: tiny, config: {a: 1}}]\nroutes: []\n")
    good = build_wheel(tmp_path / "1", options='"a": {}')
    bad = build_wheel(tmp_path / "2", "2.0")

    first = made_by_uv.gateway("plugins", "install", "--no-index", good, "-c", config)
    refused = made_by_uv.gateway("plugins", "install", "--no-index", bad, "-c", config)

    assert first.returncode == 0, first.stderr
    assert "new: tiny (gateway-plugin-tiny 1.0)" in first.stdout
    (metadata,) = made_by_uv.folder.glob("lib/*/site-packages/gateway_plugin_tiny-*.dist-info")
    assert (metadata / "INSTALLER").read_text() == "uv"
    assert refused.returncode == 1
    assert "nothing was installed" in refused.stderr


def test_without_pip_and_uv_the_remedy_is_named(
    environment: FreshEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("UV", raising=False)
    (tmp_path / "hidden" / "sitecustomize.py").parent.mkdir()
    (tmp_path / "hidden" / "sitecustomize.py").write_text(HIDE_PIP)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hidden"))

    result = environment.gateway("plugins", "install", "gateway-plugin-tiny")

    assert result.returncode == 1
    assert "neither pip for" in result.stderr
    assert "-m ensurepip" in result.stderr


def test_news_names_every_kind_of_change() -> None:
    before = {
        "a": {"distribution": "da", "version": "1", "schema": {}},
        "b": {"distribution": "db", "version": "1", "schema": {}},
        "c": {"distribution": "dc", "version": "1", "schema": {}},
        "e": {"distribution": "de", "version": "1", "schema": {}, "code": "1 (aa)"},
    }
    after = {
        "b": {"distribution": "db", "version": "1", "schema": {"x": 1}},
        "c": {"distribution": "dc", "version": "2", "schema": {}},
        "d": {"distribution": "dd", "version": "1", "schema": {}},
        "e": {"distribution": "de", "version": "1", "schema": {}, "code": "1 (bb)"},
    }

    assert list(news(before, after)) == [
        "changed: b (db 1) takes another configuration",
        "changed: c (1 -> dc 2): a gateway that runs it takes it over by itself",
        "new: d (dd 1)",
        "changed: e (de 1 with other code): a gateway that runs it takes it over by itself",
        "gone: a",
    ]
    assert list(news(before, before)) == ["no plugin is new"]
