"""Heads as hostile clients send them: valid on the wire, and anything within that."""

from __future__ import annotations

from typing import Any

from gateway_core.messages import Request
from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.wire.fields import TARGET_BYTES
from gateway_core.proxy.wire.request_head import RequestHead, read_head
from gateway_core.snapshot import Snapshot
from hypothesis import strategies as st

_VALUE_BYTES = [9, *range(32, 127), *range(128, 256)]
_NAMES = [
    "Accept",
    "Authorization",
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-Type",
    "Cookie",
    "DPoP",
    "Forwarded",
    "Origin",
    "Range",
    "RateLimit",
    "Referer",
    "Traceparent",
    "Tracestate",
    "User-Agent",
    "X-API-Key",
    "X-Cost",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Request-Id",
    "X-Tenant",
    "X-User",
]
_PIECES = [
    *("Bearer ", "Basic ", "Digest ", "NTLM ", "bearer", "eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJub25lIn0", "e30"),
    *("YWxpY2U6cGFzc3dvcmQ=", "Og==", "//8=", "a=b", ";", ",", '"', "\\", ".", "..", "=", "+"),
    *("%", "%zz", "%ff", "%ed%a0%80", "%00", "%0d%0a", "\xff", "\xc3\xa9", "\x80", "\xb2"),
    *("text/plain; charset=nonsense", "application/json;charset=", "multipart/form-data; boundary="),
    *(
        "-1",
        "0",
        "1e999",
        "99999999999999999999999999",
        "NaN",
        "::1",
        "[::1]:80",
        "unknown",
        "256.1.1.1",
        "1.2.3.4:99999",
    ),
    *(
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-zz",
        "session=",
        "a=" * 700,
        "a," * 3000,
        "=;" * 700,
    ),
]

_texts = st.lists(
    st.one_of(st.sampled_from(_PIECES), st.lists(st.sampled_from(_VALUE_BYTES), max_size=12).map(bytes)), max_size=5
)


def _joined(pieces: list[str | bytes]) -> bytes:
    parts = [each if isinstance(each, bytes) else each.encode("latin-1") for each in pieces]
    return b"".join(parts)


values = _texts.map(_joined)
fields = st.lists(st.tuples(st.sampled_from(_NAMES), values), max_size=8)
targets = st.one_of(
    _texts.map(lambda pieces: bytes(byte for byte in _joined(pieces) if byte in TARGET_BYTES).decode()),
    st.integers(990, 3000).map(lambda count: "?" + "&".join(["q=1"] * count)),
    st.sampled_from(["?a;b=c;d", "?" + "&" * 5000, "?%ff=%ff", "?=&=&==", "?a[b]=1&a[]=2", "?\x7e=%ED%A0%80"]),
).map("/".__add__)
methods = st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PROPFIND", "X-YZ", "!#$%"])


class _Transport:
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 4711) if name in {"peername", "sockname"} else default


def request_of(snapshot: Snapshot, method: str, target: str, pairs: list[tuple[str, bytes]]) -> Request | None:
    """Return the request that a head makes; None if the gateway refuses the head."""
    block = b"\r\nHost: a.test" + b"".join(b"\r\n%b: %b" % (name.encode(), value) for name, value in pairs)
    data = f"{method} {target} HTTP/1.1".encode() + block + b"\r\n\r\n"
    head = read_head(data, 0, 1 << 20, 10_000)
    if not isinstance(head, RequestHead):
        return None
    transport: Any = _Transport()
    Client(transport).place(head, snapshot)
    return Request.for_head(head, "id", 1.0)
