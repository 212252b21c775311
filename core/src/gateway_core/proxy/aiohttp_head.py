"""Heads on their way through aiohttp: what it is given, and what its verdicts mean."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from gateway_core.messages.fields import TOKEN_BYTES
from gateway_core.proxy.wire.authority import valid_host
from gateway_core.proxy.wire.request_head import RequestFacts, read_request_block

_KNOWN: Final = frozenset(
    {b"CONNECT", b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PRI", b"PUT", b"TRACE"}
)
_NOT_FOR_AIOHTTP: Final = frozenset({b"content-length", b"transfer-encoding", b"upgrade"})


def for_aiohttp(head: bytes) -> bytes:
    """Return a head as aiohttp gets it: without a body, without an upgrade, with a method that its parser knows."""
    lines = head[:-4].split(b"\r\n")
    method, space, rest = lines[0].partition(b" ")
    if method not in _KNOWN and method.isupper() and not method.translate(None, TOKEN_BYTES):
        lines[0] = b"POST" + space + rest
    lines[1:] = [line for line in lines[1:] if line.partition(b":")[0].lower() not in _NOT_FOR_AIOHTTP]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def status_of(message: str) -> int:
    """Return the status for what aiohttp could not read; its errors differ by text only."""
    if message.startswith("Too many headers"):
        return 431
    if "Invalid HTTP version" in message.partition("\n\n")[0]:
        return 505
    return 400


def absolute_form(target: str, block: bytes, *, http_1_0: bool) -> tuple[str, RequestFacts] | None:
    """Return the origin form of an absolute one; its authority takes the place of Host (RFC 9112 section 3.2.2)."""
    try:
        parts = urlsplit(target)
    except ValueError:  # half an IPv6 address, for example
        return None
    authority = parts.netloc.encode("latin-1", "replace")
    if parts.scheme not in {"http", "https"} or not valid_host(authority) or parts.fragment:
        return None
    fields = [line for line in block.split(b"\r\n")[1:] if not line.lower().startswith(b"host:")]
    rebuilt = b"\r\nHost: " + authority + b"".join([b"\r\n" + line for line in fields])
    changed = read_request_block(rebuilt, http_1_0=http_1_0)
    rest = target[len(parts.scheme) + 3 + len(parts.netloc) :]
    if changed is None:
        return None
    return rest if rest.startswith("/") else "/" + rest, changed


def forwarded_once(facts: RequestFacts, *, http_1_0: bool) -> RequestFacts | None:
    """Return what a head says once its Max-Forwards is one less (RFC 9110 section 7.6.2)."""
    kept = [line for line in facts.raw.split(b"\r\n")[1:] if not line.lower().startswith(b"max-forwards:")]
    kept.append(b"Max-Forwards: %d" % (facts.max_forwards - 1))
    return read_request_block(b"".join([b"\r\n" + line for line in kept]), http_1_0=http_1_0)
