"""The certificates of a listener, read from their files.

An OpenSSL context holds one certificate of each kind of key (RSA, ECDSA, Ed25519 ...) and shows each client the one
that it can use. So the certificates for one name that have different kinds of keys share a context.

`ssl` gives neither the kind of a key nor when a revocation list ends. For these the DER (X.690) of certificates and
lists is read, as far as their outermost structure (RFC 5280 sections 4.1 and 5.1); OpenSSL verifies signatures and
looks up serial numbers.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import ssl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway_core.client_tls import tls_reason
from gateway_core.config import ListenConfig, ListenTlsConfig
from gateway_core.config.documents import read_regular
from gateway_core.config.models.listen import openssl_ciphers
from gateway_core.errors import GatewayError
from gateway_core.hooks import Certificate
from gateway_core.process.certificate_expiry import Validity, issuers_in, validities

_VERIFY_MODES: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_EXPLICIT_VERSION: Final = 0xA0
_KEY_KINDS: Final = {
    bytes.fromhex("2a864886f70d010101"): "RSA",
    bytes.fromhex("2a864886f70d01010a"): "RSA-PSS",
    bytes.fromhex("2a8648ce3d0201"): "ECDSA",
    bytes.fromhex("2b6570"): "Ed25519",
    bytes.fromhex("2b6571"): "Ed448",
}
"""Algorithm of the key, as an object identifier (RFC 3279 section 2.3, RFC 4055, RFC 8410), by the name of its kind."""


class CertificateError(GatewayError):
    """A certificate, key or authority file that cannot be used; the reason names the file."""

    listener: ListenConfig | None = None
    """Whose it is, where that is known."""

    def __init__(self, reason: str, *, remedy: str = "") -> None:
        super().__init__(f"{reason}: {remedy}" if remedy else reason)
        self.reason = reason
        self.remedy = remedy


class Flaw(NamedTuple):
    """What is wrong with files that can be used: a code of `gateway_core.config.codes`, and a key of ``tls``."""

    code: str
    key: str
    text: str


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
    validities: Sequence[Validity] = ()
    """From when until when each certificate is valid (`certificate_expiry`)."""
    refused: frozenset[str] = frozenset()  # names that have no certificate yet, and get no other one

    def flaws(self, now: float) -> Iterator[Flaw]:
        """Yield what is wrong with files that can be used, at a time in seconds since the epoch."""
        if now >= self.revocation_ends:
            text = f"client_crl {self.config.client_crl!r} has expired, and every client is refused: fetch a new list"
            yield Flaw("tls.revocation-expired", "client_crl", text)
        for name, _, expiry in self.validities:
            if now >= expiry:
                text = f"the certificate for {name} has expired on {datetime.fromtimestamp(expiry, UTC):%Y-%m-%d}"
                yield Flaw("tls.certificate-expired", "", f"{text}, and clients refuse it: renew it")

    def choose(self, server_name: str | None) -> ssl.SSLContext | None:
        """Return the context for the name that a client asks for; None if it is to be refused."""
        if server_name:
            name = server_name.lower().rstrip(".")
            found = self.by_name.get(name) or self.by_name.get(wild := "*." + name.partition(".")[2])
            if found is not None or not self.refused.isdisjoint((name, wild)):
                return found
        return None if self.config.strict_sni else self.default


def files_of(config: ListenTlsConfig) -> tuple[Path, ...]:
    """Return every file that the listener's TLS reads."""
    names = [config.cert, config.key, config.client_ca, config.client_crl]
    for certificate in config.certificates:
        names += [certificate.cert, certificate.key]  # both are empty for those of extensions
    return tuple(Path(name) for name in names if name)


def load_certificates(config: ListenTlsConfig, provided: Sequence[Certificate] = ()) -> Certificates:
    """Read the files of a listener's TLS. Blocks.

    Without any certificate, as long as none was provided yet, every handshake is refused.

    :param provided: certificates that extensions have yielded.
    :raises CertificateError: one of them is missing, unreadable or not what it should be.
    """
    with ExitStack() as files:
        pairs = [(config.cert, config.key), *((entry.cert, entry.key) for entry in config.certificates)]
        named = [_Named(pair, server_names(pair[0])) for pair in pairs if pair[0]]
        named += [
            _Named(files.enter_context(_as_files(each)), [name.lower() for name in each.names], is_provided=True)
            for each in provided
            if each.chain
        ]
        refused = frozenset(name.lower() for each in provided if not each.chain for name in each.names)
        return replace(_load(config, named, _digest(config, provided)), refused=refused)


