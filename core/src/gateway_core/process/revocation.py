"""Certificate revocation lists, as far as `ssl` cannot tell what is in them: operators want to know when one ends.

Only the outermost structure is read (RFC 5280 section 5.1); OpenSSL verifies signatures and looks up serial numbers.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from gateway_core.errors import GatewayError
from gateway_core.process.der import pem_blocks, read_element, skip_elements

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
