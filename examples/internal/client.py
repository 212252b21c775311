"""A client: ``python client.py PORT NAME SCOPE METHOD MESSAGE``, such as ``8443 shop stock:read Get apples``.

It also makes the token, as the token service of a company would, for the certificate of NAME.
"""

from __future__ import annotations

import base64
import hashlib
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import jwt

CERTIFICATES = Path(__file__).parent / "certificates"


def token(name: str, scope: str) -> str:
    """Make a token that only the client with this certificate can use."""
    certificate = ssl.PEM_cert_to_DER_cert((CERTIFICATES / f"{name}.crt").read_text())
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(certificate).digest()).rstrip(b"=").decode()
    now = int(time.time())  # noqa: TID251 - a program of its own
    claims = {"iss": "https://tokens.internal.example", "aud": "stock", "sub": name, "scope": scope}
    bound = {"iat": now, "exp": now + 300, "cnf": {"x5t#S256": thumbprint}}
    return jwt.encode({**claims, **bound}, (CERTIFICATES / "issuer.key").read_text(), "ES256")


def call(port: int, name: str, bearer: str, method: str, message: str) -> str:
    """Call the service through the gateway with the certificate of a name, and return what it responds."""
    files = ("ca.crt", f"{name}.key", f"{name}.crt")
    credentials = grpc.ssl_channel_credentials(*((CERTIFICATES / file).read_bytes() for file in files))
    with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
        stub: Any = channel.unary_unary(f"/stock.v1.Stock/{method}")
        response: bytes = stub(message.encode(), metadata=(("authorization", f"Bearer {bearer}"),), timeout=20)
    return response.decode()


if __name__ == "__main__":
    port, name, scope, method, message = sys.argv[1:]
    try:
        print(call(int(port), name, token(name, scope), method, message))
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
