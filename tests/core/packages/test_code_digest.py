from __future__ import annotations

import importlib
import py_compile
import sys
import zipfile
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


def test_a_package_of_byte_code_alone_counts_with_all_its_modules(site: Path) -> None:
    package = write_package(site)
    for source in package.glob("*.py"):
        py_compile.compile(str(source), cfile=str(source.with_suffix(".pyc")))
        source.unlink()
    before = digest()

    (package / "plugin.pyc").write_bytes(b"other code")

    assert digest() != before


def test_a_package_that_hides_a_recorded_module_counts(site: Path) -> None:
    """An import prefers a package to a module of the same name."""
    write_package(site)
    (site / "zoo_support.py").touch()
    record(site, "zoo_package/__init__.py", "zoo_package/plugin.py", "zoo_support.py")
    before = digest()

    (site / "zoo_support").mkdir()
    (site / "zoo_support" / "__init__.py").touch()

    assert digest() != before


def test_of_a_plugin_in_an_archive_the_archive_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def digest_with(code: str, name: str) -> str:
        archive = tmp_path / name / "plugins.zip"
        archive.parent.mkdir()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("zoo_package/__init__.py", "")
            file.writestr("zoo_package/plugin.py", code)
            file.writestr("zoo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: zoo\nVersion: 1.0\n")
            file.writestr("zoo-1.0.dist-info/entry_points.txt", "[gateway.plugins]\nzoo = zoo_package.plugin:Zoo\n")
        monkeypatch.syspath_prepend(str(archive))
        found = digest()
        sys.path.remove(str(archive))
        return found

    assert digest_with(CODE, "one") != digest_with(CODE + "# edited\n", "other")


def test_code_that_is_in_no_file_has_no_digest(site: Path) -> None:
    publish(site, "zoo_nowhere:Zoo")

    with pytest.raises(ValueError, match="no file of 'zoo_nowhere:Zoo' is found"):
        digest()


@pytest.mark.parametrize(
    "lines", ["zoo_package/plugin.py,sha256=x,12,of,another,tool\n", "zoo_package/plugin.py,,twelve\n", ",,\n"]
)
def test_of_a_record_only_the_names_matter(site: Path, lines: str) -> None:
    package = write_package(site)
    (site / "zoo-1.0.dist-info" / "RECORD").write_text(lines)
    before = digest()

    (package / "plugin.py").write_text(CODE + "# edited\n")

    assert digest() != before


@pytest.mark.parametrize("mapping", ["[1]", "{1: 2}", "{'a': None}", "+".join("1" * 3000), "{"])
def test_a_finder_that_maps_nothing_sensible_maps_nothing(site: Path, mapping: str) -> None:
    write_package(site)
    (site / "__editable___zoo_finder.py").write_text(f"MAPPING: dict[str, str] = {mapping}\n")
    record(site, "__editable___zoo_finder.py")

    assert digest()


def test_a_finder_that_fails_is_named(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        @staticmethod
        def find_spec(name: str, _path: object, _target: object = None) -> None:
            if name.startswith("zoo"):
                raise AttributeError("of another version")

    write_package(site)
    monkeypatch.setattr(sys, "meta_path", [Failing(), *sys.meta_path])

    with pytest.raises(ImportError, match=r"Failing.* fails with AttributeError: of another version"):
        digest()


def test_a_line_of_a_path_file_that_is_no_path_is_skipped(site: Path) -> None:
    write_package(site)
    (site / "zoo.pth").write_text(f"{'x' * 5000}\n")
    record(site, "zoo.pth")

    assert digest()
