"""Header fields of a message: from HPACK to the lines that HTTP/1's strict reader judges (RFC 9113 section 8).

What only HTTP/2 demands is checked here: pseudo-header fields, names in lower case, no fields of a connection. The rest
is the verdict of the one reader of heads, for which a request becomes a head of HTTP/1.1. So a field that could mean
something else to an upstream of HTTP/1 is refused whatever the protocol that it came in.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Final, NamedTuple

from gateway_core.proxy.wire.fields import NOT_IN_TRAILERS
from gateway_core.proxy.wire.grpc import timeout_value
from gateway_core.proxy.wire.h2.hpack import Field
from gateway_core.proxy.wire.h2.hpack_encoder import encode_field, encode_value, is_never_indexed, name_prefix

_REQUEST_FIELDS: Final = {b":method", b":scheme", b":authority", b":path", b":protocol"}
_SCHEMES: Final = {b"http", b"https"}
_COOKIE: Final = b"\r\ncookie: "


class MalformedFieldsError(Exception):
    """The fields make no message: its stream is reset with PROTOCOL_ERROR (RFC 9113 section 8.1.1)."""


class RequestFields(NamedTuple):
    """A request's fields."""

    line: bytes
    """The request line that it would have in HTTP/1.1, without CRLF."""
    block: bytes
    """Host and the other fields, each as a line with a CRLF before it."""
    scheme: bytes
    protocol: bytes | None
    """What an extended CONNECT asks for (RFC 8441); the line has GET then."""


def request_fields(fields: Sequence[Field]) -> RequestFields:
    """Return what the fields of a request say.

    :raises MalformedFieldsError: they make no request.
    """
    pseudo, lines, host, cookies = _split(fields)
    authority = _authority(pseudo, host)
    if cookies > 1:  # crumbs (section 8.2.3)
        crumbs = [line for line in lines if line.startswith(_COOKIE)]
        lines = [line for line in lines if not line.startswith(_COOKIE)]
        lines.append(_COOKIE + b"; ".join([line[len(_COOKIE) :] for line in crumbs]))
    method, path, scheme = pseudo.get(b":method"), pseudo.get(b":path"), pseudo.get(b":scheme")
    protocol = pseudo.get(b":protocol")
    if method is None:
        raise MalformedFieldsError("there is no :method")
    if method == b"CONNECT" and protocol is None:
        if path is not None or scheme is not None or authority is None:
            raise MalformedFieldsError("CONNECT has an :authority alone")
        return RequestFields(b"CONNECT %b HTTP/1.1" % authority, _block(authority, lines), b"", None)
    if path is None or scheme is None or scheme not in _SCHEMES:
        raise MalformedFieldsError("there is no :path, or the :scheme is neither http nor https")
    if path[:1] != b"/" and not (path == b"*" and method == b"OPTIONS"):
        raise MalformedFieldsError("the :path does not begin with a slash")
    if protocol is not None:
        if method != b"CONNECT":
            raise MalformedFieldsError("only CONNECT has a :protocol")
        method = b"GET"
    if b" " in method or b" " in path:
        raise MalformedFieldsError("the :method or the :path has a space")
    return RequestFields(b"%b %b HTTP/1.1" % (method, path), _block(authority, lines), scheme, protocol)


_HANDSHAKE: Final = re.compile(rb"\r\n(?:sec-websocket-accept|connection|upgrade):[^\r]*", re.IGNORECASE)


def handshake_lines(protocol: bytes, key: bytes) -> bytes:
    """Return the lines with which HTTP/1 asks for what an extended CONNECT does (RFC 8441 section 5).

    :param key: 16 random bytes (RFC 6455 section 4.1).
    """
    lines = b"\r\nConnection: Upgrade\r\nUpgrade: " + protocol
    return lines + b"\r\nSec-WebSocket-Key: " + b64encode(key) if protocol == b"websocket" else lines


_NOT_SENT: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings"}
)
_METHODS: Final = {b"GET": b"\x82", b"POST": b"\x83"}
_SCHEME: Final = {b"http": b"\x86", b"https": b"\x87"}
_PATH_PREFIX: Final = name_prefix(b":path")
_ID: Final = b"\r\nX-Request-Id: "
_ID_PREFIX: Final = name_prefix(b"x-request-id")
_PARENT: Final = b"\r\ntraceparent: "
_PARENT_PREFIX: Final = name_prefix(b"traceparent")
_MOST_SENT: Final = 1024
_LONGEST_SENT: Final = 1024
_sent: Final[dict[bytes, bytes]] = {}
_starts: Final[dict[bytes, dict[bytes, bytes]]] = {scheme: {} for scheme in _SCHEMES}


def encode_request(head: bytes, scheme: bytes, seconds_left: Callable[[], float] = lambda: inf) -> bytes:
    """Return the block of a request.

    Mostly a request differs from one before in its target and its last fields: ``traceparent`` if it is traced, and
    X-Request-Id. What is between is remembered, unless it has credentials; and with its target too, if that has no
    query, as calls of gRPC are.

    :param head: the head as it would go over HTTP/1, with its empty line.
    :param seconds_left: returns how long it may still take, which ``grpc-timeout`` says; called if that is there.
    """
    at = head.rfind(b"\r\n", 0, -4)
    if head.startswith(_ID, at):
        start, last = head[:at], encode_value(_ID_PREFIX, head[at + len(_ID) : -4])
    else:
        start, last = head[:-4], b""
    at = start.rfind(b"\r\n")
    if start.startswith(_PARENT, at):
        start, last = start[:at], encode_value(_PARENT_PREFIX, start[at + len(_PARENT) :]) + last
    return (_starts[scheme].get(start) or _encode_start(start, scheme, seconds_left)) + last