class _Named(NamedTuple):
    """A certificate with the names that it is served for."""

    pair: _Pair
    names: Sequence[str]
    is_provided: bool = False
    """Whether an extension has yielded it."""


@contextmanager
def _as_files(certificate: Certificate) -> Iterator[_Pair]:
    """Give a certificate a file for a moment, of this user alone: OpenSSL loads nothing else."""
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(certificate.chain.rstrip() + b"\n" + certificate.key)
        file.flush()
        try:
            server_names(file.name)
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file.name, password=_no_password)
        except (CertificateError, ssl.SSLError, ValueError) as error:
            reason = "it is not PEM" if isinstance(error, CertificateError) else tls_reason(error)
            names = ", ".join(certificate.names) or "no name"
            raise CertificateError(
                f"the certificate for {names} that was provided cannot be used: {reason}",
                remedy="its chain and key in PEM have to belong together, the key without a password",
            ) from error
        yield file.name, file.name


def _load(config: ListenTlsConfig, named: Sequence[_Named], digest: str) -> Certificates:
    if not named:
        return Certificates(plain_context(config), {}, config, digest, _revocation_ends(config))
    pairs = [each.pair for each in named]
    contexts: dict[tuple[_Pair, ...], ssl.SSLContext] = {}

    def context_of(members: Sequence[_Pair]) -> ssl.SSLContext:
        key = tuple(members)
        if key not in contexts:
            contexts[key] = _context(key, config)
        return contexts[key]

    for pair in pairs:
        context_of([pair])  # each is looked at by itself, so that an error names it
    sharing = _by_name_and_kind(named)
    by_name = {name: context_of(list(members.values())) for name, members in sharing.items()}
    default = next((by_name[name] for name in named[0].names), None) or context_of([pairs[0]])
    found = [
        validity
        for each in named
        for validity in validities(next(iter(each.names), ""), _decoded(each.pair[0]), issuers_in(each.pair[0]))
    ]
    return Certificates(default, by_name, config, digest, _revocation_ends(config), found)


_Pair = tuple[str, str]
"""Files of a certificate and its key."""


def _by_name_and_kind(certificates: Sequence[_Named]) -> dict[str, dict[str, _Pair]]:
    """Return the certificate for each name and kind of key; the first that is listed serves.

    One that an extension has yielded may be superfluous: what it yields next need not be.

    :raises CertificateError: a configured one serves for none of its names.
    """
    found: dict[str, dict[str, _Pair]] = {}
    for pair, names, is_provided in certificates:
        kind = key_kind(pair[0])
        earlier = [found[name][kind] for name in names if kind in found.get(name, ())]
        if names and len(earlier) == len(names) and not is_provided:
            raise CertificateError(
                f"{pair[0]!r} is a second {kind} certificate for {names[0]!r} beside {earlier[0][0]!r}, and would "
                "never be shown",
                remedy="leave one out; only certificates with other kinds of keys serve beside each other",
            )
        for name in names:
            found.setdefault(name, {}).setdefault(kind, pair)
    return found


def _digest(config: ListenTlsConfig, provided: Sequence[Certificate]) -> str:
    # The settings too: client_auth may be switched on while every file stays as it is.
    digest = hashlib.sha256(repr(config).encode())
    for file in files_of(config):
        try:
            digest.update(read_regular(file))
        except OSError as error:
            raise CertificateError(f"cannot read {str(file)!r}: {(error.strerror or str(error)).lower()}") from error
    for certificate in provided:
        digest.update(repr(certificate.names).encode() + certificate.chain + certificate.key)
    return digest.hexdigest()


