"""Take a compact JWS apart (RFC 7515 section 7.1), strictly: one spelling per token, nothing guessed.

A lenient decoder lets one signature cover several texts of a token, and then caches, revocation lists and logs
disagree about which token they saw. So padding, line breaks, stray bits and repeated names are refused before any key
is looked at.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NoReturn

from gateway_tokens.algorithms import other_signature

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LAST: Final = {2: _ALPHABET[::16], 3: _ALPHABET[::4]}
"""Last characters by the length modulo 4: those whose bits that are not used are zero."""
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_DEEPEST: Final = 64
"""Levels of objects and lists. Whatever reads claims later, by recursion, must not fail over a token."""
_MOST_HEADERS: Final = 128
_LONGEST_HEADER: Final = 512
"""Bytes of a header segment that is remembered: anybody may send one."""
_PADDING: Final = {0: b"", 2: b"==", 3: b"="}
_WHITE_SPACE: Final = " \t\n\r"


class MalformedTokenError(ValueError):
    """A text that is not a compact JWS with a JSON object for header and payload."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was read but not verified: nothing in it may be believed."""

    algorithm: str
    key_id: str | None
    header: Mapping[str, Any]
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes
    payload: bytes
    """The payload segment as it was sent: base64url without padding."""


def decode_segment(segment: bytes) -> bytes:
    """Decode base64url without padding (RFC 7515 section 2), accepting only what an encoder writes.

    :raises MalformedTokenError: for padding, other characters, a length that cannot be, or bits that are left over.
    """
    length = len(segment) % 4
    if length == 1 or segment.translate(None, _ALPHABET):
        raise MalformedTokenError("not base64url")
    if length and segment[-1] not in _LAST[length]:
        raise MalformedTokenError("base64url has bits left over")
    return binascii.a2b_base64(segment.translate(_TO_STANDARD) + _PADDING[length])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise MalformedTokenError("a name is repeated in an object")
    return mapping


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedTokenError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
"""Made once: ``json.loads`` with these options makes one for each call."""


def decode_object(text: bytes) -> dict[str, Any]:
    """Read one JSON object whose names are unique (RFC 7515 section 4, RFC 7519 section 4).

    :raises MalformedTokenError: for anything else, also for text that cannot be written as UTF-8 again.
    """
    try:
        decoded = text.decode("utf-8").strip(_WHITE_SPACE)
        value, end = _DECODER.raw_decode(decoded)
    except (ValueError, RecursionError) as error:
        raise MalformedTokenError("not a JSON object with unique names") from error
    if not isinstance(value, dict) or end != len(decoded):
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


def read_header(segment: bytes) -> tuple[Mapping[str, Any], str, str | None]:
    """Return a header with its algorithm and key id; not to be changed, since it may be remembered.

    :raises MalformedTokenError: it is none, or one that needs an extension.
    """
    header = decode_object(decode_segment(segment))
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or not (key_id is None or isinstance(key_id, str)):
        raise MalformedTokenError("alg or kid is not a text")
    # We implement no extension, so none that is marked critical may be ignored (RFC 7515 section 4.1.11); b64 changes
    # what is signed and is refused without the mark, too (RFC 7797).
    if "crit" in header or "b64" in header:
        raise MalformedTokenError("the token needs an extension")
    return header, algorithm, key_id


_remembered_header: Final = lru_cache(_MOST_HEADERS)(read_header)
"""The tokens of one issuer and key have one header, and to read it takes a third of the time for the whole token."""


def _without_padding(segment: bytes) -> bytes:
    plain = segment.rstrip(b"=")
    if len(segment) != len(plain) + -len(plain) % 4:
        raise MalformedTokenError("not padded base64url")
    return plain


def parse_token(text: str, *, is_padded: bool = False) -> Token:
    """Read a compact JWS without verifying it.

    :param is_padded: whether each segment has the padding that RFC 7515 leaves out, and AWS's load balancers write: it
        is part of what they sign.
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
    signing_input = encoded[: len(head) + 1 + len(payload)]
    if is_padded:
        head, payload, signature = map(_without_padding, segments)
    header, algorithm, key_id = (_remembered_header if len(head) <= _LONGEST_HEADER else read_header)(head)
    return Token(
        algorithm,
        key_id,
        header,
        decode_object(decode_segment(payload)),
        signing_input,
        decode_segment(signature),
        payload,
    )


def spellings(token: Token, text: str) -> tuple[str, ...]:
    """Return every text that is the same token with a valid signature: its own, and for ECDSA another one.

    :param text: the token, whose signature was verified.
    """
    other = other_signature(token.algorithm, token.signature)
    if other is None:
        return (text,)
    encoded = base64.urlsafe_b64encode(other).decode("ascii")
    return text, f"{text.rpartition('.')[0]}.{encoded if text.endswith('=') else encoded.rstrip('=')}"


def described(token: Token) -> str:
    """Return what a token says of its algorithm, key, issuer, audience and times, for logs.

    Any client can write that: it is bounded, and quoted so that it cannot be taken for more than one line.
    """
    header = token.header
    return " ".join([*_shown(header, ("alg", "kid")), described_claims(token.claims)]).strip()


def described_claims(claims: Mapping[str, Any]) -> str:
    """Return what claims say of issuer, audience and times, for logs, as `described` does."""
    return " ".join(_shown(claims, ("iss", "aud", "exp", "nbf", "iat")))


def _shown(values: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    return [f"{name}={values[name]!r:.80}" for name in names if name in values]