def _encode_start(start: bytes, scheme: bytes, seconds_left: Callable[[], float]) -> bytes:
    """Return a request line and lines as fields."""
    end = start.find(b"\r\n")
    line, block = (start, b"") if end < 0 else (start[:end], start[end:])
    method, target, _ = line.split(b" ")
    fields = _sent.get(block)
    if fields is None:
        fields = _encode_sent(block, seconds_left)
    encoded = b"".join((
        _METHODS.get(method) or encode_field(b":method", method), _SCHEME[scheme], encode_value(_PATH_PREFIX, target),
        fields,
    ))  # fmt: skip
    if b"?" not in target and len(start) <= _LONGEST_SENT and block in _sent:
        starts = _starts[scheme]
        if len(starts) >= _MOST_SENT:
            starts.clear()
        starts[start] = encoded
    return encoded


_TE: Final = encode_field(b"te", b"trailers")


def _encode_sent(block: bytes, seconds_left: Callable[[], float]) -> bytes:
    """Return lines as fields, Host first."""
    authority, fields, is_kept, is_call = b"", [], True, False
    for line in block.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"host":
            authority = encode_field(b":authority", value) if value else b""
        elif name == b"te":
            if b"trailers" in value.lower():
                fields.append(_TE)
        elif name == b"grpc-timeout":
            seconds = seconds_left()
            fields.append(encode_field(name, timeout_value(seconds).encode() if seconds < inf else value))
            is_kept = False  # also without a limit: the next request with these lines may have one
        elif name not in _NOT_SENT:
            is_call = is_call or (name == b"content-type" and value.lower().startswith(b"application/grpc"))
            field = encode_field(name, value)
            fields.append(field)
            is_kept = is_kept and not is_never_indexed(field)
    if is_call and _TE not in fields:
        # Services of gRPC demand it, and a plugin that translates to gRPC cannot send a field of the connection.
        fields.append(_TE)
    encoded = authority + b"".join(fields)
    if is_kept and len(block) <= _LONGEST_SENT and authority:
        if len(_sent) >= _MOST_SENT:
            _sent.clear()
        _sent[block] = encoded
    return encoded


def without_handshake(block: bytes) -> bytes:
    """Return the fields of a 101 without those that HTTP/2 has no place for."""
    return _HANDSHAKE.sub(b"", block)


def _block(authority: bytes | None, lines: Iterable[bytes]) -> bytes:
    rest = b"".join(lines)
    return rest if authority is None else b"\r\nHost: %b%b" % (authority, rest)


def _split(fields: Sequence[Field]) -> tuple[dict[bytes, bytes], Sequence[bytes], bytes | None, int]:
    """Return pseudo-header fields, lines of the others, the value of Host, and how many cookies there are."""
    if not fields:
        return {}, [], None, 0
    names, values, lines, _ = zip(*fields, strict=True)
    count = lines.count(b"")
    if None in lines or any(lines[:count]):
        name = next(name for position, name in enumerate(names) if not lines[position] and position not in range(count))
        raise MalformedFieldsError(f"the field {name!r} is not valid, or comes behind fields that it may not follow")
    pseudo = dict(zip(names[:count], values, strict=False))
    if len(pseudo) < count or not pseudo.keys() <= _REQUEST_FIELDS:
        raise MalformedFieldsError("a pseudo-header field is not known, or comes twice")
    rest, host = lines[count:], None
    if b"host" in names:
        at = names.index(b"host")
        if names.count(b"host") > 1:
            raise MalformedFieldsError("there is more than one host")
        host, rest = values[at], lines[count:at] + lines[at + 1 :]
    return pseudo, rest, host, names.count(b"cookie")


def _authority(pseudo: Mapping[bytes, bytes], host: bytes | None) -> bytes | None:
    """Return the authority asked for, which Host may only say again (section 8.3.1)."""
    authority = pseudo.get(b":authority")
    if authority is None:
        return host
    if host is not None and host.lower() != authority.lower():
        raise MalformedFieldsError("host is another one than :authority")
    if b"@" in authority:
        raise MalformedFieldsError("the :authority has a user")
    return authority


def response_fields(fields: Sequence[Field]) -> tuple[int, bytes]:
    """Return status and block of a response.

    :raises MalformedFieldsError: they make no response.
    """
    status = 0
    lines: list[bytes] = []
    for name, value, line, _ in fields:
        if line:
            lines.append(line)
        elif line is None or name != b":status" or status or lines:
            raise MalformedFieldsError(f"the field {name!r} is not valid there")
        elif len(value) == 3 and value.isdigit() and value >= b"100":
            status = int(value)
        else:
            raise MalformedFieldsError("the :status is no number of three digits")
    if not status:
        raise MalformedFieldsError("there is no :status")
    return status, b"".join(lines)


def trailer_fields(fields: Sequence[Field]) -> bytes:
    """Return the block of the trailer fields that may go on, as `ChunkDecoder` does (RFC 9110 section 6.5.1).

    :raises MalformedFieldsError: there is one that trailers may not have (section 8.1).
    """
    lines = []
    for name, _, line, _ in fields:
        if not line:
            raise MalformedFieldsError(f"the field {name!r} is not valid in trailers")
        if name not in NOT_IN_TRAILERS:
            lines.append(line)
    return b"".join(lines)
