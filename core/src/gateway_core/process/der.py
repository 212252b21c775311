"""DER, as far as `ssl` cannot tell what is in a file: elements of certificates and revocation lists (X.690)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

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
