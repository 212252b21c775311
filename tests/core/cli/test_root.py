from __future__ import annotations

import subprocess
import sys

from gateway_core import __version__
from gateway_core.cli.root import COMMANDS

from tests.core.cli.conftest import Invoke


def test_help_lists_every_command(invoke: Invoke) -> None:
    output = invoke("--help").output

    assert all(f"  {name} " in output for name in COMMANDS)


def test_every_command_has_help(invoke: Invoke) -> None:
    for name in COMMANDS:
        result = invoke(name, "--help")
        assert result.exit_code == 0, name
        assert result.output.startswith(f"Usage: gateway {name}")


def test_an_unknown_command_is_wrong_usage(invoke: Invoke) -> None:
    assert invoke("nonsense").exit_code == 2


def test_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway_core.cli", "--version"], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == f"gateway, version {__version__}\n"
