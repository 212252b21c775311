"""Names on demand that may no longer have a certificate: refused at a renewal, or forgotten by a command."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_sdk.testing import StartGateway, eventually

from tests.plugins.acme.conftest import document, has_certificate
from tests.plugins.acme.limits import in_front_of, limited
from tests.plugins.acme.pebble import Pebble
from tests.plugins.acme.test_commands import run
from tests.plugins.acme.test_status import issuance_of

pytestmark = pytest.mark.one_protocol(reason="about TLS, and listeners of given ports")

NAME = "customer.example.com"


class Customers:
    """What ``ask`` is asked: it responds with one status to all."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[str] = []
        customers = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                customers.asked.append(self.path)
                self.send_response_only(customers.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Write nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/may-have"


@pytest.fixture
def customers() -> Iterator[Customers]:
    running = Customers()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def written(pebble: Pebble, storage: Path, customers: Customers, tmp_path: Path) -> tuple[dict[str, Any], Path]:
    """A configuration with names on demand, and its file for commands."""
    config = document(pebble, storage, on_demand={"ask": customers.url}, retry="1h")
    path = tmp_path / "gateway.json"
    path.write_text(json.dumps(config))
    return config, path


def stored(storage: Path) -> dict[str, int]:
    """Return how many records of a kind there are."""
    folders = ("wanted", "certificate", "state")
    return {each: len([*(storage / each).glob("[!.]*")]) for each in folders}


NOTHING = {"wanted": 0, "certificate": 0, "state": 0}


@pytest.mark.parametrize("command", ["renew", "revoke"])
def test_a_name_that_is_refused_at_its_renewal_is_dropped_with_its_key(
    gateway: StartGateway,
    pebble: Pebble,
    storage: Path,
    customers: Customers,
    written: tuple[dict[str, Any], Path],
    command: str,
) -> None:
    config, path = written
    gateway(config)
    eventually(lambda: has_certificate(pebble.tls_port, NAME))
    assert len(customers.asked) == 1

    customers.status = 404
    assert run(command, path, NAME).exit_code == 0

    eventually(lambda: stored(storage) == NOTHING)
    eventually(lambda: not has_certificate(pebble.tls_port, NAME))
    assert pebble.issued() == 1


def test_a_customer_who_stays_is_asked_about_and_renewed(
    gateway: StartGateway, pebble: Pebble, customers: Customers, written: tuple[dict[str, Any], Path]
) -> None:
    config, path = written
    gateway(config)
    eventually(lambda: has_certificate(pebble.tls_port, NAME))

    assert run("renew", path, NAME).exit_code == 0

    eventually(lambda: pebble.issued() == 2)
    assert customers.asked == [f"/may-have?domain={NAME}"] * 2
    assert has_certificate(pebble.tls_port, NAME)


@pytest.mark.parametrize("status", [500, 302, 429])
def test_a_url_that_does_not_decide_takes_no_name_its_certificate_and_renews_none(
    gateway: StartGateway,
    pebble: Pebble,
    storage: Path,
    customers: Customers,
    written: tuple[dict[str, Any], Path],
    status: int,
) -> None:
    config, path = written
    running = gateway(config)
    eventually(lambda: has_certificate(pebble.tls_port, NAME))

    customers.status = status
    assert run("renew", path, NAME).exit_code == 0

    eventually(lambda: issuance_of(running, NAME)["issuance"]["is_failing"])
    assert f"it responds with {status}" in issuance_of(running, NAME)["issuance"]["error"]
    assert stored(storage) == {"wanted": 1, "certificate": 1, "state": 1}
    assert has_certificate(pebble.tls_port, NAME)
    assert pebble.issued() == 1


def test_a_name_is_forgotten_by_command_and_may_come_back(
    gateway: StartGateway, pebble: Pebble, storage: Path, customers: Customers, written: tuple[dict[str, Any], Path]
) -> None:
    config, path = written
    gateway(config)
    eventually(lambda: has_certificate(pebble.tls_port, NAME))

    customers.status = 404
    forgotten = run("forget", path, NAME)
    assert forgotten.exit_code == 0, forgotten.output
    eventually(lambda: not has_certificate(pebble.tls_port, NAME))
    eventually(lambda: stored(storage) == NOTHING)
    customers.status = 200

    other = f"other.{NAME}"
    assert run("forget", path, other).exit_code == 1
    eventually(lambda: has_certificate(pebble.tls_port, other))


def test_a_name_that_is_forgotten_while_its_order_runs_leaves_nothing(
    gateway: StartGateway, pebble: Pebble, storage: Path, written: tuple[dict[str, Any], Path]
) -> None:
    config, path = written
    released = threading.Event()
    with in_front_of(pebble) as front:
        front.refuse = lambda request: None if "finalize" not in request or released.wait(60) else limited("0")
        authorities = {"authorities": [front.config()]}
        config["listen"][1]["tls"]["certificates"][0]["config"] |= authorities
        path.write_text(json.dumps(config))
        gateway(config)
        asking = threading.Thread(target=has_certificate, args=(pebble.tls_port, NAME))
        asking.start()
        eventually(lambda: any("finalize" in each for each in front.asked))

        assert run("forget", path, NAME).exit_code == 0
        eventually(lambda: not [*(storage / "request").iterdir()])
        released.set()

        eventually(lambda: pebble.issued() == 1)
        eventually(lambda: stored(storage) == NOTHING)
        asking.join()
        eventually(lambda: stored(storage) == NOTHING)


def test_a_name_that_is_forgotten_and_asked_for_at_once_gets_another_certificate(
    gateway: StartGateway, pebble: Pebble, written: tuple[dict[str, Any], Path]
) -> None:
    config, path = written
    gateway(config)
    eventually(lambda: has_certificate(pebble.tls_port, NAME))

    assert run("forget", path, NAME).exit_code == 0

    eventually(lambda: has_certificate(pebble.tls_port, NAME) and pebble.issued() == 2)
