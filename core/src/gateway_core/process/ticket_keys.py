"""Session tickets that every worker can read.

OpenSSL encrypts session tickets (RFC 5077, RFC 8446 section 4.6.1) with random keys of the context that a handshake
began with. Workers have contexts of their own, so a client that comes to another worker than the last time would shake
hands in full. So the keys of a context are derived from one secret of all workers and from what the context was made
of: they are the same in each worker, and others as soon as a file or a setting of the listener changes.

Python has no call for that. OpenSSL's own is reached by ctypes: a context of CPython begins with its ``SSL_CTX``. Where
that is not known to be so, or the library's functions are not to be had (Python linked with it statically), the keys
stay random: clients shake hands in full where they come to another worker, and nothing else changes.
"""

from __future__ import annotations

import _ssl
import ctypes
import hmac
import ssl
import sys
from functools import cache
from typing import Any, Final

_SET_TICKET_KEYS: Final = 59
"""``SSL_CTRL_SET_TLSEXT_TICKET_KEYS`` of tls1.h."""

_KEYS_BYTES: Final = 80
"""Name, HMAC key and AES key (SSL_CTX_set_tlsext_ticket_keys(3)) from OpenSSL 1.1.0 on."""

_LAST_KNOWN: Final = (3, 13)
"""CPython's last version whose contexts are known to begin with their ``SSL_CTX``."""


def share_ticket_keys(context: ssl.SSLContext, secret: bytes, digest: str) -> bool:
    """Have a context use ticket keys that are the same in every process with this secret; False if it cannot.

    :param digest: tells apart what sessions must not be shared between.
    """
    control = _control()
    if control is None:
        return False
    keys = b"".join(hmac.digest(secret, b"ticket %d %b" % (part, digest.encode()), "sha256") for part in range(3))
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    return bool(control(pointer, _SET_TICKET_KEYS, _KEYS_BYTES, keys[:_KEYS_BYTES]) == 1)


@cache
def _control() -> Any:
    """Return ``SSL_CTX_ctrl`` of the library that the ssl module uses; None if it is not to be had."""
    file = getattr(_ssl, "__file__", None)
    if sys.implementation.name != "cpython" or sys.version_info[:2] > _LAST_KNOWN or not file:
        return None
    try:
        control = ctypes.CDLL(file).SSL_CTX_ctrl  # of the library that this module is linked with
    except (OSError, AttributeError):
        return None
    control.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p]
    control.restype = ctypes.c_long
    return control
