"""The examples of docs/grpc.md load, and do what the page says of them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from gateway_core.cli.root import gateway

from tests.docs.blocks import Block, blocks_of, shows

PAGE = Path(__file__).parents[2] / "docs" / "grpc.md"
BLOCKS = blocks_of(PAGE)


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.language == "yaml"], ids=lambda block: block.place)
def test_every_example_loads(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(block.text)

    result = CliRunner().invoke(gateway, ["check", "-c", str(path)])

    assert result.exit_code == 0, result.output


def test_the_route_of_a_call_is_the_one_that_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration, command, output = BLOCKS[:3]
    (tmp_path / "gateway.yaml").write_text(configuration.text)
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(gateway, [*shlex.split(command.text)[1:], "-c", "gateway.yaml"])

    assert shows(output.text, result.output)
