"""The token that the demo prints."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

FAR_AWAY = 4102444800
"""2100-01-01: the demo's token has no secret to keep."""


def demo_token(secret: str) -> str:
    """Return a JSON Web Token (RFC 7519, HS256) of a user of the demo."""
    head = _encoded(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    claims = _encoded(json.dumps({"sub": "demo-user", "name": "Demo User", "exp": FAR_AWAY}).encode())
    signature = hmac.new(secret.encode(), f"{head}.{claims}".encode(), hashlib.sha256).digest()
    return f"{head}.{claims}.{_encoded(signature)}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
