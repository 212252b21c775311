from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from gateway_core.packages import PluginRegistry, published_plugins
from gateway_core.packages.code_digest import code_digest

CODE = "from gateway_plugin_sdk import Plugin\n\nclass Zoo(Plugin):\n    name = 'zoo'\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))
    metadata = site / "zoo-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gateway.plugins]\nzoo = zoo_package.plugin:Zoo\n")
    return site


def write_package(folder: Path) -> Path:
    package = folder / "zoo_package"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text(CODE)
    importlib.invalidate_caches()
    return package


def digest() -> str:
    importlib.invalidate_caches()
    (published,) = published_plugins()["zoo"]
    return code_digest(published)


def record(site: Path, *names: str) -> None:
    lines = [*names, "zoo-1.0.dist-info/METADATA", "zoo-1.0.dist-info/RECORD"]
    (site / "zoo-1.0.dist-info" / "RECORD").write_text("".join(f"{name},,\n" for name in lines))


def test_files_of_a_distribution_count_by_their_contents(site: Path) -> None:
    package = write_package(site)
    record(site, "zoo_package/__init__.py", "zoo_package/plugin.py")
    before = digest()

    (site / "zoo-1.0.dist-info" / "INSTALLER").write_text("somebody else")
    (package / "plugin.py").write_text(CODE)
    assert digest() == before

    (package / "plugin.py").write_text(CODE + "# edited\n")
    assert digest() != before


def test_of_an_editable_installation_the_sources_count_even_if_its_path_file_was_never_read(
    site: Path, tmp_path: Path
) -> None:
    package = write_package(tmp_path / "checkout")
    (site / "zoo.pth").write_text(f"{package.parent}\n")
    record(site, "zoo.pth")
    before = digest()

    (package / "more.py").write_text("")

    assert digest() != before


def test_the_registry_tells_the_code_that_it_loaded_from_what_is_there_now(site: Path) -> None:
    package = write_package(site)
    record(site, "zoo_package/__init__.py", "zoo_package/plugin.py")
    running, later = PluginRegistry(), PluginRegistry()
    running.info("zoo")
    code = running.code("zoo")

    (package / "plugin.py").write_text(CODE + "# edited\n")

    assert code.startswith("1.0 (")
    assert running.code("zoo") == running.codes()["zoo"] == code
    assert later.code("zoo") != code
    assert "zoo" not in later.codes()
    assert later.code("nothing") == ""


def publish(site: Path, value: str) -> None:
    (site / "zoo-1.0.dist-info" / "entry_points.txt").write_text(f"[gateway.plugins]\nzoo = {value}\n")


def test_a_plugin_in_a_namespace_package_counts_with_all_its_modules_and_not_with_those_of_others(site: Path) -> None:
    own, other = site / "zoo_corp" / "zoo", site / "zoo_corp" / "another"
    for package in (own, other):
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise SystemExit('it is not to be imported')\n")
    (own / "plugin.py").write_text(CODE)
    publish(site, "zoo_corp.zoo.plugin:Zoo")
    before = digest()

    (other / "__init__.py").write_text("x = 1\n")
    assert digest() == before

    (own / "helper.py").write_text("x = 1\n")
    assert digest() != before


def test_a_module_that_is_alone_in_a_namespace_counts(site: Path) -> None:
    (site / "zoo_corp").mkdir()
    module = site / "zoo_corp" / "zoo.py"
    module.write_text(CODE)
    publish(site, "zoo_corp.zoo:Zoo")
    before = digest()

    module.write_text(CODE + "# edited\n")

    assert digest() != before


def test_of_an_editable_installation_its_other_packages_count_as_well(site: Path, tmp_path: Path) -> None:
    package = write_package(tmp_path / "checkout")
    other = package.parent / "zoo_support"
    other.mkdir()
    (other / "__init__.py").touch()
    (package.parent / "zoo_module.py").touch()
    (site / "zoo.pth").write_text(f"{package.parent}\n")
    record(site, "zoo.pth")
    before = digest()

    (other / "__init__.py").write_text("x = 1\n")
    changed = digest()
    (package.parent / "zoo_module.py").write_text("x = 1\n")

    assert len({before, changed, digest()}) == 3


def test_of_an_editable_installation_by_a_finder_what_it_maps_counts(site: Path, tmp_path: Path) -> None:
    package = write_package(tmp_path / "checkout")
    support = tmp_path / "checkout" / "support.py"
    support.touch()
    finder = site / "__editable___zoo_1_0_finder.py"
    finder.write_text(
        f"MAPPING: dict[str, str] = {{'zoo_package': {str(package)!r}, 'zoo_support': {str(support)!r}}}\n"
        "raise SystemExit('it is not to be run')\n"
    )
    record(site, finder.name)
    before = digest()

    (package / "plugin.py").write_text(CODE + "# edited\n")
    changed = digest()
    support.write_text("x = 1\n")

    assert len({before, changed, digest()}) == 3
