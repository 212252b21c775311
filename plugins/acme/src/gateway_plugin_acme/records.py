"""What is stored, as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, TypeVar

from gateway_plugin_sdk import GatewayError

from gateway_plugin_acme.crypto import Seal
from gateway_plugin_acme.storage import Storage

CERTIFICATES: Final = "certificate"
STATES: Final = "state"
ACCOUNTS: Final = "account"
TOKENS: Final = "token"
VALIDATIONS: Final = "validation"
WANTED: Final = "wanted"
REQUESTS: Final = "request"
RENEW, FORGET = b"renew", b"forget"
"""What is requested."""
REVISION: Final = "revision"
"""Changes whenever a certificate does, so that others need look at nothing else."""

_SEALED: Final = frozenset({CERTIFICATES, ACCOUNTS, VALIDATIONS})


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A certificate with its key, both in PEM."""

    names: tuple[str, ...]
    chain: str
    key: str
    authority: str
    issued: float
    """By our clock."""


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one certificate; times in seconds since the epoch, 0 if never."""

    names: tuple[str, ...] = ()
    failures: int = 0
    """In a row."""
    next_attempt: float = 0.0
    begun: float = 0.0
    """When the attempt that goes on began."""
    succeeded: float = 0.0
    failed: float = 0.0
    error: str = ""
    """Why the last attempt failed."""
    waits: Mapping[str, float] = field(default_factory=dict)
    """By `authority_id`: until when an authority is not asked for this certificate, as it has said."""
    window_start: float = 0.0
    window_end: float = 0.0
    window_next: float = 0.0


@dataclass(frozen=True, slots=True)
class Account:
    """Our account at one authority."""

    key: str
    url: str = ""
    next_key: str = ""
    """A key that is about to become the account's: which of the two it is shows when they are used."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Until when an authority is not asked for new certificates."""

    until: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Validation:
    """What an authority that validates a name by TLS is shown, in PEM."""

    chain: str
    key: str


RecordT = TypeVar("RecordT", StoredCertificate, State, Account, Pause, Validation)


def authority_id(url: str) -> str:
    """Return what belongs to an authority is stored by."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def validation_id(name: str) -> str:
    """Return the name of a host in the storage, whatever a client has sent as that."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


class Records:
    """Reads and writes records; those with keys are sealed, if there is a seal."""

    def __init__(self, storage: Storage, seal: Seal | None) -> None:
        self.storage = storage
        self._seal = seal

    async def get(self, folder: str, name: str, kind: type[RecordT]) -> RecordT | None:
        """Return a record; None if there is none.

        :raises GatewayError: it cannot be read, or the storage is away.
        """
        where = f"{folder}/{name}"
        value = await self.storage.get(where)
        if value is None:
            return None
        if self._seal is not None and folder in _SEALED:
            value = self._seal.open(where, value)
        try:
            found: Any = json.loads(value)
            if not isinstance(found, dict):
                raise TypeError("it is no object")
            if "names" in found:
                found["names"] = tuple(found["names"])
            # Gateways of the next version may share this storage, and may have added to what they write.
            return kind(**{each.name: found[each.name] for each in fields(kind) if each.name in found})
        except (ValueError, TypeError) as error:
            raise GatewayError(f"{where!r} in the storage cannot be read: {error}") from error

    async def forget(self, key: str) -> None:
        """Remove a certificate with its key, and what is known of it.

        :raises StorageError: the storage does not take it.
        """
        await self.storage.delete(f"{CERTIFICATES}/{key}")
        await self.storage.delete(f"{STATES}/{key}")

    async def put(
        self,
        folder: str,
        name: str,
        record: StoredCertificate | State | Account | Pause | Validation,
        ttl: float | None = None,
    ) -> None:
        """Write a record.

        :raises GatewayError: the storage does not take it.
        """
        where = f"{folder}/{name}"
        value = json.dumps(asdict(record)).encode()
        if self._seal is not None and folder in _SEALED:
            value = self._seal.close(where, value)
        await self.storage.put(where, value, ttl)
