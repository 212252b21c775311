from __future__ import annotations

import json
from pathlib import Path

import pytest
from gateway_core.cli.locked import check_lock
from gateway_core.cli.options import LOCK_FILE
from gateway_core.config import ConfigError
from gateway_core.process.locked import LOCK_VARIABLE

from tests.core.cli.conftest import Invoke
from tests.end_to_end.kit import Gateway

PATHS = (Path("gateway.yaml"),)


@pytest.fixture
def lock(invoke: Invoke, tmp_path: Path) -> Path:
    path = tmp_path / LOCK_FILE
    assert invoke("plugins", "lock", "--file", path).exit_code == 0
    return path


def drifted(lock: Path) -> Path:
    document = json.loads(lock.read_text())
    document["plugins"][0]["version"] = "0.0.1"
    lock.write_text(json.dumps(document))
    return lock


def test_nothing_is_checked_unless_asked_for() -> None:
    check_lock(PATHS, {})


def test_what_is_locked_passes(lock: Path) -> None:
    check_lock(PATHS, {LOCK_VARIABLE: str(lock)})


def test_drift_is_a_problem_and_the_files_stay_watched(lock: Path) -> None:
    with pytest.raises(ConfigError, match=r"plugins\.lock: auth: gateway-plugin-auth 0\.0\.1 is locked") as caught:
        check_lock(PATHS, {LOCK_VARIABLE: str(drifted(lock))})

    assert caught.value.files == (Path("gateway.yaml"), lock)


def test_a_missing_lock_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no lock file"):
        check_lock(PATHS, {LOCK_VARIABLE: str(tmp_path / "gone")})


async def test_a_start_refuses_drift(lock: Path, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text('listen: 127.0.0.1:0\nroutes: [{path: /, target: "http://127.0.0.1:1"}]\n')
    started = [Gateway(config, f"--locked={lock}")]
    try:
        await started[0].ready()
        await started[0].stops()
        started.append(Gateway(config, f"--locked={drifted(lock)}"))
        assert await started[1].ends() == 1
        assert "auth: gateway-plugin-auth 0.0.1 is locked" in started[1].text
    finally:
        for gateway in started:
            gateway.kill()
