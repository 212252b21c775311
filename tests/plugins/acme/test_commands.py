from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from gateway_plugin_acme.commands import certs
from gateway_plugin_sdk.testing import RunningGateway, eventually

from tests.plugins.acme.conftest import document, is_issued, shown
from tests.plugins.acme.pebble import Pebble

Served = Callable[..., RunningGateway]

pytestmark = pytest.mark.one_protocol(reason="about commands")


@pytest.fixture
def config(pebble: Pebble, storage: Path, tmp_path: Path) -> Path:
    path = tmp_path / "gateway.json"
    path.write_text(json.dumps(document(pebble, storage, ["a.example.com"])))
    return path


def run(command: str, config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(certs, [command, "-c", str(config), *arguments])


def serial(pebble: Pebble) -> int | None:
    certificate = shown(pebble.tls_port, "a.example.com")
    return certificate.serial_number if certificate is not None and is_issued(certificate) else None


def test_certificates_are_listed_renewed_and_revoked(served: Served, pebble: Pebble, config: Path) -> None:
    served("a.example.com")
    eventually(lambda: serial(pebble) is not None)
    first = serial(pebble)
    assert first is not None

    listed = run("list", config)
    assert listed.exit_code == 0, listed.output
    assert "a.example.com" in listed.output

    assert run("renew", config, "a.example.com").exit_code == 0
    eventually(lambda: serial(pebble) not in {first, None})
    second = serial(pebble)
    assert second is not None

    revoked = run("revoke", config, "a.example.com", "--reason", "keyCompromise")
    assert revoked.exit_code == 0, revoked.output
    assert pebble.status_of(second)["Status"] == "Revoked"
    eventually(lambda: serial(pebble) not in {first, second, None})


def test_an_account_gets_another_key_and_orders_with_it(served: Served, pebble: Pebble, config: Path) -> None:
    served("a.example.com")
    eventually(lambda: serial(pebble) is not None)
    first = serial(pebble)

    changed = run("change-account-key", config)
    assert changed.exit_code == 0, changed.output
    assert run("renew", config, "a.example.com").exit_code == 0

    eventually(lambda: serial(pebble) not in {first, None})


@pytest.mark.parametrize("command", ["renew", "revoke"])
def test_a_name_without_certificate_is_named(config: Path, command: str) -> None:
    result = run(command, config, "other.example.com")

    assert result.exit_code == 1
    assert "there is no certificate for 'other.example.com' in the storage" in result.output


def test_what_cannot_be_read_is_listed_and_hides_no_other_certificate(
    served: Served, pebble: Pebble, config: Path, storage: Path
) -> None:
    served("a.example.com")
    eventually(lambda: serial(pebble) is not None)
    (storage / "certificate" / "broken.example.com-1").write_bytes(b"value\ngarbage")

    listed = run("list", config)

    assert listed.exit_code == 0, listed.output
    assert "'certificate/broken.example.com-1' in the storage cannot be read" in listed.output
    assert run("renew", config, "a.example.com").exit_code == 0
