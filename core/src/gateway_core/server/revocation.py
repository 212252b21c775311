"""Certificate revocation lists, as far as `ssl` cannot tell what is in them: who looks at one wants to know its end.

Only the outermost structure is read (RFC 5280 section 5.1); OpenSSL verifies signatures and looks up serial numbers.
"""

from __future__ import annotations

import binascii
import re
from datetime import UTC, datetime
from typing import Final

from gateway_core.errors import GatewayError

_PEM: Final = re.compile(rb"-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]+)-----END X509 CRL-----")
_INTEGER: Final = 0x02
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18


class NotARevocationListError(GatewayError):
    """A text that holds no revocation list."""


def revocation_lists(pem: bytes) -> list[datetime | None]:
    """Return until when each list of a PEM file is valid, None for those without an end.

    :raises NotARevocationListError: there is none, or one is broken.
    """
    blocks = _PEM.findall(pem)
    if not blocks:
        raise NotARevocationListError("no -----BEGIN X509 CRL----- in it")
    try:
        return [_next_update(binascii.a2b_base64(block)) for block in blocks]
    except (ValueError, IndexError) as error:
        raise NotARevocationListError("its DER is broken") from error


def _next_update(der: bytes) -> datetime | None:
    _, signed, _ = _element(der)
    _, rest, _ = _element(signed)
    tag, _, after = _element(rest)
    if tag == _INTEGER:  # version, which lists of version 1 leave out
        rest = after
    for _ in range(3):  # algorithm, issuer, this update
        _, _, rest = _element(rest)
    tag, value, _ = _element(rest) if rest else (0, b"", b"")
    if tag == _UTC_TIME:
        # Two digits of a year are 1950 to 2049 (RFC 5280 section 4.1.2.5.1).
        return _time(("20" if value[:2] < b"50" else "19") + value.decode("ascii"))
    return _time(value.decode("ascii")) if tag == _GENERALIZED_TIME else None


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """Return tag and content of the first element, and what is behind it."""
    tag, length, start = der[0], der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start])
    if start + length > len(der):
        raise ValueError("cut off")
    return tag, der[start : start + length], der[start + length :]
