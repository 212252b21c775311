from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.core.cli.conftest import Invoke
from tests.core.cli.fresh import FreshEnvironment, build_wheel

pytestmark = pytest.mark.slow


@pytest.fixture
def lock(invoke: Invoke, tmp_path: Path) -> Path:
    path = tmp_path / "plugins.lock"
    assert invoke("plugins", "lock", "--file", path).exit_code == 0
    return path


def test_nothing_has_changed_right_after_locking(invoke: Invoke, lock: Path) -> None:
    result = invoke("plugins", "verify", "--file", lock)

    assert result.exit_code == 0
    assert "as it was locked" in result.stdout


def test_every_drift_is_named(invoke: Invoke, lock: Path) -> None:
    document = json.loads(lock.read_text())
    by_name = {entry["name"]: entry for entry in document["plugins"]}
    by_name["auth"]["version"] = "0.0.1"
    by_name["ratelimit"]["files"] = "0" * 64
    by_name["logger"]["schema"] = "0" * 64
    document["plugins"].append({**by_name["auth"], "name": "gone"})
    lock.write_text(json.dumps(document))

    result = invoke("plugins", "verify", "--file", lock, "--json")

    problems = json.loads(result.stdout)["problems"]
    assert result.exit_code == 1
    assert any(line.startswith("auth: gateway-plugin-auth 0.0.1 is locked, gateway-plugin-auth") for line in problems)
    assert any(line.startswith("ratelimit: the files of") for line in problems)
    assert "logger: its configuration has another schema" in problems
    assert "gone: gateway-plugin-auth 0.0.1 is locked and not installed" in problems


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "there is no lock file"), ("no json", "is no lock file"), ('{"format": 9}', "has format 9")],
)
def test_a_lock_file_that_cannot_be_read_is_status_1(
    invoke: Invoke, tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "plugins.lock"
    if text is not None:
        path.write_text(text)

    result = invoke("plugins", "verify", "--file", path)

    assert result.exit_code == 1
    assert said in result.stderr


def test_an_edited_file_of_an_installed_plugin_is_drift(tmp_path: Path) -> None:
    environment = FreshEnvironment(tmp_path / "environment")
    environment.gateway("plugins", "install", "--no-index", build_wheel(tmp_path / "1"))
    assert environment.gateway("plugins", "lock").returncode == 0
    assert environment.gateway("plugins", "verify").returncode == 0

    (module,) = environment.folder.rglob("gateway_plugin_tiny.py")
    module.write_text(module.read_text() + "# edited\n")
    result = environment.gateway("plugins", "verify")

    assert result.returncode == 1
    assert result.stderr.strip() == "tiny: the files of gateway-plugin-tiny 1.0 are not those that were locked"