def _context(pairs: Sequence[_Pair], config: ListenTlsConfig) -> ssl.SSLContext:
    context = plain_context(config)
    for cert, key in pairs:
        try:
            context.load_cert_chain(cert, key, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            raise CertificateError(
                f"certificate {cert!r} with key {key!r} cannot be used: {tls_reason(error, cert, key)}",
                remedy="give PEM files that belong together, the key without a password",
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


def plain_context(config: ListenTlsConfig, blank: ssl.SSLContext | None = None) -> ssl.SSLContext:
    """Return a context with the settings of a listener, and without certificates.

    :param blank: the one that gets them; a new one unless given.
    """
    context = blank or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    if config.ciphers:
        context.set_ciphers(openssl_ciphers(config.ciphers))
    context.verify_mode = _VERIFY_MODES[config.verifies_clients]
    if context.verify_mode is not ssl.CERT_NONE:
        # A ticket could not be used (see `gateway_core.process.tls`), so none is sent.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    if config.client_crl:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    return context


def server_names(cert: str) -> list[str]:
    """Return the DNS names that a certificate file is for, lower-cased.

    :raises CertificateError: it is not a certificate.
    """
    decoded = _decoded(cert)
    names = [value for kind, value in decoded.get("subjectAltName", ()) if kind == "DNS"]
    if not names:
        names = [value for part in decoded.get("subject", ()) for kind, value in part if kind == "commonName"]
    return [name.lower() for name in names]


def _decoded(cert: str) -> Mapping[str, Any]:
    try:
        # Undocumented, and all that the standard library has to read a certificate that no peer sent.
        decoded: Mapping[str, Any] = ssl._ssl._test_decode_cert(cert)  # type: ignore[attr-defined]  # noqa: SLF001
    except (ssl.SSLError, OSError) as error:
        raise CertificateError(f"{cert!r} is not a PEM certificate: {tls_reason(error, cert)}") from error
    return decoded


def key_kind(cert: str) -> str:
    """Return the kind of key of a certificate file, such as ``RSA``; an object identifier in hexadecimal if unknown.

    :raises CertificateError: it is not a certificate.
    """
    try:
        for block in pem_blocks(read_regular(Path(cert)), "(?:TRUSTED |X509 )?CERTIFICATE"):
            # Certificate, TBSCertificate, SubjectPublicKeyInfo, AlgorithmIdentifier (RFC 5280 section 4.1).
            fields = read_element(read_element(block).content).content
            before = 6 if read_element(fields).tag == _EXPLICIT_VERSION else 5
            algorithm = read_element(read_element(skip_elements(fields, before)).content).content
            identifier = read_element(algorithm).content
            return _KEY_KINDS.get(identifier, identifier.hex())
    except (OSError, ValueError) as error:
        raise CertificateError(f"{cert!r} is not a PEM certificate: {tls_reason(error, cert)}") from error
    raise CertificateError(f"{cert!r} is not a PEM certificate")


_PEM: Final = r"-----BEGIN {0}-----([A-Za-z0-9+/=\s]+)-----END {0}-----"


class Element(NamedTuple):
    """One element, and what is behind it."""

    tag: int
    content: bytes
    rest: bytes


def read_element(data: bytes) -> Element:
    """Return the first element.

    :raises ValueError: it is cut off.
    """
    if len(data) < 2:
        raise ValueError("cut off")
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start])
    if start + length > len(data):
        raise ValueError("cut off")
    return Element(tag, data[start : start + length], data[start + length :])


def skip_elements(data: bytes, count: int) -> bytes:
    """Return what is behind so many elements.

    :raises ValueError: one of them is cut off.
    """
    for _ in range(count):
        data = read_element(data).rest
    return data


def pem_blocks(pem: bytes, label: str) -> Iterator[bytes]:
    """Yield the DER of the blocks with a label, such as ``CERTIFICATE``.

    :raises ValueError: one of them is no Base64.
    """
    for block in re.findall(_PEM.format(label).encode(), pem):
        yield binascii.a2b_base64(block)


_INTEGER: Final = 0x02
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18


class NotARevocationListError(GatewayError):
    """A text that holds no revocation list."""


def revocation_lists(pem: bytes) -> list[datetime | None]:
    """Return until when each list of a PEM file is valid, None for those without an end.

    :raises NotARevocationListError: there is none, or one is broken.
    """
    try:
        ends = [_next_update(block) for block in pem_blocks(pem, "X509 CRL")]
    except ValueError as error:
        raise NotARevocationListError("its DER is broken") from error
    if not ends:
        raise NotARevocationListError("no -----BEGIN X509 CRL----- in it")
    return ends


def _next_update(der: bytes) -> datetime | None:
    fields = read_element(read_element(der).content).content
    if read_element(fields).tag == _INTEGER:  # version, which lists of version 1 leave out
        fields = skip_elements(fields, 1)
    fields = skip_elements(fields, 3)  # algorithm, issuer, this update
    if not fields:
        return None
    tag, value, _ = read_element(fields)
    if tag == _UTC_TIME:
        # Two digits of a year are 1950 to 2049 (RFC 5280 section 4.1.2.5.1).
        return _time(("20" if value[:2] < b"50" else "19") + value.decode("ascii"))
    return _time(value.decode("ascii")) if tag == _GENERALIZED_TIME else None


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
