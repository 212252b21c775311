"""Configuration of a provider of API keys."""

from __future__ import annotations

import hashlib
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

    id: str | None = Field(default=None, pattern=r"^[!-~]{1,128}$")
    """What the key is called where it must not be shown: in logs, and as the claim ``key_id``."""

    key: Annotated[Secret, Field(min_length=1)] | None = None
    """The key itself."""

    sha256: str | None = Field(default=None, pattern="^[0-9a-fA-F]{64}$")
    """The key's SHA-256 in hex, so that the configuration has no key: ``printf %s KEY | sha256sum``."""

    claims: dict[str, Any] = {}
    """What is to be known of the caller: scopes, roles and whatever rules and headers ask for."""

    expires: str | None = None
    """ISO 8601 time with its zone, such as ``2030-01-31T00:00:00Z``, from which the key is refused."""

    revoked: bool = False
    """Refuse the key from now on. Unlike a key that is deleted, it is still known in the log."""

    @model_validator(mode="after")
    def _is_complete(self) -> ApiKeyEntry:
        if (self.key is None) == (self.sha256 is None):
            raise ValueError(f"the key of {self.subject!r} is given by exactly one of key and sha256")
        self.expires_at()
        return self

    def shown_id(self) -> str:
        """Return what `gateway auth key` calls the key: its id, or the beginning of its hash."""
        return self.id if self.id is not None else f"sha256:{self.digest().hex()[:12]}"

    def digest(self) -> bytes:
        """Return the SHA-256 of the key."""
        if self.sha256 is not None:
            return bytes.fromhex(self.sha256)
        return hashlib.sha256(self.key.reveal().encode() if self.key is not None else b"").digest()

    def expires_at(self) -> float | None:
        """Return the end of the key in seconds since the epoch, or None."""
        if self.expires is None:
            return None
        return moment_of(self.expires).timestamp()


def moment_of(text: str) -> datetime:
    """Return the moment of an ISO 8601 time with its zone.

    :raises ValueError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time: write for example 2030-01-31T00:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no zone: end it with Z or an offset")
    return moment


class ApiKeyProvider(AccessOptions):
    """Callers who present a key that they were given."""

    scheme: Literal["api-key"]
    """``api-key``."""

    key_from: tuple[SourceConfig, ...] = Field(default=(SourceConfig(header="X-API-Key"),), min_length=1)
    """Where the key is looked for; the first place that has one, and is not empty, counts."""

    keys: tuple[ApiKeyEntry, ...] = ()
    """The keys."""

    keys_file: FileName | None = None
    """File with more keys, one such JSON object a line or a list of them, read again when it changes; the commands of
    ``gateway auth key`` make, list and revoke them."""

    @model_validator(mode="after")
    def _keys_differ(self) -> ApiKeyProvider:
        if not self.keys and self.keys_file is None:
            raise ValueError("there are no keys: give keys or keys_file")
        known = KnownKeys()
        for entry in self.keys:
            known.add(entry)
        return self


class KnownKeys:
    """Which keys there are already: each is of one caller, and has an id of its own."""

    def __init__(self) -> None:
        self._subjects: dict[bytes, str] = {}
        self._digests: dict[str, bytes] = {}

    def add(self, entry: ApiKeyEntry) -> None:
        """Add a key.

        :raises ValueError: it is another caller's, or its id another key's; the text does not show the key.
        """
        digest = entry.digest()
        other = self._subjects.setdefault(digest, entry.subject)
        if other != entry.subject:
            raise ValueError(f"{other!r} and {entry.subject!r} have the same key")
        if entry.id is not None and self._digests.setdefault(entry.id, digest) != digest:
            raise ValueError(f"two keys have the id {entry.id!r}")
