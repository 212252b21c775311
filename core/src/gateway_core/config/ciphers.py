"""Cipher lists of TLS 1.2, as OpenSSL writes them."""

from __future__ import annotations

import re
import ssl
from typing import Final

_NEVER: Final = ":!aNULL:!eNULL"
"""Ciphers without authentication or encryption, which lists like ``HIGH`` contain."""
_REMOVES: Final = ("!", "-")
_COMMANDS: Final = ("+", "@")


def openssl_ciphers(value: str) -> str:
    """Return what OpenSSL gets for a configured list.

    :raises ValueError: an entry names no cipher, or none is left.
    """
    # OpenSSL ignores names that it does not know as long as one is left: a typo would go unnoticed.
    for entry in re.split(r"[:, ;]+", value.strip()):
        if entry and not entry.startswith((*_REMOVES, *_COMMANDS)) and not _selects(entry):
            hint = "use names that `openssl ciphers` prints"
            if entry.startswith("TLS_"):
                hint = "TLS 1.3 has suites of its own, which are always on: leave it out"
            raise ValueError(f'"{entry}" is no cipher of TLS 1.2: {hint}')
    ciphers = value.strip() + _NEVER
    if not _selects(ciphers):
        raise ValueError(f'"{value}" leaves no cipher with encryption and authentication: name at least one')
    return ciphers


def _selects(ciphers: str) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.set_ciphers(ciphers)
    except ssl.SSLError:
        return False
    return True
