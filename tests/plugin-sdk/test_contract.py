"""What plugins may import is a promise: a change of these lists is a change of the SDK's version."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import resources
from pathlib import Path

import gateway_core.testing
import gateway_plugin_sdk
import pytest
from gateway_plugin_sdk import testing, valkey

PUBLIC = Path(__file__).with_name("public_names.txt")


def test_the_public_names_are_those_that_were_promised() -> None:
    names = [
        *gateway_plugin_sdk.__all__,
        *(f"testing.{name}" for name in testing.__all__),
        *(f"valkey.{name}" for name in valkey.__all__),
    ]

    promised = PUBLIC.read_text().splitlines()

    assert sorted(names) == promised, (
        f"adding a name is a minor version, removing one a major version; then write the list to {PUBLIC.name}"
    )


@pytest.mark.parametrize("module", [gateway_plugin_sdk, testing, valkey])
def test_every_public_name_can_be_imported(module: object) -> None:
    for name in module.__all__:  # type: ignore[attr-defined]
        assert getattr(module, name) is not None


@pytest.mark.parametrize("module", [gateway_plugin_sdk, testing])
def test_type_checkers_see_exactly_the_public_names(module: object) -> None:
    source = Path(module.__file__)  # type: ignore[attr-defined]
    block = next(node for node in ast.parse(source.read_text()).body if isinstance(node, ast.If))

    imported = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}

    assert imported == set(module.__all__)  # type: ignore[attr-defined]


def test_the_kit_re_exports_all_of_the_cores() -> None:
    assert set(testing.__all__) - {"StartGateway"} == set(gateway_core.testing.__all__)


@pytest.mark.parametrize("module", [gateway_plugin_sdk, testing])
def test_an_unknown_name_is_an_error(module: object) -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        module.nonsense  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(("name", "replacement"), [("Pauses", "Backoff"), ("BodyTransform", "BodyFilter")])
def test_a_name_of_an_earlier_version_is_an_error_with_the_replacement(name: str, replacement: str) -> None:
    with pytest.raises(ImportError, match=f"{name} is gone: use {replacement}"):
        getattr(gateway_plugin_sdk, name)


def test_the_package_is_typed() -> None:
    assert resources.files(gateway_plugin_sdk).joinpath("py.typed").is_file()


def test_loading_the_fixtures_does_not_load_the_gateway() -> None:
    code = "import sys, gateway_plugin_sdk.testing.pytest_plugin; print('gateway_core' in sys.modules)"

    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert shown.stdout.strip() == "False"
