"""TLS to etcd."""

from __future__ import annotations

import ssl


def tls_context(ca: str, cert: str, key: str) -> ssl.SSLContext | None:
    """Trust the authorities in a file (the system's unless given), and present a client certificate if there is one.

    :returns: None if no file is given: aiohttp has a context for that, made once, and another one would take 66 ms or
        more of a loop that serves.
    :raises ValueError: a file cannot be used.
    """
    if not (ca or cert or key):
        return None
    if key and not cert:
        raise ValueError("key is given without cert: give both, or neither")
    try:
        context = ssl.create_default_context(cafile=ca or None)
        if cert:
            context.load_cert_chain(cert, key or None)
    except OSError as error:
        raise ValueError(f"the files of ca, cert or key cannot be used: {error}") from None
    return context
