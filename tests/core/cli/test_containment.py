from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import start as commands

Run = subprocess.CompletedProcess[str]

PLUGIN = """
from gateway_plugin_sdk import Plugin

class Zoo(Plugin):
    name = "zoo"
"""


def gateway(site: Path, *arguments: str | Path, code: str) -> Run:
    """Run a command in an environment that also has a plugin of this code."""
    return commands.run(*arguments, environ={**os.environ, "PYTHONPATH": install(site, code)}, timeout=60)


def install(site: Path, code: str) -> str:
    """Install a plugin of this code; return the path to import it by."""
    metadata = site / "zoo-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gateway.plugins]\nzoo = zoo_module:Zoo\n")
    (site / "zoo_module.py").write_text(code)
    return os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text("plugins: [{name: zoo}]\nroutes: [{id: a, path: /, target: 'http://127.0.0.1:1'}]\n")
    return path


NOISE = """
import atexit, os, sys
print("by print")
os.write(1, b"by the descriptor\\n")
atexit.register(print, "at exit")
"""


@pytest.mark.parametrize("command", [("plugins", "list", "--json"), ("schema",), ("plugins", "show", "zoo", "--json")])
def test_what_plugins_print_while_they_are_imported_is_not_in_the_output(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    done = gateway(tmp_path / "site", *command, code=NOISE + PLUGIN)

    assert json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert "by print" in done.stderr
    assert "by the descriptor" in done.stderr


CRASHES = {
    "import os; os._exit(0)": "with status 0",
    "import os; os._exit(7)": "with status 7",
    "import os; os.kill(os.getpid(), 11)": "by SIGSEGV",
    "import os; os.kill(os.getpid(), 9)": "by SIGKILL",
}


@pytest.mark.parametrize(("code", "how"), CRASHES.items())
def test_a_plugin_that_ends_the_process_while_it_is_imported_is_named_and_is_a_failure(
    code: str, how: str, tmp_path: Path, config: Path
) -> None:
    done = gateway(tmp_path / "site", "check", "-c", config, code=code)

    assert done.returncode == 1
    assert f"the command ended {how} while plugin 'zoo' of zoo 1.0 was imported" in done.stderr


def test_a_plugin_that_ends_the_process_later_does_not_change_the_status(tmp_path: Path, config: Path) -> None:
    code = "import atexit, os\natexit.register(os._exit, 9)\n" + PLUGIN

    done = gateway(tmp_path / "site", "check", "-c", config, code=code)

    assert (done.returncode, done.stdout.strip()) == (0, f"{config}: fine, 1 route, 0 upstreams")


@pytest.mark.parametrize(("arguments", "status"), [(("--nonsense",), 2), (("-c", "/nowhere.yaml"), 1)])
def test_the_status_of_the_command_is_that_of_the_process(
    arguments: tuple[str, ...], status: int, tmp_path: Path
) -> None:
    assert gateway(tmp_path / "site", "check", *arguments, code=PLUGIN).returncode == status


@pytest.mark.parametrize("command", [("schema",), ("check",)])
@pytest.mark.parametrize("name", ["METADATA", "entry_points.txt", "RECORD"])
def test_a_distribution_with_a_file_that_is_no_text_ends_no_command(
    command: tuple[str, ...], name: str, tmp_path: Path
) -> None:
    half = tmp_path / "site" / "half-1.0.dist-info"
    half.mkdir(parents=True)
    (half / "METADATA").write_text("Metadata-Version: 2.1\nName: half\nVersion: 1.0\n")
    (half / name).write_bytes(b"\xff\xfe\x80[gateway.plugins]\n\x00")
    config = tmp_path / "gateway.yaml"
    config.write_text("routes: [{id: a, path: /, target: 'http://127.0.0.1:1'}]\n")

    done = gateway(tmp_path / "site", *command, *(("-c", config) if command == ("check",) else ()), code=PLUGIN)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "code",
    ["raise KeyboardInterrupt", "class Odd(Exception):\n    def __str__(self): raise KeyboardInterrupt\nraise Odd"],
)
def test_an_interrupt_that_a_plugin_raises_is_a_failure_of_its_import(code: str, tmp_path: Path, config: Path) -> None:
    done = gateway(tmp_path / "site", "check", "-c", config, code=code)

    assert done.returncode == 1
    assert 'the plugin "zoo" of zoo 1.0 does not load:' in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_that_fails_after_a_plugin_was_imported_names_it(tmp_path: Path, config: Path) -> None:
    done = gateway(tmp_path / "site", "check", "-c", config, code="import json; json.dumps = None")

    assert done.returncode == 1
    assert "the last one was plugin 'zoo' of zoo 1.0: they may be the cause" in done.stderr


CHECKS = """
import signal, sys
from gateway_core.cli import main

# A shell has what it runs in the background ignore SIGINT, and what that starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
main(["check", "-c", sys.argv[1]])
"""


def test_ctrl_c_ends_a_command_that_imports_a_plugin_and_names_the_plugin(tmp_path: Path, config: Path) -> None:
    site = install(tmp_path / "site", "import os, signal; os.kill(os.getpid(), signal.SIGINT)")

    done = subprocess.run(
        [sys.executable, "-c", CHECKS, config],
        env={**os.environ, "PYTHONPATH": site},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "gateway: interrupted while plugin 'zoo' of zoo 1.0 was imported\n"


INTERRUPTED = """
import os, signal
from gateway_core.cli.containment import run_contained

# A shell has what it runs in the background ignore SIGINT, and what that starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

def run():
    for _ in range(20):
        os.kill(os.getppid(), signal.SIGINT)
    return 5

for _ in range(200):
    assert run_contained(run) == 5
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_interruptions_of_the_parent_do_not_lose_how_the_child_ended() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False, timeout=120)

    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
