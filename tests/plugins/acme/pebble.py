"""Let's Encrypt's test authority, with a DNS server that says that every name is here."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from gateway_core.clock import SystemClock
from gateway_core.testing import eventually

from tests.ports import free_port
from tests.programs import program

KEYS = {"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}
"""External accounts that it knows."""


def tls_files(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1, which is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pebble")])
    now = datetime.fromtimestamp(SystemClock().wall(), UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "pebble.crt", folder / "pebble.key"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.TraditionalOpenSSL
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return cert_file, key_file


@dataclass
class Pebble:
    """A running authority."""

    port: int
    management: int
    dns_management: int
    ca: Path
    http_port: int
    """Where it looks for challenges over HTTP: a listener has to be there."""
    tls_port: int
    log: Path
    stopped: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/dir"

    def config(self, **more: Any) -> dict[str, Any]:
        """Return the entry of ``authorities``."""
        return {"url": self.url, "ca": str(self.ca), **more}

    def ask_dns(self, path: str, **body: Any) -> None:
        """Send a command to the DNS server."""
        url = f"http://127.0.0.1:{self.dns_management}/{path}"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode()), timeout=30):
            pass

    def status_of(self, serial: int) -> dict[str, Any]:
        """Return what it knows of a certificate."""
        context = ssl.create_default_context(cafile=str(self.ca))
        url = f"https://127.0.0.1:{self.management}/cert-status-by-serial/{serial:x}"
        with urllib.request.urlopen(url, timeout=10, context=context) as response:
            found: dict[str, Any] = json.load(response)
            return found

    def root(self) -> str:
        """Return its root certificate in PEM."""
        context = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(
            f"https://127.0.0.1:{self.management}/roots/0", timeout=10, context=context
        ) as response:
            text: str = response.read().decode()
            return text

    def issued(self) -> int:
        """Return how many certificates it has issued."""
        return self.log.read_text().count("Issued certificate serial")


@contextlib.contextmanager
def run_pebble(
    folder: Path, *, environ: dict[str, str] | None = None, needs_account: bool = False, lifetime: int | None = None
) -> Iterator[Pebble]:
    """Run an authority on free ports; on others, if something takes one of them before it does."""
    for _ in range(_STARTS):
        with _started(folder, environ, needs_account=needs_account, lifetime=lifetime) as pebble:
            if pebble is not None:
                yield pebble
                return
    raise AssertionError((folder / "pebble.log").read_text())


_STARTS = 5


@contextlib.contextmanager
def _started(
    folder: Path, environ: dict[str, str] | None, *, needs_account: bool, lifetime: int | None
) -> Iterator[Pebble | None]:
    """Yield None if a program has ended at once."""
    folder.mkdir(exist_ok=True)
    cert, key = tls_files(folder)
    port, management, dns, dns_management, http, tls = (free_port() for _ in range(6))
    pebble = Pebble(port, management, dns_management, cert, http, tls, folder / "pebble.log")
    settings: dict[str, Any] = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(cert),
        "privateKey": str(key),
        "httpPort": http,
        "tlsPort": tls,
        "externalAccountBindingRequired": needs_account,
        "externalAccountMACKeys": KEYS,
    }
    if lifetime is not None:
        settings["certificateValidityPeriod"] = lifetime
    (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
    dns_command = [
        program("pebble-challtestsrv", "pebble"), "-dns01", f"127.0.0.1:{dns}", "-management",
        f"127.0.0.1:{dns_management}", "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", "",
    ]  # fmt: skip
    command = [
        program("pebble", "pebble"), "-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}"
    ]  # fmt: skip
    quick = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(pebble.log.open("w"))
        processes = []
        for each in (dns_command, command):
            process = subprocess.Popen(each, env={**os.environ, **quick, **(environ or {})}, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)

        def has_ended() -> bool:
            return any(process.poll() is not None for process in processes)

        def is_ready() -> bool:
            return all(is_open(each) for each in (port, management, dns_management))

        eventually(lambda: has_ended() or is_ready(), within=60)
        yield None if has_ended() else pebble


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
