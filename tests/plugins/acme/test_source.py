from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from gateway_plugin_sdk.testing import RunningGateway, StartGateway, eventually

from tests.plugins.acme.conftest import dns_command, document, has_certificate, shown
from tests.plugins.acme.pebble import Pebble

Served = Callable[..., RunningGateway]

pytestmark = pytest.mark.one_protocol(reason="about TLS, and listeners of given ports")


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_a_host_of_the_listener_gets_a_certificate(served: Served, pebble: Pebble, challenge: str) -> None:
    served("a.example.com", challenges=[challenge])

    assert shown(pebble.tls_port, "a.example.com") is not None
    eventually(lambda: has_certificate(pebble.tls_port, "a.example.com"))


def names_of(port: int, name: str) -> set[str]:
    certificate = shown(port, name)
    assert certificate is not None
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(found.get_values_for_type(x509.DNSName))


def test_listed_names_share_a_certificate_or_have_their_own(served: Served, pebble: Pebble) -> None:
    served(names=["a.example.com", ["b.example.com", "c.example.com"]])

    eventually(lambda: all(has_certificate(pebble.tls_port, f"{each}.example.com") for each in "abc"))
    assert names_of(pebble.tls_port, "a.example.com") == {"a.example.com"}
    assert names_of(pebble.tls_port, "c.example.com") == {"b.example.com", "c.example.com"}


def test_a_restart_and_a_reload_order_nothing_again(gateway: StartGateway, pebble: Pebble, storage: Path) -> None:
    config = document(pebble, storage, ["a.example.com"])
    running = gateway(config)
    eventually(lambda: has_certificate(pebble.tls_port, "a.example.com"))
    first = shown(pebble.tls_port, "a.example.com")

    running.reload({**config, "server_timing": True})
    assert shown(pebble.tls_port, "a.example.com") == first
    running.close()
    gateway(config)

    eventually(lambda: has_certificate(pebble.tls_port, "a.example.com"))
    assert shown(pebble.tls_port, "a.example.com") == first
    assert pebble.issued() == 1


def test_a_host_that_is_added_by_a_reload_gets_a_certificate(
    gateway: StartGateway, pebble: Pebble, storage: Path
) -> None:
    running = gateway(document(pebble, storage, ["a.example.com"]))
    eventually(lambda: has_certificate(pebble.tls_port, "a.example.com"))
    first = shown(pebble.tls_port, "a.example.com")

    running.reload(document(pebble, storage, ["a.example.com", "b.example.com"]))

    eventually(lambda: has_certificate(pebble.tls_port, "b.example.com"))
    assert shown(pebble.tls_port, "a.example.com") == first
    assert pebble.issued() == 2


def test_connections_go_on_while_a_certificate_is_renewed(served: Served, pebble: Pebble, storage: Path) -> None:
    served("a.example.com")
    eventually(lambda: has_certificate(pebble.tls_port, "a.example.com"))
    first = shown(pebble.tls_port, "a.example.com")
    context = ssl.create_default_context(cadata=pebble.root())
    ask = b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", pebble.tls_port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="a.example.com") as client,
    ):
        client.sendall(ask)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        (storage / "request").mkdir()
        [stored] = (storage / "certificate").iterdir()
        (storage / "request" / stored.name).write_bytes(b"value\nrenew")
        eventually(lambda: shown(pebble.tls_port, "a.example.com") not in {first, None})

        client.sendall(ask)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_an_unknown_token_goes_to_the_routes_and_an_unknown_validation_is_refused(
    served: Served, pebble: Pebble
) -> None:
    served("a.example.com")
    eventually(lambda: has_certificate(pebble.tls_port, "a.example.com"))

    with socket.create_connection(("127.0.0.1", pebble.http_port), timeout=20) as client:
        path = b"/.well-known/acme-challenge/unknown-token-of-another"
        client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 308 ")
    assert shown(pebble.tls_port, "a.example.com", ("acme-tls/1",)) is None


def test_a_wildcard_is_proved_by_dns(served: Served, pebble: Pebble, tmp_path: Path) -> None:
    command, _ = dns_command(pebble, tmp_path)
    served("*.example.com", dns={"command": command, "propagation": "0s"})

    eventually(lambda: has_certificate(pebble.tls_port, "any.example.com"))
    assert names_of(pebble.tls_port, "any.example.com") == {"*.example.com"}


def test_a_name_without_certificate_is_refused_if_the_operator_says_so(served: Served, pebble: Pebble) -> None:
    served(
        "a.example.com",
        authorities=[{"url": "https://127.0.0.1:1/dir", "ca": str(pebble.ca)}],
        without_certificate="refuse",
    )

    assert shown(pebble.tls_port, "a.example.com") is None


def test_a_name_on_demand_gets_its_certificate_during_the_first_handshake(served: Served, pebble: Pebble) -> None:
    served(on_demand={"allow": ["*.example.com"]})

    assert not has_certificate(pebble.tls_port, "a.example.org")
    assert has_certificate(pebble.tls_port, "a.example.com")
    assert pebble.issued() == 1


def test_check_names_what_cannot_be_had(tmp_path: Path, pebble: Pebble) -> None:
    config = document(pebble, tmp_path / "acme", ["localhost", "*.example.com", "www.example.com"])
    config["listen"][1]["tls"]["certificates"][0]["config"].pop("authorities")
    path = tmp_path / "gateway.json"
    path.write_text(json.dumps(config))

    checked = subprocess.run(
        [sys.executable, "-m", "gateway_core.cli", "check", str(path)], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stderr
    assert "no certificate can be had for localhost, which is not a public name" in checked.stderr
    assert "no certificate can be had for *.example.com, which is a wildcard" in checked.stderr
    assert "for www.example.com" not in checked.stderr
