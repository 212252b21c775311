from __future__ import annotations

import os
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


def completed(line: str) -> list[str]:
    words = line.split(" ")
    environment = {
        **os.environ,
        "_GATEWAY_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    script = (
        "import sys; from gateway_core.cli.root import main\n"
        "import atexit; atexit.register(lambda: print([n for n in sys.modules if n.startswith('gateway_plugin_')"
        " or n == 'gateway_core.hooks'], file=sys.stderr))\n"
        "main([])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60, env=environment
    )
    assert done.stderr == "[]\n"
    return [row.partition(",")[2] for row in done.stdout.splitlines()]


def test_a_shell_completes_commands_and_options_without_importing_plugins() -> None:
    assert completed("gateway ch") == ["check"]
    assert "--output" in completed("gateway check --")
    assert "--output" not in completed("gateway nonsense --")


def test_a_reader_that_leaves_early_gets_no_traceback(tmp_path: Path) -> None:
    for command in (["schema"], ["explain"], ["plugins", "list", "--json"], ["--help"]):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [sys.executable, "-m", "gateway_core.cli", *command],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
            cwd=tmp_path,
        )
        os.close(write)
        assert done.stderr == "", command


def test_output_has_no_colours_whatever_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("listen: x\n")
    for settings in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"FORCE_COLOR": "1"}):
        done = subprocess.run(
            [sys.executable, "-m", "gateway_core.cli", "check"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=tmp_path,
            env={**os.environ, **settings},
        )
        assert done.returncode == 1
        assert "\x1b" not in done.stdout + done.stderr
