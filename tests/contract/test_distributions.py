from __future__ import annotations

import configparser
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata

import pytest

from tests.contract.repository import CORE, DISTRIBUTIONS, PLUGINS, ROOT, SDK, Distribution, imports_of, named

each_distribution = pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda each: each.name)

IMPORTED_AS = {
    "pyjwt": "jwt",
    "dnspython": "dns",
    "pyyaml": "yaml",
    "argon2-cffi": "argon2",
    "google-re2": "re2",
    "backports.zstd": "backports",
    "opentelemetry-proto": "opentelemetry",
    "prometheus-client": "prometheus_client",
    "protobuf": "google",
}
"""Import names that differ from the distribution's name by more than its dashes."""

COMES_WITH = {"pydantic_core": "pydantic", "yarl": "aiohttp", "multidict": "aiohttp", "compression": "backports"}
"""Packages that are part of the interface of another one, or, as 'compression', of a newer standard library."""


def declared(distribution: Distribution, *, with_extras: bool = True) -> Iterator[str]:
    """Yield the names of the distributions that one needs, in lower case."""
    project = distribution.settings["project"]
    lines = list(project.get("dependencies", ()))
    if with_extras:
        lines += [line for extra in project.get("optional-dependencies", {}).values() for line in extra]
    for line in lines:
        yield re.split(r"[\s\[<>=!~;]", line, maxsplit=1)[0].lower()


def import_name(requirement: str) -> str:
    return IMPORTED_AS.get(requirement, requirement.replace("-", "_"))


def third_party(distribution: Distribution) -> dict[str, str]:
    """Return the top-level packages that a distribution imports, each with a place that does."""
    own = {distribution.package.name, "__future__"}
    return {
        COMES_WITH.get(package, package): f"{named(source)}:{line}"
        for source in distribution.sources
        for module, line in imports_of(source)
        if (package := module.split(".")[0]) not in sys.stdlib_module_names | own
    }


def version_of(distribution: Distribution) -> str:
    found = re.search(r'^__version__ = "(.+)"$', (distribution.package / "__init__.py").read_text(), re.MULTILINE)
    assert found, f"{distribution.name} has no __version__"
    return found[1]


def test_all_distributions_have_one_version() -> None:
    assert len({version_of(distribution) for distribution in DISTRIBUTIONS}) == 1


def test_distributions_need_each_other_in_versions_that_fit() -> None:
    major, minor, _ = version_of(CORE).split(".")
    fits = f">={major}.{minor},<{major}.{int(minor) + 1}"

    assert f"gateway-core{fits}" in SDK.settings["project"]["dependencies"]
    for plugin in PLUGINS:
        if plugin.name == "gateway-openapi":  # which reads documents, and knows no gateway
            continue
        assert f"gateway-plugin-sdk{fits}" in plugin.settings["project"]["dependencies"], plugin.name


@each_distribution
def test_nothing_is_imported_that_is_not_declared(distribution: Distribution) -> None:
    names = {import_name(requirement) for requirement in declared(distribution)}

    assert {module: place for module, place in third_party(distribution).items() if module not in names} == {}


@each_distribution
def test_nothing_is_declared_that_is_not_imported(distribution: Distribution) -> None:
    imported = third_party(distribution)

    assert [name for name in declared(distribution) if import_name(name) not in imported] == []


@each_distribution
def test_shared_settings_do_not_differ(distribution: Distribution) -> None:
    settings, model = distribution.settings, CORE.settings

    assert settings["build-system"] == model["build-system"]
    assert settings["project"]["requires-python"] == model["project"]["requires-python"] == ">=3.11"
    assert settings["project"]["license"] == model["project"]["license"] == "Apache-2.0"
    assert settings["project"]["license-files"] == ["LICENSE"]
    assert (distribution.folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes(), "copy LICENSE here"
    assert settings["project"]["classifiers"] == model["project"]["classifiers"], "copy those of core"
    assert (distribution.folder / "README.md").read_text().startswith(f"# {distribution.name}\n")


@each_distribution
def test_types_are_published(distribution: Distribution) -> None:
    assert (distribution.package / "py.typed").exists()


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda each: each.name)
def test_entry_points_name_what_there_is(plugin: Distribution) -> None:
    published = plugin.settings["project"].get("entry-points", {}).get("gateway.plugins", {})

    assert bool(published) == (plugin.name not in {"gateway-tokens", "gateway-openapi"}), "a library publishes nothing"
    for name, value in published.items():
        loaded = metadata.EntryPoint(name, value, "gateway.plugins").load()
        assert getattr(loaded, "name", name) == name


def test_tools_know_every_distribution() -> None:
    """A new folder under plugins/ has to be told to the tools that cannot find it by themselves."""
    checked = configparser.ConfigParser(interpolation=None)
    checked.read(ROOT / "tox.ini")
    for distribution in DISTRIBUTIONS:
        folder = named(distribution.folder)
        assert f"{folder}/src" in checked["testenv:types"]["commands"].split(), folder
        assert f"{folder}/src" in re.split(r"\s|{:}", checked["testenv:architecture"]["set_env"]), folder
        assert f"{folder}/src" in (ROOT / "pyproject.toml").read_text(), folder
        assert f"    {distribution.package.name}\n" in (ROOT / ".importlinter").read_text(), folder


def test_tested_versions_are_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line}

    needed = {name for distribution in DISTRIBUTIONS for name in declared(distribution)}
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    needed |= {re.split(r"\[", each)[0].lower() for group in groups.values() for each in group if isinstance(each, str)}

    assert {name for name in needed if not name.startswith("gateway-")} <= pinned


def test_what_every_interpreter_runs_is_there() -> None:
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "tox.ini")
    listed = [path for key in ("reading", "tests") for path in settings["interpreter"][key].split() if path[0] != "{"]

    assert [path for path in listed if not (ROOT / path).exists()] == []
