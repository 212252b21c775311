"""What is seen of certificates: in the status, which the admin API and the dashboard show as well, and in metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_sdk.testing import RunningGateway, StartGateway, eventually

from tests.plugins.acme.conftest import document, has_certificate
from tests.plugins.acme.pebble import Pebble, run_pebble

Served = Callable[..., RunningGateway]

pytestmark = pytest.mark.one_protocol(reason="about TLS, and listeners of given ports")

NAME = "a.example.com"


def issuance_of(running: RunningGateway, name: str) -> dict[str, Any]:
    found = [each for each in running._engine.status()["certificates"] if each["name"] == name]
    assert len(found) == 1
    shown: dict[str, Any] = found[0]
    return shown


def metric(running: RunningGateway, name: str) -> float:
    line = next(each for each in running.metrics().splitlines() if each.startswith(f"{name}{{"))
    return float(line.rpartition(" ")[2])


def test_expiry_and_last_success_of_a_name_are_shown(served: Served, pebble: Pebble) -> None:
    running = served(NAME)
    eventually(lambda: has_certificate(pebble.tls_port, NAME))

    eventually(lambda: issuance_of(running, NAME)["issuance"]["last_success"] is not None)
    shown = issuance_of(running, NAME)
    assert shown["not_after"] > shown["not_before"]
    assert not shown["issuance"]["is_failing"]
    assert shown["issuance"]["last_failure"] is None
    assert shown["issuance"]["names"] == [NAME]
    assert metric(running, "gateway_certificate_last_success_timestamp_seconds") > 0
    assert metric(running, "gateway_certificate_last_failure_timestamp_seconds") == 0
    start = metric(running, "gateway_certificate_not_before_timestamp_seconds")
    assert start < metric(running, "gateway_certificate_expiry_timestamp_seconds")


@pytest.mark.parametrize("without", ["self-signed", "refuse"])
def test_a_name_that_cannot_be_had_is_shown_with_the_reason_and_the_next_attempt(
    served: Served, pebble: Pebble, without: str
) -> None:
    away = {"url": "https://127.0.0.1:1/dir", "ca": str(pebble.ca)}
    running = served(NAME, authorities=[away], without_certificate=without, retry="1h")

    eventually(lambda: issuance_of(running, NAME)["issuance"]["is_failing"])
    shown = issuance_of(running, NAME)["issuance"]
    assert "https://127.0.0.1:1/dir: the authority is away" in shown["error"]
    assert shown["last_success"] is None
    assert shown["next_attempt"] > shown["last_failure"]
    assert metric(running, "gateway_certificate_last_failure_timestamp_seconds") > 0
    assert metric(running, "gateway_certificate_last_success_timestamp_seconds") == 0


@pytest.mark.slow
def test_an_order_that_goes_on_is_no_failure(gateway: StartGateway, tmp_path: Path, storage: Path) -> None:
    environ = {"PEBBLE_VA_NOSLEEP": "0", "PEBBLE_VA_SLEEPTIME": "3"}
    with run_pebble(tmp_path / "pebble", environ=environ) as pebble:
        running = gateway(document(pebble, storage, [NAME]))
        eventually(lambda: any((storage / "token").glob("[!.]*")))

        assert not issuance_of(running, NAME)["issuance"]["is_failing"]
        eventually(lambda: has_certificate(pebble.tls_port, NAME), within=60)


def test_a_name_that_is_removed_is_no_longer_shown(served: Served, pebble: Pebble, storage: Path) -> None:
    running = served(NAME)
    eventually(lambda: has_certificate(pebble.tls_port, NAME))

    running.reload(document(pebble, storage, ["b.example.com"]))

    eventually(lambda: has_certificate(pebble.tls_port, "b.example.com"))
    eventually(lambda: f'name="{NAME}"' not in running.metrics())
