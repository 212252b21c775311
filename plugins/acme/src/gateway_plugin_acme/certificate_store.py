"""What the process that orders knows of each certificate, in step with the storage."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

from gateway_plugin_acme.crypto import UnusableCertificateError, facts_of
from gateway_plugin_acme.names import Wanted
from gateway_plugin_acme.records import CERTIFICATES, REVISION, STATES, Records, State, StoredCertificate
from gateway_plugin_acme.renewal import Window, not_before_next, renewal_time, spread
from gateway_plugin_acme.revision import Changes
from gateway_plugin_acme.storage import StorageError

_logger = logging.getLogger("gateway.plugins.acme")


@dataclass(frozen=True, slots=True)
class Known:
    """One certificate, and how getting it goes."""

    certificate: StoredCertificate | None
    state: State
    renewal: float | None
    """When to renew it; None if there is none that can be used."""


class CertificateStore:
    """Certificates with their states; each is read from the storage once: others do not write without the lock."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._known: dict[str, Known] = {}
        self._unsaved: dict[str, StoredCertificate] = {}
        self._changes = Changes()
        self._announcing = asyncio.Lock()

    def begin(self) -> None:
        """Read everything again: another process may have written meanwhile."""
        self._known = {key: known for key, known in self._known.items() if key in self._unsaved}

    async def get(self, key: str, wanted: Wanted) -> Known:
        """Return what is known of a certificate.

        :raises GatewayError: it cannot be read, or the storage is away.
        """
        known = self._known.get(key)
        if known is None:
            state = await self._records.get(STATES, key, State) or State(wanted.names)
            if state.begun:  # by a process that has ended, or has lost the lock
                state = replace(state, begun=0.0, failed=state.begun, error="it was interrupted")
            certificate = await self._records.get(CERTIFICATES, key, StoredCertificate)
            # Another source of this process may have read or got it meanwhile: that is newer.
            known = self._known.get(key) or self._set(key, certificate, state)
        return known

    def drop(self, key: str) -> None:
        """Read a certificate again when it is asked for: a command has changed what is stored."""
        self._known.pop(key, None)

    def is_unsaved(self, key: str) -> bool:
        """Whether a certificate serves that the storage has not taken yet."""
        return key in self._unsaved

    def postpone(self, key: str, until: float, error: str) -> None:
        """Do nothing about a certificate until a time, by the wall clock; not stored, since that has failed."""
        known = self._known.get(key)
        if known is not None:
            self._known[key] = replace(known, state=replace(known.state, next_attempt=until, error=error))

    async def put_state(self, key: str, state: State) -> None:
        """Store the state of a certificate.

        :raises StorageError: the storage does not take it; what is known stays.
        """
        await self._records.put(STATES, key, state)
        known = self._known.get(key)
        if known is not None:  # otherwise all is read again
            self._set(key, known.certificate, state)

    async def put_back(self, key: str, state: State) -> None:
        """Store the state of before an attempt that was given up; of a certificate that never was, nothing stays.

        :raises StorageError: the storage does not take it.
        """
        known = self._known.get(key)
        if known is not None and known.certificate is None and state == State(state.names):
            self._known.pop(key, None)
            await self._records.forget(key)
        else:
            await self.put_state(key, state)

    async def put_issued(self, key: str, issued: StoredCertificate, state: State) -> None:
        """Store a certificate; one that the storage does not take is kept for `save_unsaved`."""
        self._set(key, issued, state)
        try:
            await self._save(key, issued, state)
        except StorageError as error:
            # It serves here, and is not ordered again: that would meet the limits of the authority.
            self._unsaved[key] = issued
            names = ", ".join(issued.names)
            _logger.error("the certificate for %s serves, but is lost when this process ends: %s", names, error)

    async def save_unsaved(self) -> None:
        """Store what the storage has not taken until now, as far as it does."""
        for key, issued in list(self._unsaved.items()):
            try:
                await self._save(key, issued, self._known[key].state)
            except StorageError:
                return
            del self._unsaved[key]
            _logger.info("the certificate for %s is stored now", ", ".join(issued.names))

    async def forget(self, key: str) -> None:
        """Remove a certificate with its key, and what is known of it.

        :raises StorageError: the storage does not take it.
        """
        self._known.pop(key, None)
        self._unsaved.pop(key, None)
        await self._records.forget(key)
        await self.announce(key)

    async def announce(self, key: str) -> None:
        """Have all workers and gateways read what is stored of a certificate.

        :raises StorageError: the storage does not take it.
        """
        async with self._announcing:  # so that an older revision never takes the place of a newer one
            await self._records.storage.put(REVISION, self._changes.add(key))

    async def _save(self, key: str, issued: StoredCertificate, state: State) -> None:
        await self._records.put(CERTIFICATES, key, issued)
        await self._records.put(STATES, key, state)
        await self.announce(key)

    def _set(self, key: str, certificate: StoredCertificate | None, state: State) -> Known:
        known = self._known[key] = Known(certificate, state, _renewal(key, certificate, state))
        return known


def _renewal(key: str, certificate: StoredCertificate | None, state: State) -> float | None:
    if certificate is None:
        return None
    try:
        facts = facts_of(certificate.chain.encode())
    except UnusableCertificateError:
        return None
    window = Window(state.window_start, state.window_end) if state.window_end else None
    at = renewal_time(facts.not_before, facts.not_after, window, spread(f"{key}{facts.not_after}"))
    return max(at, not_before_next(certificate.issued, facts.not_before, facts.not_after))
