"""The strict reading of header fields, shared by requests and responses (RFC 9112 section 5).

Three subjects: the lines of a block (what `gateway_core.messages.Headers` holds), values that are an authority, and
credentials and challenges that bind a whole connection to one user. What is not valid to the letter is refused: there
is one reading of a message or none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from gateway_core.messages.fields import HOP_BY_HOP, TOKEN_BYTES, VALUE_BYTES

NOT_IN_TRAILERS: Final = HOP_BY_HOP | {
    b"authorization", b"cache-control", b"content-encoding", b"content-length", b"content-range", b"content-type",
    b"cookie", b"expect", b"host", b"if-match", b"if-modified-since", b"if-none-match", b"if-unmodified-since",
    b"max-forwards", b"pragma", b"range", b"set-cookie", b"www-authenticate",
}  # fmt: skip
"""Fields that must not be trailers: routing, framing, modifiers, authentication (RFC 9110 section 6.5.1)."""

TARGET_BYTES: Final = bytes([each for each in range(0x21, 0x7F) if each not in b'#"<>'])
"""Bytes of a request-target: printable ASCII without what RFC 3986 keeps out of URIs and clients never send."""

_FEW_LINES: Final = 4
_MOST_DIGITS: Final = 18
"""Digits of a Content-Length at most: what is longer than an exabyte is an attempt at an overflow."""

_MOST_HOSTS: Final = 1024
known_hosts: Final[dict[bytes, str]] = {}
"""Values of Host that were found to be valid, with and without the space before them; a gateway serves few."""

Field = tuple[bytes, bytes]
"""A field's name in lower case and its whole line, without CRLF."""


def valid_lines(text: bytes) -> list[bytes] | None:
    """Return lines without their CRLF, or None if there is a control character, a bare CR or a bare LF among them.

    :param text: lines, each of which ends with CRLF.
    """
    # `splitlines` takes half the time of a split at CRLF. It also splits at a bare CR or LF, of which each would be
    # missing something here: what is no byte of a field's value must be one CRLF for each line.
    lines = text.splitlines()
    return lines if text.translate(None, VALUE_BYTES) == b"\r\n" * len(lines) else None


def split_block(block: bytes) -> list[Field] | None:
    """Return the fields of a block, or None if anything in it is not valid.

    Refused are control characters, bare CR or LF, folded lines, white space around a name and names that are no tokens.
    """
    lines = valid_lines(block[2:] + b"\r\n") if block else []
    if not lines:
        return None if lines is None else []
    names = [line.partition(b":")[0] for line in lines]
    if b"".join(names).translate(None, TOKEN_BYTES) or not all(names):
        return None
    for name, line in zip(names, lines, strict=True):
        if len(name) == len(line):
            return None
    return list(zip(b":".join(names).lower().split(b":"), lines, strict=True))


def without_names(block: bytes, names: Collection[bytes]) -> bytes:
    """Return a block without the fields of some names, in lower case."""
    return b"\r\n".join([line for line in block.split(b"\r\n") if line.partition(b":")[0].lower() not in names])


def without_lines(block: bytes, lines: list[bytes]) -> bytes:
    """Return a block without some of its lines, given in their order: all that have one spelling of a name."""
    # A line may begin like a longer one of the same name. That goes as well, and has gone already if it comes first.
    if len(lines) <= _FEW_LINES:
        for line in lines:
            block = block.replace(b"\r\n" + line, b"", 1)
        return block
    unwanted = frozenset(lines)
    return b"\r\n".join([line for line in block.split(b"\r\n") if line not in unwanted])


def name_of(line: bytes) -> bytes:
    """Return the name of a field's line, in lower case."""
    return line.partition(b":")[0].lower()


def value_of(line: bytes) -> bytes:
    """Return the value of a field's line, without the white space around it."""
    return line.partition(b":")[2].strip(b" \t")


def join_lines(fields: list[Field]) -> bytes:
    """Return the block of some fields."""
    return b"".join([b"\r\n" + line for _, line in fields])


def list_members(values: list[bytes]) -> list[bytes]:
    """Return the members of a list field in lower case, empty ones left out (RFC 9110 section 5.6.1)."""
    members = [member.strip(b" \t").lower() for value in values for member in value.split(b",")]
    return [member for member in members if member]


def content_length(value: bytes) -> int:
    """Return a Content-Length, or -1 if it is not a plain, sane, decimal number (RFC 9112 section 6.2)."""
    if not value.isdigit() or len(value) > _MOST_DIGITS:
        return -1
    return int(value)


def announced_trailers(values: list[bytes]) -> bytes:
    """Return the line of a Trailer field with the names that may be trailers; empty if there is none."""
    names = [name.strip(b" \t") for value in values for name in value.split(b",")]
    kept = [
        name for name in names if name and name.lower() not in NOT_IN_TRAILERS and not name.translate(None, TOKEN_BYTES)
    ]
    return b"\r\nTrailer: " + b", ".join(kept) if kept else b""


