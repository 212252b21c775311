"""Broken configurations and the exact text that users see, in tests/golden/config."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from gateway_core.config import ConfigError, PluginCatalog, load_config

GOLDEN = Path(__file__).parents[2] / "golden" / "config"
ENVIRONMENT = {"JWT_SECRET": "s3cr3t-from-the-environment", "NUMBER": "12", "PORT": "8081", "EMPTY": ""}
CASES = sorted(path.name for path in GOLDEN.iterdir() if path.suffix in {".yaml", ".json", ".toml"} or path.is_dir())
COMMAND = "UPDATE_GOLDEN=1 pytest tests/core/config/test_golden.py"


@pytest.mark.parametrize("name", CASES)
def test_broken_configuration_is_explained(name: str, catalog: PluginCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)

    with pytest.raises(ConfigError) as caught:
        load_config(Path(name), environ=ENVIRONMENT, catalog=catalog)

    text = caught.value.render() + "\n"
    expected = GOLDEN / f"{name}.expected"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8"), f"if the new text is better: {COMMAND}"
    assert ENVIRONMENT["JWT_SECRET"] not in text


def test_every_expected_text_has_its_configuration() -> None:
    expected = {path.name.removesuffix(".expected") for path in GOLDEN.glob("*.expected")}

    assert expected == set(CASES)
    assert len(CASES) >= 30
