"""Name the caller to the upstream, in header fields that only this plugin can set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from gateway_plugin_sdk import MISSING, ClaimReader, FieldNames, Headers, claim_path

_SAFE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_SAFE_ITEM: Final = _SAFE.replace(",", "")
_SAFE_EDGE: Final = _SAFE.replace(" ", "")


def _text(value: object, safe: str = _SAFE) -> str:
    if isinstance(value, str):
        return quote(value, safe=safe if value == value.strip(" ") else safe.replace(" ", ""))
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return str(value)
    return quote(json.dumps(value, separators=(",", ":")), safe=safe)


def field_value(value: object) -> str:
    """Write a claim as a field value that a reader can turn back: ``unquote`` gives the text.

    Characters outside printable ASCII, and ``%``, are percent-encoded as UTF-8: a name in any script arrives, and no
    claim can break the head. A list is joined by commas, a comma inside an item is encoded, too. An object is JSON.
    """
    if isinstance(value, list | tuple):
        return ",".join(_text(item, _SAFE_ITEM) for item in value)
    return _text(value)


FieldReaders: TypeAlias = Sequence[tuple[str, ClaimReader]]
"""Header names, each with the claim that it gets."""


def field_readers(mapping: Mapping[str, str]) -> FieldReaders:
    """Return what `fields_of` takes, from claim paths by header name."""
    return tuple((header, claim_path(path)) for header, path in mapping.items())


def fields_of(claims: Mapping[str, Any], readers: FieldReaders) -> list[tuple[str, str]]:
    """Return the fields to add: one for each header whose claim is there and not null."""
    fields = []
    for header, read in readers:
        value = read(claims)
        if value is not MISSING and value is not None:
            fields.append((header, field_value(value)))
    return fields


class ReservedHeaders:
    """Names that only the gateway may set: whatever a client sends under them is dropped.

    The gateway does this, too, before any hook (see `Plugin.reserved_headers`); what is dropped here was set by other
    bindings. ``X_User`` and ``X.User`` are dropped with ``X-User``: CGI and WSGI give them to an application as one.
    """

    __slots__ = ("_names",)

    def __init__(self, names: Iterable[str]) -> None:
        self._names = FieldNames(names)

    def drop(self, headers: Headers) -> None:
        """Remove every field of a reserved name."""
        headers.remove_any(self._names)
