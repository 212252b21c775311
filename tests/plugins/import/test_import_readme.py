"""The example of the README is what the command makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from gateway_import.command import import_
from gateway_import.formats import FORMATS

README = (Path(__file__).parents[3] / "plugins" / "import" / "README.md").read_text("utf-8")


def test_the_example_becomes_what_stands_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, expected = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)[:2]
    monkeypatch.chdir(tmp_path)
    Path("kong.yml").write_text(read)

    done = CliRunner().invoke(import_, ["kong", "kong.yml"])

    assert done.stdout == expected
    assert done.exit_code == 1


def test_every_format_is_in_the_table() -> None:
    assert [name for name in FORMATS if f"\n| `{name}` | " not in README] == []
