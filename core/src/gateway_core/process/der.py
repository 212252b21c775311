"""As much of PEM and DER (X.690) as `ssl` leaves out: the kind of a certificate's key, and when a revocation list ends.

Only the outermost structure of certificates and lists is read (RFC 5280 sections 4.1 and 5.1); OpenSSL verifies
signatures and looks up serial numbers.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from gateway_core.errors import GatewayError

_EXPLICIT_VERSION: Final = 0xA0
_KEY_KINDS: Final = {
    bytes.fromhex("2a864886f70d010101"): "RSA",
    bytes.fromhex("2a864886f70d01010a"): "RSA-PSS",
    bytes.fromhex("2a8648ce3d0201"): "ECDSA",
    bytes.fromhex("2b6570"): "Ed25519",
    bytes.fromhex("2b6571"): "Ed448",
}
"""Algorithm of the key, as an object identifier (RFC 3279 section 2.3, RFC 4055, RFC 8410), by the name of its kind."""

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


def kind_of_key(pem: bytes) -> str | None:
    """Return the kind of key of the first certificate, such as ``RSA``; an object identifier in hexadecimal if unknown.

    :returns: None if there is no certificate.
    :raises ValueError: it is broken.
    """
    for block in pem_blocks(pem, "(?:TRUSTED |X509 )?CERTIFICATE"):
        # Certificate, TBSCertificate, SubjectPublicKeyInfo, AlgorithmIdentifier (RFC 5280 section 4.1).
        fields = read_element(read_element(block).content).content
        before = 6 if read_element(fields).tag == _EXPLICIT_VERSION else 5
        algorithm = read_element(read_element(skip_elements(fields, before)).content).content
        identifier = read_element(algorithm).content
        return _KEY_KINDS.get(identifier, identifier.hex())
    return None


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
