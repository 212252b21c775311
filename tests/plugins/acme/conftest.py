"""A real authority, and gateways in front of nothing that get certificates from it."""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from gateway_plugin_sdk.testing import RunningGateway, StartGateway

from tests.plugins.acme.pebble import Pebble, run_pebble


@pytest.fixture
def pebble(tmp_path: Path) -> Iterator[Pebble]:
    with run_pebble(tmp_path / "pebble") as running:
        yield running


def document(
    pebble: Pebble, storage: Path | Mapping[str, Any], hosts: list[str] | None = None, **config: Any
) -> dict[str, Any]:
    """Return a configuration with a plain listener and one with TLS, where the authority looks for them."""
    acme = {
        "authorities": [pebble.config()],
        "storage": {"directory": str(storage)} if isinstance(storage, Path) else storage,
        "retry": "1s",
        "poll": "100ms",
        **config,
    }
    tls = {"certificates": [{"name": "acme", "config": acme}]}
    listen = [
        {"address": f"127.0.0.1:{pebble.http_port}", "https_redirect": True},
        {"address": f"127.0.0.1:{pebble.tls_port}", "tls": tls, **({} if hosts is None else {"hosts": hosts})},
    ]
    return {"listen": listen, "routes": [{"id": "all", "path_prefix": "/", "respond": {"body": "served"}}]}


def dns_command(pebble: Pebble, folder: Path) -> tuple[list[str], Path]:
    """Return a command that creates records where the authority looks, and the file where it logs what it is for."""
    script, log = folder / "dns.py", folder / "dns.log"
    script.write_text(
        "import json, sys, urllib.request as u\n"
        "what, name, value = sys.argv[1:]\n"
        f"open({str(log)!r}, 'a').write(what + ' ' + name + '\\n')\n"
        "path = 'set-txt' if what == 'present' else 'clear-txt'\n"
        f"url = 'http://127.0.0.1:{pebble.dns_management}/' + path\n"
        "u.urlopen(u.Request(url, json.dumps({'host': name + '.', 'value': value}).encode()), timeout=20)\n"
    )
    return [sys.executable, str(script)], log


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "acme"


@pytest.fixture
def served(gateway: StartGateway, pebble: Pebble, storage: Path) -> Callable[..., RunningGateway]:
    """Return a function that starts a gateway: hosts of the listener with TLS, and options."""

    def start(*hosts: str, **config: Any) -> RunningGateway:
        return gateway(document(pebble, storage, list(hosts), **config))

    return start


def shown(port: int, name: str, protocols: tuple[str, ...] = ()) -> x509.Certificate | None:
    """Return the certificate that a client is shown for a name; None if the handshake is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            der = secure.getpeercert(binary_form=True)
            return None if der is None else x509.load_der_x509_certificate(der)
    except (ssl.SSLError, ConnectionError):
        return None


def is_issued(certificate: x509.Certificate | None) -> bool:
    """Whether a certificate is the authority's."""
    return certificate is not None and "Pebble" in certificate.issuer.rfc4514_string()


def has_certificate(port: int, name: str) -> bool:
    """Whether clients are shown a certificate of the authority for a name, rather than another name's."""
    certificate = shown(port, name)
    if certificate is None or not is_issued(certificate):
        return False
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = names.get_values_for_type(x509.DNSName)
    return name in found or "*." + name.partition(".")[2] in found
