"""TLS of a listener, with certificates that can be replaced while connections go on.

A listener is opened with a context that makes no connection itself (`_Dispatcher`): each handshake begins with a *base*
context, which holds no certificate and whose server-name callback puts the context of the moment in its place.

OpenSSL keeps sessions (its cache and the keys of its tickets) in the context that a handshake began with, the base, and
leaves `verify_mode`, options and versions at the base's values when the callback puts another in its place. A resumed
session shows no certificate again, so trust must never outlive a base:

- `ListenerTls.replace` makes a new base, so nothing is resumed that began under other settings;
- where client certificates are asked for each handshake gets a base of its own, so nothing is resumed at all. Neither
  `OP_NO_TICKET` nor `num_tickets` would do: TLS 1.2 also resumes by session id from the context's cache, which Python
  cannot switch off.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final

from gateway_core.config import ListenTlsConfig
from gateway_core.config.ciphers import openssl_ciphers
from gateway_core.config.regular_files import read_regular
from gateway_core.errors import GatewayError
from gateway_core.server.revocation import NotARevocationListError, revocation_lists

_VERIFY_MODES: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class CertificateError(GatewayError):
    """A certificate, key or authority file that cannot be used; the message names the file."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """The certificates of one listener at one time."""

    default: ssl.SSLContext
    by_name: Mapping[str, ssl.SSLContext]
    """By lower-cased server name; ``*.example.com`` covers one label."""
    config: ListenTlsConfig
    digest: str
    """Tells whether the files or the settings have changed."""
    revocation_ends: float = inf
    """When the first revocation list expires, in seconds since the epoch: from then on every client is refused."""

    def warning(self, now: float) -> str | None:
        """Say what is wrong with files that can be used."""
        if now < self.revocation_ends:
            return None
        return f"client_crl {self.config.client_crl!r} has expired, and every client is refused: fetch a new list"

    def choose(self, server_name: str | None) -> ssl.SSLContext | None:
        """Return the context for the name that a client asks for; None if it is to be refused."""
        if server_name:
            name = server_name.lower().rstrip(".")
            found = self.by_name.get(name) or self.by_name.get("*." + name.partition(".")[2])
            if found is not None:
                return found
        return None if self.config.strict_sni else self.default


def files_of(config: ListenTlsConfig) -> tuple[Path, ...]:
    """Return every file that the listener's TLS reads."""
    names = [config.cert, config.key, config.client_ca, config.client_crl]
    for certificate in config.certificates:
        names += [certificate.cert, certificate.key]
    return tuple(Path(name) for name in names if name)


def load_certificates(config: ListenTlsConfig) -> Certificates:
    """Read the files of a listener's TLS. Blocks.

    :raises CertificateError: one of them is missing, unreadable or not what it should be.
    """
    digest = _digest(config)
    pairs = [(entry.cert, entry.key) for entry in config.certificates]
    if config.cert:
        pairs.insert(0, (config.cert, config.key))
    contexts = [_context(cert, key, config) for cert, key in pairs]
    by_name: dict[str, ssl.SSLContext] = {}
    for (cert, _), context in zip(pairs, contexts, strict=True):
        for name in server_names(cert):
            by_name.setdefault(name, context)
    return Certificates(contexts[0], by_name, config, digest, _revocation_ends(config))


def _digest(config: ListenTlsConfig) -> str:
    # The settings too: client_auth may be switched on while every file stays as it is.
    digest = hashlib.sha256(repr(config).encode())
    for file in files_of(config):
        try:
            digest.update(read_regular(file))
        except OSError as error:
            raise CertificateError(f"cannot read {str(file)!r}: {(error.strerror or str(error)).lower()}") from error
    return digest.hexdigest()


def _context(cert: str, key: str, config: ListenTlsConfig) -> ssl.SSLContext:
    context = _plain_context(config)
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
    if config.client_crl:
        try:
            revocation_lists(read_regular(config.client_crl))
            context.load_verify_locations(config.client_crl)
        except (NotARevocationListError, ssl.SSLError, ValueError) as error:
            raise CertificateError(f"client_crl {config.client_crl!r} is not a PEM file of revocation lists") from error
    return context


def _revocation_ends(config: ListenTlsConfig) -> float:
    ends = revocation_lists(read_regular(config.client_crl)) if config.client_crl else []
    return min([end.timestamp() for end in ends if end is not None], default=inf)


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _reason(error: Exception) -> str:
    return (getattr(error, "reason", None) or str(error)).lower().replace("_", " ")


def _plain_context(config: ListenTlsConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    if config.ciphers:
        context.set_ciphers(openssl_ciphers(config.ciphers))
    context.verify_mode = _VERIFY_MODES[config.verifies_clients]
    if context.verify_mode is not ssl.CERT_NONE:
        # A ticket could not be used (see above), so none is sent.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    if config.client_crl:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
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


class _Dispatcher(ssl.SSLContext):
    """What a server is opened with: starts each connection with the base context of the moment."""

    listener: ListenerTls

    def wrap_bio(self, *args: Any, **keys: Any) -> ssl.SSLObject:
        """Begin a handshake; asyncio and uvloop call nothing else."""
        return self.listener.base_context().wrap_bio(*args, **keys)


class ListenerTls:
    """What a listener is opened with; `replace` changes its certificates for the handshakes to come."""

    certificates: Certificates
    _base: ssl.SSLContext

    def __init__(self, certificates: Certificates) -> None:
        self.context: ssl.SSLContext = self._dispatcher()
        self.replace(certificates)

    def _dispatcher(self) -> _Dispatcher:
        dispatcher = _Dispatcher(ssl.PROTOCOL_TLS_SERVER)
        dispatcher.listener = self
        return dispatcher

    def replace(self, certificates: Certificates) -> None:
        """Use these from the next handshake on; sessions that began before are not resumed."""
        self.certificates = certificates
        self._base = self._new_base()

    def base_context(self) -> ssl.SSLContext:
        """Return the context that the next handshake begins with."""
        if self._base.verify_mode is not ssl.CERT_NONE:
            return self._new_base()
        return self._base

    def _new_base(self) -> ssl.SSLContext:
        certificates = self.certificates
        base = _plain_context(certificates.config)

        def on_server_name(
            connection: ssl.SSLObject | ssl.SSLSocket, server_name: str | None, _context: ssl.SSLContext
        ) -> ssl.AlertDescription | None:
            # Of the same generation as the base: its settings and the authorities belong together.
            chosen = certificates.choose(server_name)
            if chosen is None:
                return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            connection.context = chosen
            return None

        base.sni_callback = on_server_name
        return base