# -- authorities (RFC 9110 section 7.2, RFC 3986 section 3.2.2)
#
# Stricter than the grammar in what no client sends on purpose and readers take in different ways: commas (two Hosts
# joined into one), empty labels, escapes of delimiters and control characters, zones of IPv6 addresses (which RFC 6874
# keeps off the wire), port 0. ``_`` is in the grammar, though not in DNS.

_LONGEST: Final = 255
"""Bytes of a name; DNS allows 253, and the root's dot."""
_MOST_PORT: Final = 65535

_ESCAPED: Final = rb"%(?:2[Dd]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|5[Ff]|7[Ee]|[89A-Fa-f][0-9A-Fa-f])"
"""Escapes of letters, digits, ``-_~`` and of bytes that are no ASCII."""
_LABEL: Final = rb"(?:[A-Za-z0-9_~!$&'()*+;=-]|" + _ESCAPED + rb")+"
_NAME: Final = re.compile(_LABEL + rb"(?:\." + _LABEL + rb")*\.?")
_IPV6_BYTES: Final = b"0123456789abcdefABCDEF:."


def valid_host(host: bytes) -> bool:
    """Whether a Host value is an authority without user information."""
    if host[:1] == b"[":
        address, bracket, port = host[1:].partition(b"]")
        return bool(bracket) and _is_ipv6(address) and (not port or (port[:1] == b":" and _is_port(port[1:])))
    name, colon, port = host.partition(b":")
    return _is_name(name) and (not colon or _is_port(port))


def only_host(values: Sequence[bytes]) -> str | None:
    """Return the value of Host; None if there is none, more than one, or one that is not valid."""
    if len(values) != 1:
        return None
    value = values[0]
    host = known_hosts.get(value)
    if host is None and valid_host(value):
        host = value.decode("latin-1")
        if len(known_hosts) < _MOST_HOSTS:  # each is short, or it would not be valid
            known_hosts[value] = known_hosts[b" " + value] = host
    return host


def _is_name(name: bytes) -> bool:
    return len(name) <= _LONGEST and _NAME.fullmatch(name) is not None


def _is_ipv6(address: bytes) -> bool:
    if address.translate(None, _IPV6_BYTES):
        return False
    try:
        IPv6Address(address.decode("ascii"))
    except AddressValueError:
        return False
    return True


def _is_port(port: bytes) -> bool:
    return not port or (port.isdigit() and len(port) <= 5 and 0 < int(port) <= _MOST_PORT)


# -- authentication that binds a connection, not one request: NTLM, Negotiate and their kin (RFC 4559)
#
# An upstream that speaks one of them takes every later request on the connection for the user who logged in over it.
# Such a connection must never serve another client.

_CREDENTIALS: Final = (b"\r\nauthorization:",)  # Proxy-Authorization is for us, and goes no further
_CHALLENGES: Final = (b"\r\nwww-authenticate:", b"\r\nproxy-authenticate:")
# A scheme stands first or behind the comma of a list (RFC 9110 section 11.6.1). Authorization is no list, but there are
# servers that look for their scheme in one. A comma within a quoted string may be taken for that of a list: then a
# connection is not shared that could have been, which harms nothing.
_SCHEME: Final = re.compile(rb"[ \t]*(?:ntlm|negotiate|nego2|kerberos)(?![^ \t,\r\n])", re.IGNORECASE)


def credential_binds(value: bytes) -> bool:
    """Whether the value of an Authorization field is a credential of such a scheme."""
    return _lists_scheme(value, 0, len(value))


def credentials_bind(lowered: bytes) -> bool:
    """Whether a request's fields, in lower case, have credentials of such a scheme."""
    return _has(lowered, _CREDENTIALS)


def challenge_binds(lowered: bytes) -> bool:
    """Whether a response's fields, in lower case, have a challenge of such a scheme, or the next step of one."""
    return _has(lowered, _CHALLENGES)


def _has(lowered: bytes, names: tuple[bytes, ...]) -> bool:
    # Every new head comes through here: most have none of the fields, and a search for their names costs least.
    for name in names:
        start = lowered.find(name)
        while start >= 0:
            start += len(name)
            end = lowered.find(b"\r\n", start)
            if _lists_scheme(lowered, start, end if end >= 0 else len(lowered)):
                return True
            start = lowered.find(name, start)
    return False


def _lists_scheme(value: bytes, start: int, end: int) -> bool:
    # No pattern that skips what is before a comma: over a long token, as most are, it takes twenty times as long.
    while not _SCHEME.match(value, start):
        start = value.find(b",", start, end) + 1
        if not start:
            return False
    return True
