"""Every configuration of docs/login.md is one that `gateway check` accepts without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from gateway_core.cli.root import gateway

from tests.docs.blocks import Block, blocks_of

PAGE = Path(__file__).parents[2] / "docs" / "login.md"
BLOCKS = blocks_of(PAGE)


def test_there_is_one_for_each_provider() -> None:
    titles = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("## With ")]

    assert len(titles) == len(BLOCKS) == 3


@pytest.mark.parametrize("block", BLOCKS, ids=lambda each: each.place)
def test_check_accepts_its_configurations(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(block.text)

    result = CliRunner().invoke(gateway, ["check", "-c", str(file)])

    assert result.exit_code == 0, result.output
    assert "warning" not in result.output
