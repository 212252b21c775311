"""Keys, requests and certificates of our own making, and the sealing of what is stored where others can read."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.x509.oid import NameOID
from gateway_plugin_sdk import Certificate, GatewayError

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_ACME_IDENTIFIER: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
"""The extension of a validation's certificate (RFC 8737 section 3)."""
_LONGEST_COMMON_NAME: Final = 64


class UnusableCertificateError(GatewayError):
    """A certificate that cannot serve."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a certificate says of itself; times in seconds since the epoch."""

    names: tuple[str, ...]
    not_before: float
    not_after: float


def new_key(kind: str) -> PrivateKey:
    """Return a new key, such as ``ec256`` or ``rsa2048``."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(kind[3:]))
    return ec.generate_private_key(ec.SECP384R1() if kind == "ec384" else ec.SECP256R1())


def key_pem(key: PrivateKey) -> bytes:
    """Return a key in PEM, without a password."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate_request(names: Sequence[str], key: PrivateKey) -> bytes:
    """Return a request for a certificate in DER (RFC 2986)."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = request.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def self_signed(names: Sequence[str], key: PrivateKey, now: float, days: int = 7) -> Certificate:
    """Return a certificate that no client trusts, for a name that has none yet.

    :param now: seconds since the epoch.
    """
    return _signed(names, key, now, days, ())


def validation_certificate(name: str, key_authorization: str, key: PrivateKey, now: float) -> Certificate:
    """Return what proves to an authority that a name is ours (RFC 8737 section 3)."""
    digest = b"\x04\x20" + sha256(key_authorization.encode()).digest()  # an octet string of 32 bytes in DER
    return _signed([name], key, now, 1, (x509.UnrecognizedExtension(_ACME_IDENTIFIER, digest),))


def _signed(
    names: Sequence[str], key: PrivateKey, now: float, days: int, critical: Sequence[x509.UnrecognizedExtension]
) -> Certificate:
    today = datetime.fromtimestamp(now, UTC)
    common = names[0] if len(names[0]) <= _LONGEST_COMMON_NAME else "gateway"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(hours=1))
        .not_valid_after(today + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    )
    for extension in critical:
        builder = builder.add_extension(extension, critical=True)
    chain = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return Certificate(tuple(names), chain, key_pem(key))


def facts_of(chain: bytes) -> Facts:
    """Return what the first certificate of a chain says.

    :raises UnusableCertificateError: there is none.
    """
    certificate = _first(chain)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))
    except (x509.ExtensionNotFound, ValueError) as error:
        raise UnusableCertificateError(f"the certificate has no names: {error}") from error
    return Facts(found, certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp())


def check_issued(chain: bytes, key: bytes, names: Sequence[str], now: float) -> Facts:
    """Return what a certificate says that an authority has issued.

    :param now: seconds since the epoch.
    :raises UnusableCertificateError: it is not for the key or the names, or not valid now.
    """
    facts = facts_of(chain)
    check_fits(chain, key)
    if missing := sorted(set(names) - set(facts.names)):
        raise UnusableCertificateError(f"the certificate is not for {', '.join(missing)}")
    if not facts.not_before - 3600 <= now < facts.not_after:
        when = f"{datetime.fromtimestamp(facts.not_before, UTC):%Y-%m-%d} to "
        when += f"{datetime.fromtimestamp(facts.not_after, UTC):%Y-%m-%d}"
        raise UnusableCertificateError(f"the certificate is valid from {when}, which is not now: is the clock right?")
    return facts


def check_fits(chain: bytes, key: bytes) -> None:
    """Look whether a certificate is for a key.

    :raises UnusableCertificateError: it is not.
    """
    try:
        ours = serialization.load_pem_private_key(key, None).public_key()
        fits = _first(chain).public_key() == ours
    except (ValueError, TypeError) as error:
        raise UnusableCertificateError(f"the key cannot be read: {error}") from error
    if not fits:
        raise UnusableCertificateError("the certificate does not fit its key")


def renewal_identifier(chain: bytes) -> str | None:
    """Return what an authority knows a certificate by (RFC 9773 section 4.1); None if it names no issuer's key."""
    certificate = _first(chain)
    try:
        issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return None
    if issuer is None:
        return None
    serial = certificate.serial_number
    parts = (issuer, serial.to_bytes(serial.bit_length() // 8 + 1))  # DER: a leading zero keeps it positive
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _first(chain: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(chain)
    except ValueError as error:
        raise UnusableCertificateError(f"what the authority sent is no certificate: {error}") from error


class Seal:
    """Encrypts what is stored where others can read it; each value is bound to its key, so that none can be moved."""

    def __init__(self, secret: str) -> None:
        """Take a secret that all gateways have. Takes a tenth of a second."""
        salt = b"gateway-plugin-acme"  # the same for all gateways, which have nothing else in common
        self._cipher = AESGCM(Scrypt(salt=salt, length=32, n=2**14, r=8, p=1).derive(secret.encode()))

    def close(self, name: str, value: bytes) -> bytes:
        """Return a value encrypted."""
        nonce = os.urandom(12)
        return b"sealed1:" + nonce + self._cipher.encrypt(nonce, value, name.encode())

    def open(self, name: str, value: bytes) -> bytes:
        """Return what `close` was given.

        :raises GatewayError: it was encrypted with another secret, or changed.
        """
        mark, body = value[:8], value[8:]
        try:
            if mark != b"sealed1:":
                raise InvalidTag
            return self._cipher.decrypt(body[:12], body[12:], name.encode())
        except (InvalidTag, ValueError):
            raise GatewayError(f"{name!r} in the storage was not sealed with this storage.seal") from None
