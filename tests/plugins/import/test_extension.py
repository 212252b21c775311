"""The extension offers the command to the gateway."""

from __future__ import annotations

from click.testing import CliRunner
from gateway_core.cli.root import gateway as command_line
from gateway_import import extension


def test_the_gateway_has_the_command() -> None:
    assert [command.name for command in extension.gateway_commands()] == ["import"]
    result = CliRunner().invoke(command_line, ["import", "--help"])
    assert "Read a configuration of another gateway" in result.output
