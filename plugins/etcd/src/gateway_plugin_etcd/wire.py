"""The JSON of etcd's gRPC gateway (``/v3/*``), as 3.4 and 3.5 speak it.

Keys and values are base64, 64-bit integers are strings, and fields that are zero, false or empty are left out: an event
without a type is a put.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway_plugin_etcd.errors import CompactedError, EtcdError, UnauthenticatedError, UnavailableError

# https://grpc.github.io/grpc/core/md_doc_statuscodes.html
_DEADLINE_EXCEEDED: Final = 4
_OUT_OF_RANGE: Final = 11
_UNAVAILABLE: Final = 14
_UNAUTHENTICATED: Final = 16

_COMPACTED: Final = "required revision has been compacted"
_OLD_AUTH: Final = "revision of auth store is old"


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key as it was at one revision."""

    key: bytes
    value: bytes
    revision: int
    """When it was last changed."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """A key that is gone: deleted, or its lease has ended."""

    key: bytes
    revision: int


Event = KeyValue | Deleted


@dataclass(frozen=True, slots=True)
class WatchMessage:
    """One message of a watch."""

    revision: int
    """Of the store, when the message was made."""
    cluster: str
    is_created: bool = False
    """Whether it says that the watch has begun."""
    events: tuple[Event, ...] = ()
    watch: int = 0
    """The number that its creator gave to the watch; etcd 3.5 says another one when it refuses to create it."""
    refusal: EtcdError | None = None
    """Why etcd ended the watch: CompactedError if it begins before what is left of the history."""


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing."""

    revision: int
    cluster: str
    entries: tuple[KeyValue, ...]
    has_more: bool


def encoded(data: bytes) -> str:
    """Return bytes as the JSON has them."""
    return b64encode(data).decode("ascii")


def read_page(plain: Mapping[str, Any]) -> Page:
    """Read the response of ``/v3/kv/range``.

    :raises EtcdError: it is none.
    """
    try:
        revision, cluster = _header(plain)
        if revision < 1:  # from which nothing could be watched
            raise ValueError("no revision")
        entries = tuple(_key_value(entry) for entry in plain.get("kvs", ()))
        return Page(revision, cluster, entries, bool(plain.get("more")))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise EtcdError(f"the response to a range is malformed: {error!r}") from error


def read_watch_message(line: bytes) -> WatchMessage:
    """Read one line of ``/v3/watch``.

    :raises EtcdError: etcd ended all watches of the connection, or the line makes no sense.
    """
    try:
        plain = json.loads(line)
        if "error" in plain:
            error = plain["error"]
            raise error_of(int(error.get("grpc_code", error.get("code", 0))), str(error.get("message", error)))
        result = plain["result"]
        refusal: EtcdError | None = None
        if int(result.get("compact_revision", 0)):
            refusal = CompactedError(f"the history before revision {result['compact_revision']} is compacted")
        elif result.get("canceled"):
            refusal = _canceled(str(result.get("cancel_reason", "without a reason")))
        revision, cluster = _header(result)
        events = tuple(_event(event) for event in result.get("events", ()))
        return WatchMessage(
            revision, cluster, bool(result.get("created")), events, int(result.get("watch_id", 0)), refusal
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise EtcdError(f"a message of the watch is malformed: {error!r}") from error


def read_refusal(status: int, body: bytes) -> EtcdError:
    """Return what a response with another status than 200 means."""
    try:
        plain = json.loads(body)
        return error_of(int(plain.get("code", 0)), str(plain.get("message") or plain.get("error") or plain))
    except (ValueError, TypeError, AttributeError, RecursionError):
        text = body[:200].decode("utf-8", "replace").strip()
        kind = UnavailableError if status >= 500 else EtcdError
        return kind(f"it responds {status}: {text}")


def error_of(code: int, message: str) -> EtcdError:
    """Return the error that a gRPC status stands for."""
    if code == _OUT_OF_RANGE and _COMPACTED in message:
        return CompactedError(message)
    if code in {_UNAVAILABLE, _DEADLINE_EXCEEDED}:
        return UnavailableError(message)
    # An old revision of the auth store means that users or roles changed since the token was made.
    if code == _UNAUTHENTICATED or _OLD_AUTH in message:
        return UnauthenticatedError(message)
    return EtcdError(message)


def _canceled(reason: str) -> EtcdError:
    text = f"the watch was canceled: {reason}"
    if "permission denied" in reason or "invalid auth token" in reason:
        return UnauthenticatedError(text)
    return UnavailableError(text)


def _header(plain: Mapping[str, Any]) -> tuple[int, str]:
    header = plain["header"]
    return int(header.get("revision", 0)), str(header.get("cluster_id", ""))


def _key_value(plain: Mapping[str, Any]) -> KeyValue:
    return KeyValue(b64decode(plain["key"]), b64decode(plain.get("value", "")), int(plain["mod_revision"]))


def _event(plain: Mapping[str, Any]) -> Event:
    entry = plain["kv"]
    if plain.get("type", "PUT") == "DELETE":
        return Deleted(b64decode(entry["key"]), int(entry["mod_revision"]))
    return _key_value(entry)
