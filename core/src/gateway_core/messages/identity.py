"""The identity of a request's sender, as an authentication plugin established it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Identity:
    """An authenticated caller; set by an authentication plugin, read by limits, logs and later plugins."""

    subject: str
    """A stable name of the caller, unique within the scheme, such as a token's ``sub``."""

    scheme: str = ""
    """How it was found out: ``jwt``, ``api-key``, ``basic``, ``mtls`` or a plugin's own word."""

    claims: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Statements about the caller, such as a token's verified claims."""
