"""What `make dist` builds."""

from __future__ import annotations

import hashlib
import json
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from gateway_core import __version__

from deploy import distributions
from tests.contract.repository import DISTRIBUTIONS, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("release") / "dist"
    distributions.release(into, address="https://code.example.com/gateway")  # twine checks them on the way
    return into


def archive(name: str) -> str:
    return f"{name.replace('-', '_')}-{__version__}"


def canonical(name: str) -> str:
    return name.lower().replace("_", "-")


def metadata_of(wheel: Path) -> dict[str, list[str]]:
    with zipfile.ZipFile(wheel) as opened:
        (path,) = [name for name in opened.namelist() if name.endswith(".dist-info/METADATA")]
        message = Parser().parsestr(opened.read(path).decode())
    return {key: message.get_all(key, []) for key in message.keys()}  # noqa: SIM118


def test_every_distribution_has_an_sdist_and_a_wheel(dist: Path) -> None:
    expected = {
        f"{archive(each.name)}{suffix}" for each in DISTRIBUTIONS for suffix in ("-py3-none-any.whl", ".tar.gz")
    }

    assert {path.name for path in dist.iterdir()} == expected | {"gateway.cdx.json", "SHA256SUMS"}


def test_each_archive_has_the_licence_and_what_people_ask_for(dist: Path) -> None:
    licence = (ROOT / "LICENSE").read_bytes()
    for each in DISTRIBUTIONS:
        found = metadata_of(dist / f"{archive(each.name)}-py3-none-any.whl")
        assert found["License-Expression"] == ["Apache-2.0"]
        assert found["License-File"] == ["LICENSE"]
        assert found["Summary"]
        assert found["Classifier"]
        assert "Homepage, https://code.example.com/gateway" in found["Project-URL"]
        with tarfile.open(dist / f"{archive(each.name)}.tar.gz") as opened:
            content = opened.extractfile(f"{archive(each.name)}/LICENSE")
            assert content is not None
            assert content.read() == licence


def test_the_same_sources_give_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    distributions.build(ROOT / "plugin-sdk", tmp_path, address="https://code.example.com/gateway")

    for path in tmp_path.iterdir():
        assert path.read_bytes() == (dist / path.name).read_bytes(), path.name


def test_without_an_address_there_is_none(tmp_path: Path) -> None:
    distributions.build(ROOT / "plugin-sdk", tmp_path)

    (wheel,) = tmp_path.glob("*.whl")
    assert "Project-URL" not in metadata_of(wheel)


def test_the_bill_of_materials_names_everything_that_is_installed(dist: Path) -> None:
    text = (dist / "gateway.cdx.json").read_text("utf-8")
    components = {canonical(each["name"]): each for each in json.loads(text)["components"]}

    assert {each.name for each in DISTRIBUTIONS} <= components.keys()
    assert {"aiohttp", "pluggy", "pydantic", "jsonschema", "importlib-metadata"} <= {
        name.lower().replace("_", "-") for name in components
    }
    assert all(components[each.name]["version"] == __version__ for each in DISTRIBUTIONS)
    assert "file://" not in text


def test_digests_are_those_of_the_files(dist: Path) -> None:
    lines: dict[str, str] = {}
    for line in (dist / "SHA256SUMS").read_text().splitlines():
        digest, _, name = line.partition("  ")
        lines[name] = digest

    files = [path for path in dist.iterdir() if path.name != "SHA256SUMS"]
    assert lines == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
