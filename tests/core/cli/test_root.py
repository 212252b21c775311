from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


def test_the_overview_imports_neither_plugins_nor_the_gateway() -> None:
    script = (
        "import sys; from gateway_core.cli.root import _run; _run(['--help'])\n"
        "print([name for name in sys.modules if name.split('.')[0] in {'pydantic', 'aiohttp', 'yaml', 'asyncio'}"
        " or name.startswith('gateway_plugin_')], file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert done.stderr == "[]\n"


def test_a_check_without_plugins_imports_nothing_that_serves_requests(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("routes: [{path: /, target: 'http://127.0.0.1:1'}]")
    path = str(tmp_path / "gateway.yaml")
    script = (
        f"import sys; from gateway_core.cli.root import _run; _run(['check', '-c', {path!r}])\n"
        "serving = ('aiohttp', 'jsonschema', 'prometheus_client', 'watchfiles', 'gateway_core.hooks')\n"
        "print([name for name in serving if name in sys.modules], file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert done.stderr == "[]\n"
