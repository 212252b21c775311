"""Configuration of a provider of API keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from gateway_plugin_sdk import ConfigModel, FileName, Secret
from pydantic import Field, model_validator

from gateway_plugin_auth.config.rules import AccessOptions
from gateway_plugin_auth.config.sources import SourceConfig


class ApiKeyEntry(ConfigModel):
    """One key and whose it is: exactly one of ``key`` and ``sha256``."""

    subject: str = Field(min_length=1)
    """The caller's name."""

    key: Annotated[Secret, Field(min_length=1)] | None = None
    """The key itself."""

    sha256: str | None = Field(default=None, pattern="^[0-9a-fA-F]{64}$")
    """The key's SHA-256 in hex, so that the configuration has no key: ``printf %s KEY | sha256sum``."""

    claims: dict[str, Any] = {}
    """What is to be known of the caller: scopes, roles and whatever rules and headers ask for."""

    expires: str | None = None
    """ISO 8601 time with its zone, such as ``2030-01-31T00:00:00Z``, from which the key is refused."""

    @model_validator(mode="after")
    def _is_complete(self) -> ApiKeyEntry:
        if (self.key is None) == (self.sha256 is None):
            raise ValueError(f"the key of {self.subject!r} is given by exactly one of key and sha256")
        self.expires_at()
        return self

    def digest(self) -> bytes:
        """Return the SHA-256 of the key."""
        if self.sha256 is not None:
            return bytes.fromhex(self.sha256)
        return hashlib.sha256(self.key.reveal().encode() if self.key is not None else b"").digest()

    def expires_at(self) -> float | None:
        """Return the end of the key in seconds since the epoch, or None."""
        if self.expires is None:
            return None
        try:
            moment = datetime.fromisoformat(self.expires)
        except ValueError:
            raise ValueError(f"{self.expires!r} is not a time: write for example 2030-01-31T00:00:00Z") from None
        if moment.tzinfo is None:
            raise ValueError(f"{self.expires!r} has no zone: end it with Z or an offset")
        return moment.timestamp()


class ApiKeyProvider(AccessOptions):
    """Callers who present a key that they were given."""

    scheme: Literal["api-key"]
    """``api-key``."""

    key_from: tuple[SourceConfig, ...] = Field(default=(SourceConfig(header="X-API-Key"),), min_length=1)
    """Where the key is looked for; the first place that has one, and is not empty, counts."""

    keys: tuple[ApiKeyEntry, ...] = ()
    """The keys."""

    keys_file: FileName | None = None
    """File with more keys, a JSON list of the same objects, read again when it changes."""

    @model_validator(mode="after")
    def _keys_differ(self) -> ApiKeyProvider:
        if not self.keys and self.keys_file is None:
            raise ValueError("there are no keys: give keys or keys_file")
        check_that_keys_differ(self.keys)
        return self


def check_that_keys_differ(entries: Iterable[ApiKeyEntry]) -> None:
    """Check that no two callers have the same key.

    :raises ValueError: two have; the text does not show the key.
    """
    seen: dict[bytes, str] = {}
    for entry in entries:
        other = seen.setdefault(entry.digest(), entry.subject)
        if other != entry.subject:
            raise ValueError(f"{other!r} and {entry.subject!r} have the same key")
