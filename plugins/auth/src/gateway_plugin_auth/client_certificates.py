"""The certificate that a client proved to have: of the connection, or in a field of a trusted proxy."""

from __future__ import annotations

import base64
import re
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway_plugin_sdk import Request
from gateway_tokens.confirmation import base64url, certificate_thumbprint

_HASH: Final = re.compile(r"[0-9A-Fa-f]{64}")
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_LONGEST: Final = 32768


def presented_thumbprint(request: Request, header: str | None) -> str | None:
    """Return the thumbprint (``x5t#S256``) of the client's certificate, or None if it presented none.

    :param header: the field that has it; the gateway removes it from all that is not sent by a trusted proxy.
    """
    if header is None:
        tls = request.tls
        return certificate_thumbprint(tls.certificate) if tls is not None and tls.certificate is not None else None
    values = request.headers.get_all(header)
    if len(values) != 1 or len(values[0]) > _LONGEST:
        return None
    return _of_elements(values[0]) if header == "X-Forwarded-Client-Cert" else _of_certificate(values[0])


def _of_elements(value: str) -> str | None:
    """Return the thumbprint that Envoy's field has; several elements would be those of several hops."""
    pairs = _pairs(value)
    if pairs is None:
        return None
    hashes = [text for name, _, text in (pair.partition("=") for pair in pairs) if name.lower() == "hash"]
    if len(hashes) != 1 or _HASH.fullmatch(hashes[0]) is None:
        return None
    return base64url(bytes.fromhex(hashes[0]))


def _pairs(value: str) -> list[str] | None:
    """Part an element at its semicolons; None if there are several elements, or a quote does not end.

    What is in quotes, such as ``Subject``, is what the client had put into its certificate.
    """
    pairs, begin = [], 0
    is_quoted = is_escaped = False
    for index, character in enumerate(value):
        if is_escaped:
            is_escaped = False
        elif is_quoted and character == "\\":
            is_escaped = True
        elif character == '"':
            is_quoted = not is_quoted
        elif character == "," and not is_quoted:
            return None
        elif character == ";" and not is_quoted:
            pairs.append(value[begin:index])
            begin = index + 1
    return None if is_quoted else [*pairs, value[begin:]]


def _of_certificate(value: str) -> str | None:
    """Return the thumbprint of a certificate: in PEM, or in base64 (between colons, RFC 9440), escaped or not."""
    data = unquote_to_bytes(value.strip())
    pem = _PEM.fullmatch(data.strip())
    if pem is not None:
        data = b"".join(pem[1].split())
    elif len(data) > 2 and data[:1] == data[-1:] == b":":
        data = data[1:-1]
    try:
        certificate = base64.b64decode(data, validate=True)
    except ValueError:
        return None
    return certificate_thumbprint(certificate) if certificate else None
