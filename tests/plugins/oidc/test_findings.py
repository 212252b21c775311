from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway_plugin_oidc.findings import findings

from tests.plugins.oidc.test_config import made


def found(**changes: Any) -> list[tuple[str, str]]:
    return [(each.code, each.severity) for each in findings(made(**changes))]


def test_check_tells_what_sealed_cookies_cannot_do_alone() -> None:
    assert found() == [("sessions-not-shared", "warning")]
    assert found(session={"single_gateway": True}) == []
    assert found(valkey={"url": "valkey://127.0.0.1"}) == []


def test_files_are_looked_at(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("short")

    assert ("file-invalid", "error") in found(keys=None, keys_file=str(keys))
