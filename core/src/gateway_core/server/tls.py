"""TLS of a listener, with certificates that can be replaced while connections go on.

The context that the listener is opened with never changes and holds no certificate: for each handshake its server-name
callback puts the context of the moment in its place.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway_core.config import ListenTlsConfig
from gateway_core.errors import GatewayError

_VERIFY_MODES: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class CertificateError(GatewayError):
    """A certificate, key or authority file that cannot be used; the message names the file."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """The certificates of one listener at one time."""

    default: ssl.SSLContext
    by_name: Mapping[str, ssl.SSLContext]
    """By lower-cased server name; ``*.example.com`` covers one label."""
    verify_mode: ssl.VerifyMode
    digest: str
    """Tells whether the files have changed."""

    def choose(self, server_name: str | None) -> ssl.SSLContext:
        """Return the context for the name that a client asks for."""
        if server_name:
            name = server_name.lower().rstrip(".")
            found = self.by_name.get(name) or self.by_name.get("*." + name.partition(".")[2])
            if found is not None:
                return found
        return self.default


def files_of(config: ListenTlsConfig) -> tuple[Path, ...]:
    """Return every file that the listener's TLS reads."""
    names = [config.cert, config.key, config.client_ca]
    for certificate in config.certificates:
        names += [certificate.cert, certificate.key]
    return tuple(Path(name) for name in names if name)


def load_certificates(config: ListenTlsConfig) -> Certificates:
    """Read the files of a listener's TLS. Blocks.

    :raises CertificateError: one of them is missing, unreadable or not what it should be.
    """
    digest = _digest(files_of(config))
    pairs = [(entry.cert, entry.key) for entry in config.certificates]
    if config.cert:
        pairs.insert(0, (config.cert, config.key))
    contexts = [_context(cert, key, config) for cert, key in pairs]
    by_name: dict[str, ssl.SSLContext] = {}
    for (cert, _), context in zip(pairs, contexts, strict=True):
        for name in server_names(cert):
            by_name.setdefault(name, context)
    return Certificates(contexts[0], by_name, _VERIFY_MODES[config.verifies_clients], digest)


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(file.read_bytes())
        except OSError as error:
            raise CertificateError(f"cannot read {str(file)!r}: {(error.strerror or str(error)).lower()}") from error
    return digest.hexdigest()


def _context(cert: str, key: str, config: ListenTlsConfig) -> ssl.SSLContext:
    context = _plain_context()
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise CertificateError(
            f"certificate {cert!r} with key {key!r} cannot be used: {_reason(error)}: "
            "give PEM files that belong together, the key without a password"
        ) from error
    if config.client_ca:
        try:
            context.load_verify_locations(config.client_ca)
        except (ssl.SSLError, ValueError) as error:
            raise CertificateError(f"client_ca {config.client_ca!r} is not a PEM file of certificates") from error
        context.verify_mode = _VERIFY_MODES[config.verifies_clients]
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _reason(error: Exception) -> str:
    return (getattr(error, "reason", None) or str(error)).lower().replace("_", " ")


def _plain_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def server_names(cert: str) -> list[str]:
    """Return the DNS names that a certificate file is for, lower-cased.

    :raises CertificateError: it is not a certificate.
    """
    try:
        # Undocumented, and all that the standard library has to read a certificate that no peer sent.
        decoded: Mapping[str, Any] = ssl._ssl._test_decode_cert(cert)  # type: ignore[attr-defined]  # noqa: SLF001
    except (ssl.SSLError, OSError) as error:
        raise CertificateError(f"{cert!r} is not a PEM certificate: {_reason(error)}") from error
    names = [value for kind, value in decoded.get("subjectAltName", ()) if kind == "DNS"]
    if not names:
        names = [value for part in decoded.get("subject", ()) for kind, value in part if kind == "commonName"]
    return [name.lower() for name in names]


class ListenerTls:
    """What a listener is opened with; `replace` changes its certificates for the handshakes to come."""

    def __init__(self, certificates: Certificates) -> None:
        self.context = _plain_context()
        self.context.sni_callback = self._on_server_name
        self.replace(certificates)

    def replace(self, certificates: Certificates) -> None:
        """Use these from the next handshake on."""
        self.certificates = certificates
        # Whether a certificate is asked for is decided by the context that the handshake began with.
        self.context.verify_mode = certificates.verify_mode
        if certificates.verify_mode is not ssl.CERT_NONE:
            # A resumed session would pass with a client certificate that is no longer trusted.
            self.context.options |= ssl.OP_NO_TICKET
            self.context.num_tickets = 0

    def _on_server_name(
        self, connection: ssl.SSLObject | ssl.SSLSocket, server_name: str | None, _context: ssl.SSLContext
    ) -> None:
        connection.context = self.certificates.choose(server_name)
