"""A name for configurations that is equal in all processes for equal ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from pydantic import BaseModel

from gateway_core.config import Secret


def fingerprint(*values: object) -> str:
    """Return a digest of sections, mappings, sequences and plain values, as 32 hexadecimal digits.

    Secrets count with their values, which the digits reveal only to a guess: they are not for
    logs.
    """
    text = json.dumps([_plain(value) for value in values], separators=(",", ":"), sort_keys=True)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _plain(value: object) -> Any:
    """Return the same for JSON; 1, true, 1.0 and "1" stay different."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Secret):
        return ["secret", value.reveal()]
    if isinstance(value, BaseModel):
        fields = {name: _plain(getattr(value, name)) for name in type(value).model_fields}
        return [type(value).__name__, fields]
    if isinstance(value, Mapping):
        return ["mapping", {str(key): _plain(item) for key, item in value.items()}]
    if isinstance(value, list | tuple):
        return ["sequence", *map(_plain, value)]
    return [type(value).__name__, repr(value)]
