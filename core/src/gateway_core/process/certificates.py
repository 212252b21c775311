"""The certificates of a listener, read from their files.

An OpenSSL context holds one certificate of each kind of key (RSA, ECDSA, Ed25519 ...) and shows each client the one
that it can use. So the certificates for one name that have different kinds of keys share a context.

Certificates that extensions provide change one at a time, while there may be hundreds of them: what was read of one
that is still there is used again (`load_certificates`).
"""

from __future__ import annotations

import hashlib
import ssl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
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
from gateway_core.process.der import NotARevocationListError, kind_of_key, revocation_lists

_VERIFY_MODES: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


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
    settings: str = ""
    """Digest of what every context depends on: the settings, and the files that clients are verified with."""
    provided: Mapping[bytes, _Read] = field(default_factory=dict, repr=False)
    """What was read of certificates that extensions have yielded, by digest."""

    def is_made_of(self, provided: Sequence[Certificate]) -> bool:
        """Whether these have what extensions have yielded, rather than what they had yielded before."""
        refused = frozenset(name.lower() for each in provided if not each.chain for name in each.names)
        return refused == self.refused and self.provided.keys() == {_key(each) for each in provided if each.chain}

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


def load_certificates(
    config: ListenTlsConfig, provided: Sequence[Certificate] = (), before: Certificates | None = None
) -> Certificates:
    """Read the files of a listener's TLS. Blocks.

    Without any certificate, as long as none was provided yet, every handshake is refused.

    :param provided: certificates that extensions have yielded.
    :param before: those of the same listener until now: provided ones that are among them are not read again.
    :raises CertificateError: one of them is missing, unreadable or not what it should be.
    """
    digest = hashlib.sha256(repr(config).encode())
    # The settings too: client_auth may be switched on while every file stays as it is.
    for file in (config.client_ca, config.client_crl):
        digest.update(_content(file) if file else b"")
    settings = digest.hexdigest()
    pairs = [(config.cert, config.key), *((entry.cert, entry.key) for entry in config.certificates)]
    pairs = [pair for pair in pairs if pair[0]]  # those of extensions have no files
    for pair in pairs:
        for file in pair:
            digest.update(_content(file))
    served = [_read(pair, server_names(pair[0]), config) for pair in pairs]

    kept = before.provided if before is not None and before.settings == settings else {}
    read: dict[bytes, _Read] = {}
    for each in provided:
        key = _key(each)
        digest.update(key)
        if each.chain:
            read[key] = kept.get(key) or read.get(key) or _read_provided(each, config)
            served.append(read[key])

    by_name = _by_name(served, config)
    first = served[0] if served else None
    default = plain_context(config) if first is None else next((by_name[name] for name in first.names), first.context)
    found = [validity for each in served for validity in each.validities]
    refused = frozenset(name.lower() for each in provided if not each.chain for name in each.names)
    return Certificates(
        default, by_name, config, digest.hexdigest(), _revocation_ends(config), found, refused, settings, read
    )


def _key(certificate: Certificate) -> bytes:
    return hashlib.sha256(repr(certificate.names).encode() + certificate.chain + certificate.key).digest()


_Pair = tuple[str, str]
"""Files of a certificate and its key."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of one certificate."""

    names: Sequence[str]
    """What it is served for."""
    kind: str
    """Of its key."""
    validities: Sequence[Validity]
    context: ssl.SSLContext
    """Holds this certificate alone."""
    origin: _Pair | Certificate

    @property
    def file(self) -> str:
        """That of the certificate; empty if an extension has provided it."""
        return "" if isinstance(self.origin, Certificate) else self.origin[0]


def _read(pair: _Pair, names: Sequence[str], config: ListenTlsConfig, origin: Certificate | None = None) -> _Read:
    context = _context([pair], config)
    found = tuple(validities(next(iter(names), ""), _decoded(pair[0]), issuers_in(pair[0])))
    return _Read(names, key_kind(pair[0]), found, context, origin or pair)


