"""Responses as values of Valkey.

An entry is a line of JSON and the body; where responses vary, the key without the values of the fields has their names
instead. Both begin with the version of this format, and have their own key in them. Nothing that is read is trusted: a
value that is not exactly as it would be written here is none.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Final

from gateway_plugin_sdk import GatewayError, Headers

from gateway_plugin_cache.entries import Entry, Stamp, parse_vary

VERSION: Final = "1"
_ENTRY: Final = b"1E"
_NAMES: Final = b"1V"
_MOST_HEAD: Final = 128 * 1024
"""Bytes of a head's line; it escapes what is not ASCII."""


def key_of(*parts: object) -> str:
    """Return the key for texts, bytes, None and tuples of them; no two of them are spelled alike in Python."""
    return f"{VERSION}:{hashlib.sha256(repr(parts).encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class SharedEntry:
    """A response as another gateway shared it. Times are seconds since the epoch."""

    url: str
    vary: tuple[str, ...]
    status: int
    headers: Headers
    body: bytes
    generated_at: float
    received: float
    seen: Stamp


def encode_entry(key: str, entry: Entry, generated_at: float, received: float) -> bytes:
    """Return the value for an entry; the times are seconds since the epoch."""
    head = {
        "key": key, "url": entry.url, "vary": entry.vary, "status": entry.status,
        "headers": list(entry.headers.items()), "generated_at": generated_at, "received": received, "seen": entry.seen,
        "length": len(entry.body),
    }  # fmt: skip
    return b"\n".join((_ENTRY, json.dumps(head).encode(), entry.body))


def encode_names(key: str, vary: tuple[str, ...]) -> bytes:
    """Return the value that names the fields by which the responses for a key vary."""
    return b"\n".join((_NAMES, json.dumps({"key": key, "vary": vary}).encode()))


def decode(key: str, data: bytes) -> SharedEntry | tuple[str, ...] | None:
    """Return the entry or the names of fields that a value stands for; None for what was not written here."""
    form, _, rest = data.partition(b"\n")
    if form not in {_ENTRY, _NAMES}:
        return None
    line, _, body = rest.partition(b"\n") if form == _ENTRY else (rest, b"", b"")
    if len(line) > _MOST_HEAD:
        return None
    try:
        head = json.loads(line)
        if not isinstance(head, dict) or head.get("key") != key:
            return None
        vary = _vary(head["vary"])
        return vary if form == _NAMES else _entry(head, vary, body)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, GatewayError):
        return None


def _vary(value: Any) -> tuple[str, ...]:
    is_typed = isinstance(value, list) and all(isinstance(name, str) for name in value)
    names = parse_vary(value) if is_typed else None
    if names is None or list(names) != value:
        raise ValueError("these are no names of fields")
    Headers([(name, "") for name in names])
    return names


def _entry(head: dict[str, Any], vary: tuple[str, ...], body: bytes) -> SharedEntry | None:
    url, status, generated_at, received = head["url"], head["status"], head["generated_at"], head["received"]
    is_typed = isinstance(url, str) and type(status) is int and 200 <= status <= 599 and head["length"] == len(body)
    if not (is_typed and all(type(each) is float and math.isfinite(each) for each in (generated_at, received))):
        return None
    fields = [(name, value) for name, value in head["headers"]]
    millis, number = head["seen"]
    if not (type(millis) is type(number) is int and all(isinstance(text, str) for field in fields for text in field)):
        return None
    headers = Headers(fields)  # refuses what must not go on the wire, such as a line break
    return SharedEntry(url, vary, status, headers, body, generated_at, received, (millis, number))
