"""Certificates for tests, made on the spot."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    cert: Path
    key: Path

    def config(self) -> dict[str, str]:
        return {"cert": str(self.cert), "key": str(self.key)}


def make(folder: Path, name: str, *dns: str) -> Pair:
    """Make a self-signed certificate for these names."""
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    names = ",".join(f"DNS:{each}" for each in dns or (name,))
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    files = ["-keyout", str(pair.key), "-out", str(pair.cert)]
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={names}"]
    subprocess.run(["openssl", "req", "-x509", *kind, *files, *subject], check=True, capture_output=True)
    return pair


def trusting(pair: Pair, client: Pair | None = None) -> ssl.SSLContext:
    """Return a client's context that trusts one certificate."""
    context = ssl.create_default_context(cafile=str(pair.cert))
    if client is not None:
        context.load_cert_chain(client.cert, client.key)
    return context


def trusting_all(client: Pair | None = None) -> ssl.SSLContext:
    """Return a client's context that trusts everybody."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if client is not None:
        context.load_cert_chain(client.cert, client.key)
    return context
