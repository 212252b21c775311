"""Take a compact JWS apart (RFC 7515 section 7.1), strictly: one spelling per token, nothing guessed.

A lenient decoder lets one signature cover several texts of a token, and then caches, revocation lists and logs
disagree about which token they saw. So padding, line breaks, stray bits and repeated names are refused before any key
is looked at.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

_SEGMENT: Final = re.compile(rb"[A-Za-z0-9_-]*")
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_DEEPEST: Final = 64
"""Levels of objects and lists. Whatever reads claims later, by recursion, must not fail over a token."""
_PADDING: Final = {0: b"", 2: b"==", 3: b"="}


class MalformedTokenError(ValueError):
    """A text that is not a compact JWS with a JSON object for header and payload."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was read but not verified: nothing in it may be believed."""

    algorithm: str
    key_id: str | None
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signing_input: bytes
    signature: bytes
    payload: bytes
    """The payload segment as it was sent: base64url without padding."""


def decode_segment(segment: bytes) -> bytes:
    """Decode base64url without padding (RFC 7515 section 2), accepting only what an encoder writes.

    :raises MalformedTokenError: for padding, other characters, a length that cannot be, or bits that are left over.
    """
    padding = _PADDING.get(len(segment) % 4)
    if padding is None or not _SEGMENT.fullmatch(segment):
        raise MalformedTokenError("not base64url")
    decoded = binascii.a2b_base64(segment.translate(_TO_STANDARD) + padding)
    if len(segment) % 4 and base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment:
        raise MalformedTokenError("base64url has bits left over")
    return decoded


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise MalformedTokenError("a name is repeated in an object")
    return mapping


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedTokenError(f"{name} is not JSON")


def decode_object(text: bytes) -> dict[str, Any]:
    """Read one JSON object whose names are unique (RFC 7515 section 4, RFC 7519 section 4).

    :raises MalformedTokenError: for anything else, also for text that cannot be written as UTF-8 again.
    """
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedTokenError("not a JSON object with unique names") from error
    if not isinstance(value, dict):
        raise MalformedTokenError("not a JSON object")
    if text.count(b"{") + text.count(b"[") > _DEEPEST:
        _refuse_depth(value)
    if b"\\u" in text:
        _refuse_lone_surrogates(value)
    return value


def _refuse_depth(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise MalformedTokenError(f"objects and lists are in each other more than {_DEEPEST} times")


def _refuse_lone_surrogates(value: dict[str, Any]) -> None:
    # An escape such as \ud800 makes a str that no header, log line or database can take.
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedTokenError("a text has half of a surrogate pair") from error


def _check_header(header: dict[str, Any]) -> tuple[str, str | None]:
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or not (key_id is None or isinstance(key_id, str)):
        raise MalformedTokenError("alg or kid is not a text")
    # We implement no extension, so none that is marked critical may be ignored (RFC 7515 section 4.1.11); b64 changes
    # what is signed and is refused without the mark, too (RFC 7797).
    if "crit" in header or "b64" in header:
        raise MalformedTokenError("the token needs an extension")
    return algorithm, key_id


def parse_token(text: str) -> Token:
    """Read a compact JWS without verifying it.

    :raises MalformedTokenError: it is not one; never anything else.
    """
    try:
        encoded = text.encode("ascii")
    except UnicodeEncodeError as error:
        raise MalformedTokenError("not ASCII") from error
    segments = encoded.split(b".", 3)
    if len(segments) != 3 or not all(segments):
        raise MalformedTokenError("not three segments")
    head, payload, signature = segments
    header = decode_object(decode_segment(head))
    algorithm, key_id = _check_header(header)
    return Token(
        algorithm,
        key_id,
        header,
        decode_object(decode_segment(payload)),
        encoded[: len(head) + 1 + len(payload)],
        decode_segment(signature),
        payload,
    )


def described(token: Token) -> str:
    """Return what a token says of its algorithm, key, issuer, audience and times, for logs.

    Any client can write that: it is bounded, and quoted so that it cannot be taken for more than one line.
    """
    header, claims = token.header, token.claims
    parts = [f"{name}={header[name]!r:.80}" for name in ("alg", "kid") if name in header]
    parts += [f"{name}={claims[name]!r:.80}" for name in ("iss", "aud", "exp", "nbf", "iat") if name in claims]
    return " ".join(parts)
