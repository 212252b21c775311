"""Configuration documents out of the key-value store, as ``/v1/kv/PREFIX?recurse`` lists them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from gateway_plugin_sdk import Document, GatewayError
from gateway_plugin_sdk.unstable import DOCUMENT_FORMATS, document_format


class KeysError(GatewayError):
    """A response that has no list of keys."""


def documents_of(body: bytes, prefix: str, place: str) -> tuple[Document, ...]:
    """Return the documents of a response in the order of their keys.

    A key without an ending is YAML; keys with other endings are left out, and so are folders. ``gateway`` as a prefix
    means the key of this name and those below ``gateway/``, not ``gateway-old``.

    :param place: what stands before a key in a document's name.
    :raises KeysError: the response is none, or a document is not UTF-8.
    """
    try:
        entries = json.loads(body) if body else []
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        raise KeysError("the response is no list of keys")
    values = dict(_values(entries, prefix))
    return tuple(
        Document(f"{place}/{key}", _text(key, values[key]), DOCUMENT_FORMATS[PurePosixPath(key).suffix])
        for key in sorted(values)
    )


def _values(entries: list[Any], prefix: str) -> Iterator[tuple[str, str]]:
    folder = f"{prefix}/" if prefix else ""
    for entry in entries:
        key = entry.get("Key") if isinstance(entry, dict) else None
        if not isinstance(key, str):
            raise KeysError("the response is no list of keys")
        if key.endswith("/") or document_format(key) is None:
            continue
        if key == prefix or key.startswith(folder):
            yield key, entry.get("Value") or ""


def _text(key: str, value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        raise KeysError(f"the value of {key!r} is not UTF-8") from None
