"""Several gateways with one storage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_acme.names import Wanted
from gateway_plugin_sdk.testing import RunningGateway, StartGateway, eventually

from tests.plugins.acme.conftest import document, has_certificate, shown
from tests.plugins.acme.pebble import Pebble
from tests.plugins.acme.test_commands import run
from tests.plugins.ratelimit.stores.conftest import Valkey
from tests.ports import free_port

pytestmark = pytest.mark.one_protocol(reason="about TLS, and listeners of given ports")

NAMES = ["a.example.com", "b.example.com", "c.example.com"]


def elsewhere(config: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Return the configuration of another gateway, which the authority does not reach, and its port."""
    port = free_port()
    config["listen"][0]["address"] = f"127.0.0.1:{free_port()}"
    config["listen"][1]["address"] = f"127.0.0.1:{port}"
    return config, port


def test_three_gateways_order_each_certificate_once_and_respond_for_each_other(
    gateway: StartGateway, pebble: Pebble, tmp_path: Path
) -> None:
    server = Valkey(tmp_path)
    shared = {"valkey": {"url": server.url, "timeout": "20s"}, "seal": "a secret of all gateways"}
    try:
        # The first one has the lock and orders; the authority looks at the last one alone.
        ports = []
        for _ in range(2):
            config, port = elsewhere(document(pebble, shared, NAMES))
            gateway(config)
            ports.append(port)
        gateway(document(pebble, shared, NAMES))
        ports.append(pebble.tls_port)

        for port in ports:
            for name in NAMES:
                eventually(lambda at=port, of=name: has_certificate(at, of))  # type: ignore[misc]
        assert len({shown(port, NAMES[0]) for port in ports}) == 1
        assert pebble.issued() == len(NAMES)
    finally:
        server.kill()


def test_another_gateway_goes_on_when_the_one_that_orders_has_ended(
    gateway: StartGateway, pebble: Pebble, storage: Path
) -> None:
    config, port = elsewhere(document(pebble, storage, NAMES[:1]))
    first: RunningGateway = gateway(config)
    second = gateway(document(pebble, storage, NAMES[:1]))
    eventually(lambda: has_certificate(port, NAMES[0]))

    first.close()
    second.reload(document(pebble, storage, NAMES[:2]))

    eventually(lambda: has_certificate(pebble.tls_port, NAMES[1]))
    assert pebble.issued() == 2


def test_listeners_of_two_addresses_with_one_storage_get_their_certificates_and_order_none_twice(
    gateway: StartGateway, pebble: Pebble, storage: Path
) -> None:
    config = document(pebble, storage, NAMES[:2])
    other, port = document(pebble, storage, NAMES[1:])["listen"][1], free_port()
    config["listen"].append({**other, "address": f"127.0.0.1:{port}"})
    gateway(config)

    for at, names in ((pebble.tls_port, NAMES[:2]), (port, NAMES[1:])):
        for name in names:
            eventually(lambda at=at, of=name: has_certificate(at, of))  # type: ignore[misc]
    assert pebble.issued() == len(NAMES)


def test_a_gateway_that_starts_again_shows_its_certificates_to_the_first_client(
    gateway: StartGateway, pebble: Pebble, storage: Path
) -> None:
    config = document(pebble, storage, NAMES)
    running: RunningGateway = gateway(config)
    eventually(lambda: all(has_certificate(pebble.tls_port, name) for name in NAMES))

    def shows_all_at_once() -> bool:
        nonlocal running
        running.close()
        running = gateway(config)
        return all(has_certificate(pebble.tls_port, name) for name in NAMES)

    # Not the first time, if the storage took longer to respond than it is waited for.
    eventually(shows_all_at_once)
    assert pebble.issued() == len(NAMES)


def test_a_gateway_reads_no_other_certificate_than_the_one_that_has_changed(
    gateway: StartGateway, pebble: Pebble, storage: Path, tmp_path: Path
) -> None:
    config = document(pebble, storage, NAMES[:2])
    (path := tmp_path / "gateway.json").write_text(json.dumps(config))
    gateway(config)
    follower_config, port = elsewhere(document(pebble, storage, NAMES[:2]))
    follower: RunningGateway = gateway(follower_config)
    eventually(lambda: all(has_certificate(port, name) for name in NAMES[:2]))

    def renew_and_wait() -> None:
        before = shown(port, NAMES[0])
        assert run("renew", path, NAMES[0]).exit_code == 0
        eventually(lambda: shown(port, NAMES[0]) not in {before, None})

    renew_and_wait()  # so that the follower has seen all that was to be seen of the other one
    (storage / "certificate" / Wanted((NAMES[1],)).id).write_bytes(b"value\ngarbage")

    renew_and_wait()

    assert has_certificate(port, NAMES[1])
    assert not any("cannot be read" in record.getMessage() for record in follower.logs)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_hundred_names_get_their_certificates(gateway: StartGateway, pebble: Pebble, storage: Path) -> None:
    names = [f"host{number}.example.com" for number in range(200)]
    gateway(document(pebble, storage, names))

    eventually(lambda: pebble.issued() == len(names), within=240)
    for name in (names[0], names[99], names[199]):
        eventually(lambda of=name: has_certificate(pebble.tls_port, of))  # type: ignore[misc]
