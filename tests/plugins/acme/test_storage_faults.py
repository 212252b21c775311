"""A storage that is full, read-only, hangs or is no directory: what serves goes on serving, and nothing is ordered."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_acme.names import Wanted
from gateway_plugin_sdk.testing import StartGateway, eventually

from tests.plugins.acme.conftest import document, has_certificate, shown
from tests.plugins.acme.limits import in_front_of
from tests.plugins.acme.pebble import Pebble
from tests.plugins.acme.test_faults import NAME, logged
from tests.plugins.ratelimit.stores.conftest import Valkey

pytestmark = pytest.mark.one_protocol(reason="about TLS, and listeners of given ports")


def test_a_storage_that_cannot_be_written_keeps_us_from_ordering(
    gateway: StartGateway, pebble: Pebble, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    running = gateway(document(pebble, tmp_path / "file" / "acme", [NAME]))

    eventually(lambda: logged(running, "storage"))
    assert shown(pebble.tls_port, NAME) is not None
    assert pebble.issued() == 0


def test_a_certificate_that_cannot_be_stored_serves_and_is_not_ordered_again(
    gateway: StartGateway, pebble: Pebble, storage: Path
) -> None:
    in_the_way = storage / "certificate"
    with in_front_of(pebble) as front:
        front.refuse = lambda path: in_the_way.touch() if "finalize" in path else None
        running = gateway(document(pebble, storage, [NAME], authorities=[front.config()]))

        eventually(lambda: logged(running, "serves, but is lost when this process ends"))
        eventually(lambda: has_certificate(pebble.tls_port, NAME))
        in_the_way.unlink()
        eventually((in_the_way / Wanted((NAME,)).id).exists)

        assert has_certificate(pebble.tls_port, NAME)
        assert pebble.issued() == 1


def shared(server: Valkey) -> dict[str, Any]:
    return {"valkey": {"url": server.url, "timeout": "20s"}, "seal": "a secret of all gateways"}


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Callable[..., Valkey]]:
    """Return a function that starts a server with options."""
    with contextlib.ExitStack() as stack:

        def start(*options: str) -> Valkey:
            server = Valkey(tmp_path, *options)
            stack.callback(server.kill)
            return server

        yield start


@pytest.mark.parametrize(
    ("options", "reason"),
    [(("--maxmemory", "1"), "OutOfMemoryError"), (("--replicaof", "127.0.0.1 1"), "ReadOnlyError")],
    ids=["full", "read-only"],
)
def test_a_storage_that_takes_nothing_is_named_and_nothing_is_ordered(
    gateway: StartGateway,
    pebble: Pebble,
    valkey: Callable[..., Valkey],
    options: tuple[str, ...],
    reason: str,
) -> None:
    running = gateway(document(pebble, shared(valkey(*options)), [NAME]))

    eventually(lambda: logged(running, f"certificates are not renewed: storage: valkey: {reason}"))
    assert shown(pebble.tls_port, NAME) is not None
    assert pebble.issued() == 0
    assert sum("certificates are not renewed" in each.getMessage() for each in running.logs) == 1


def test_a_storage_that_becomes_full_leaves_the_certificate_in_use_over_a_reload(
    gateway: StartGateway, pebble: Pebble, valkey: Callable[..., Valkey]
) -> None:
    server = valkey()
    running = gateway(document(pebble, shared(server), [NAME]))
    eventually(lambda: has_certificate(pebble.tls_port, NAME))
    with socket.create_connection(("127.0.0.1", server.port)) as admin:
        admin.sendall(b"CONFIG SET maxmemory 1\r\n")
        assert admin.recv(100) == b"+OK\r\n"

    running.reload(document(pebble, shared(server), [NAME, "b.example.com"]))

    eventually(lambda: logged(running, "the certificate for b.example.com: storage: valkey: OutOfMemoryError"))
    assert has_certificate(pebble.tls_port, NAME)
    assert pebble.issued() == 1


def test_a_storage_that_hangs_blocks_neither_start_nor_reload(
    gateway: StartGateway, pebble: Pebble, valkey: Callable[..., Valkey]
) -> None:
    server = valkey()
    server.send_signal(signal.SIGSTOP)
    running = gateway(document(pebble, shared(server), [NAME]))

    assert shown(pebble.tls_port, NAME) is not None
    running.reload(document(pebble, shared(server), [NAME, "b.example.com"]))
    assert shown(pebble.tls_port, "b.example.com") is not None
    server.send_signal(signal.SIGCONT)

    eventually(lambda: has_certificate(pebble.tls_port, "b.example.com"), within=60)


def test_a_storage_that_is_emptied_takes_no_certificate_from_clients(
    gateway: StartGateway, pebble: Pebble, storage: Path
) -> None:
    running = gateway(document(pebble, storage, [NAME]))
    eventually(lambda: has_certificate(pebble.tls_port, NAME))
    state = storage / "state" / Wanted((NAME,)).id
    eventually(
        lambda: json.loads(state.read_bytes().partition(b"\n")[2])["window_next"]
    )  # nothing is written from now on
    for folder in ("certificate", "state", "account"):
        shutil.rmtree(storage / folder)
    (storage / "revision").unlink()

    running.reload(document(pebble, storage, [NAME, "b.example.com"]))

    eventually(lambda: has_certificate(pebble.tls_port, "b.example.com"))
    assert has_certificate(pebble.tls_port, NAME)
    assert pebble.issued() == 2