def _read_provided(certificate: Certificate, config: ListenTlsConfig) -> _Read:
    with _as_files(certificate) as pair:
        try:
            server_names(pair[0])
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*pair, password=_no_password)
        except (CertificateError, ssl.SSLError, ValueError) as error:
            reason = "it is not PEM" if isinstance(error, CertificateError) else tls_reason(error)
            names = ", ".join(certificate.names) or "no name"
            raise CertificateError(
                f"the certificate for {names} that was provided cannot be used: {reason}",
                remedy="its chain and key in PEM have to belong together, the key without a password",
            ) from error
        return _read(pair, [name.lower() for name in certificate.names], config, certificate)


@contextmanager
def _as_files(origin: _Pair | Certificate) -> Iterator[_Pair]:
    """Give a provided certificate a file for a moment, of this user alone: OpenSSL loads nothing else."""
    if not isinstance(origin, Certificate):
        yield origin
        return
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(origin.chain.rstrip() + b"\n" + origin.key)
        file.flush()
        yield file.name, file.name


def _by_name(served: Sequence[_Read], config: ListenTlsConfig) -> dict[str, ssl.SSLContext]:
    """Return the context for each name; for each kind of key, the first certificate that is listed serves.

    One that an extension has yielded may be superfluous: what it yields next need not be.

    :raises CertificateError: a configured one serves for none of its names.
    """
    found: dict[str, dict[str, _Read]] = {}
    for each in served:
        earlier = [found[name][each.kind] for name in each.names if each.kind in found.get(name, ())]
        if each.names and len(earlier) == len(each.names) and each.file:
            raise CertificateError(
                f"{each.file!r} is a second {each.kind} certificate for {each.names[0]!r} beside "
                f"{earlier[0].file!r}, and would never be shown",  # configured ones come first
                remedy="leave one out; only certificates with other kinds of keys serve beside each other",
            )
        for name in each.names:
            found.setdefault(name, {}).setdefault(each.kind, each)
    shared: dict[tuple[int, ...], ssl.SSLContext] = {}

    def context_of(members: Sequence[_Read]) -> ssl.SSLContext:
        if len(members) == 1:
            return members[0].context
        key = tuple(id(member) for member in members)
        if key not in shared:
            with ExitStack() as files:
                shared[key] = _context([files.enter_context(_as_files(each.origin)) for each in members], config)
        return shared[key]

    return {name: context_of(list(members.values())) for name, members in found.items()}


def _content(file: str) -> bytes:
    try:
        return read_regular(file)
    except OSError as error:
        raise CertificateError(f"cannot read {str(file)!r}: {(error.strerror or str(error)).lower()}") from error


def _context(pairs: Sequence[_Pair], config: ListenTlsConfig) -> ssl.SSLContext:
    context = plain_context(config)
    for pair in pairs:
        load_into(context, *pair)
    load_into(context, client_ca=config.client_ca or "")
    if config.client_crl:
        try:
            revocation_lists(read_regular(config.client_crl))
            context.load_verify_locations(config.client_crl)
        except (NotARevocationListError, ssl.SSLError, ValueError) as error:
            raise CertificateError(f"client_crl {config.client_crl!r} is not a PEM file of revocation lists") from error
    return context


def load_into(context: ssl.SSLContext, cert: str = "", key: str = "", client_ca: str = "") -> None:
    """Give a context a certificate with its key, or authorities for those of clients. Blocks.

    :raises CertificateError: the files cannot be used; a key with a password is one, which nothing here can ask for.
    :raises OSError: one cannot be read.
    """
    try:
        if cert:
            context.load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise CertificateError(
            f"certificate {cert!r} with key {key!r} cannot be used: {tls_reason(error, cert, key)}",
            remedy="give PEM files that belong together, the key without a password",
        ) from error
    try:
        if client_ca:
            context.load_verify_locations(client_ca)
    except (ssl.SSLError, ValueError) as error:
        raise CertificateError(f"client_ca {client_ca!r} is not a PEM file of certificates") from error


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
        kind = kind_of_key(read_regular(Path(cert)))
    except (OSError, ValueError) as error:
        raise CertificateError(f"{cert!r} is not a PEM certificate: {tls_reason(error, cert)}") from error
    if kind is None:
        raise CertificateError(f"{cert!r} is not a PEM certificate")
    return kind
