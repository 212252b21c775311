"""The unit for systemd: its words, its sandbox, and its commands run as the manager would."""

from __future__ import annotations

import asyncio
import configparser
import signal
import socket
import subprocess
import sys
from pathlib import Path

from gateway_core.config.models.gateway import GatewayConfig

from tests.end_to_end.kit import PATIENCE
from tests.programs import program

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "gateway.service"
CONFIGURATION = "listen: 127.0.0.1:0\nroutes: [{id: a, path_prefix: /, respond: {status: 204}}]\n"
PROGRAM = "/opt/gateway/bin/gateway"


def service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes="#")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser["Service"]


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [program("systemd-analyze", "systemd"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    installed = tmp_path / "gateway.service"
    installed.write_text(UNIT.read_text().replace(PROGRAM, sys.executable))

    checked = analyze("verify", "--man=no", installed)

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_a_command_that_is_not_there_is_found(tmp_path: Path) -> None:
    """The check above can fail."""
    installed = tmp_path / "gateway.service"
    installed.write_text(UNIT.read_text().replace(PROGRAM, "/nowhere/gateway"))

    assert "is not executable" in analyze("verify", "--man=no", installed).stderr


def test_the_sandbox_leaves_little(tmp_path: Path) -> None:
    checked = analyze("security", "--offline=true", "--threshold=21", UNIT)

    assert checked.returncode == 0, checked.stdout


async def test_its_commands_start_reload_and_stop_a_gateway(tmp_path: Path) -> None:
    files, state = tmp_path / "etc", tmp_path / "state"
    files.mkdir()
    state.mkdir(mode=0o700)
    (files / "gateway.yaml").write_text(CONFIGURATION)
    environ = {
        "PATH": "/usr/bin:/bin",
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "STATE_DIRECTORY": str(state),
        "XDG_RUNTIME_DIR": str(tmp_path),
    }

    def command(name: str) -> list[str]:
        words = service()[name].replace("/etc/gateway", str(files)).split()
        assert words[0] == PROGRAM
        return [sys.executable, "-m", "gateway_core.cli", *words[1:]]

    async def reload() -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *command("ExecReload"), env=environ, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        _, errors = await process.communicate()
        assert process.returncode is not None
        return process.returncode, errors.decode()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(environ["NOTIFY_SOCKET"])
        manager.settimeout(PATIENCE)
        process = await asyncio.create_subprocess_exec(*command("ExecStart"), env=environ)
        try:
            while not (await asyncio.to_thread(manager.recv, 500)).startswith(b"READY=1"):
                pass
            assert (await reload())[0] == 0

            (files / "gateway.yaml").write_text("routes: 7\n")
            status, errors = await reload()
            assert status == 1
            assert "gateway.yaml:1:9" in errors

            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert any(state.iterdir()), "what was in force last is kept"


def test_the_manager_waits_longer_than_the_gateway_drains_by_default() -> None:
    fields = GatewayConfig.model_fields

    assert int(service()["TimeoutStopSec"]) >= fields["shutdown_timeout"].default + fields["drain_delay"].default + 5
