"""Authorities that use orders and authorizations of before again (RFC 8555 sections 7.1.3 and 7.4)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gateway_plugin_sdk.testing import StartGateway, eventually

from tests.plugins.acme.conftest import dns_command, document, has_certificate
from tests.plugins.acme.limits import Refusal, in_front_of
from tests.plugins.acme.pebble import Pebble, run_pebble
from tests.plugins.acme.test_commands import run

pytestmark = pytest.mark.one_protocol(reason="about an authority")

WILDCARD, BARE = "*.example.com", "example.com"


def test_a_wildcard_that_is_proved_already_is_renewed_without_a_record(
    gateway: StartGateway, tmp_path: Path, storage: Path
) -> None:
    with run_pebble(tmp_path / "pebble", environ={"PEBBLE_AUTHZREUSE": "100"}) as pebble:
        command, log = dns_command(pebble, tmp_path)
        dns = {"command": command, "propagation": "0s"}
        config = document(pebble, storage, names=[[WILDCARD, BARE]], challenges=["dns-01"], dns=dns)
        (path := tmp_path / "gateway.json").write_text(json.dumps(config))
        gateway(config)
        eventually(lambda: has_certificate(pebble.tls_port, f"any{WILDCARD[1:]}"))
        first = log.read_text().splitlines()
        assert first.count(f"present _acme-challenge.{BARE}") == first.count(f"cleanup _acme-challenge.{BARE}") > 0

        assert run("renew", path, WILDCARD).exit_code == 0

        eventually(lambda: pebble.issued() == 2)
        assert log.read_text().splitlines() == first


def test_an_order_that_the_authority_returns_again_is_brought_to_its_end(
    gateway: StartGateway, pebble: Pebble, storage: Path, tmp_path: Path
) -> None:
    command, log = dns_command(pebble, tmp_path)
    with in_front_of(pebble) as front:
        orders: list[Refusal] = []
        finalized: list[str] = []

        def again(path: str) -> Refusal | None:
            """Fail the first request to finalize, and return the order of before, as Boulder does."""
            if path == "/order-plz" and front.orders() > 1:
                return orders[0]
            if "finalize" in path:
                finalized.append(path)
                if len(finalized) == 1:
                    return 500, {}, b"a fault of a moment"
            return None

        def keep(path: str, response: Refusal) -> None:
            if path == "/order-plz":
                orders.append(response)

        front.refuse, front.keep = again, keep
        dns = {"command": command, "propagation": "0s"}
        gateway(
            document(
                pebble, storage, names=[WILDCARD], challenges=["dns-01"], dns=dns, authorities=[front.config()],
            )
        )  # fmt: skip

        eventually(lambda: has_certificate(pebble.tls_port, f"any{WILDCARD[1:]}"))

    assert finalized[0] == finalized[1]
    assert log.read_text().splitlines().count(f"present _acme-challenge.{BARE}") == 1
