"""Gets certificates and renews them, in the one process of all workers and gateways that has the storage's lock.

Everything that decides when is stored: a restart, a reload or another process that takes over goes on where this one
was. An attempt is written down with the pause after its failure before it begins, so that a crash in its midst does not
lead to another one at once, and a storage that takes nothing keeps us from ordering what could not be kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from gateway_plugin_sdk import Clock, GatewayError, Metrics, Tasks

from gateway_plugin_acme.accounts import Accounts
from gateway_plugin_acme.authority import RATE_LIMITED, AuthorityError
from gateway_plugin_acme.certificate_store import Known
from gateway_plugin_acme.config import AcmeConfig, AuthorityConfig
from gateway_plugin_acme.crypto import facts_of
from gateway_plugin_acme.dns import DnsRecords
from gateway_plugin_acme.names import Wanted
from gateway_plugin_acme.orders import ForgottenError, NoLongerWantedError, obtain
from gateway_plugin_acme.proofs import Proofs
from gateway_plugin_acme.records import (
    FORGET,
    REQUESTS,
    STATES,
    Pause,
    State,
    StoredCertificate,
    authority_id,
)
from gateway_plugin_acme.renewal import (
    LONGEST_WAIT,
    next_suggestion,
    retry_delay,
    spread,
)
from gateway_plugin_acme.shared import SharedStorage
from gateway_plugin_acme.storage import LOCK_TTL, StorageError

_ORDERS_AT_ONCE: Final = 8
_SHORTEST_LOOK: Final = 0.05
_LONGEST_LOOK: Final = 60.0
"""Seconds between two looks at what is due: a clock that is set forward is noticed by then."""
_LONGEST_PAUSE: Final = 900.0
"""Seconds for which one rate limit keeps all names from an authority; it may concern one name only."""

_logger = logging.getLogger("gateway.plugins.acme")


class Orderer:
    """One source's certificates, at the authorities."""

    def __init__(
        self,
        config: AcmeConfig,
        storage: SharedStorage,
        wanted: Callable[[], Mapping[str, Wanted]],
        dns: DnsRecords | None,
        clock: Clock,
        metrics: Metrics,
        on_issued: Callable[[str, StoredCertificate], None],
        may_stay: Callable[[Wanted], Awaitable[bool]],
        read_names: Callable[[], Awaitable[object]] | None,
    ) -> None:
        """Begin without the lock.

        :param wanted: returns what to have now, by id.
        :param on_issued: called with each certificate, also with one that the storage does not take.
        :param may_stay: asked before a certificate is renewed; False has it forgotten.
        :param read_names: reads the names on demand, of which a command may have removed some; None without them.
        """
        self._config, self._records, self._wanted, self._dns = config, storage.records, wanted, dns
        self._clock, self._on_issued, self._may_stay, self._read_names = clock, on_issued, may_stay, read_names
        self._orders = metrics.counter("gateway_acme_orders_total", "Certificates that were ordered", ("outcome",))
        self._wake = asyncio.Event()
        self._store, self._running, self._forgotten = storage.certificates, storage.running, storage.forgotten
        self._forced: set[str] = set()
        """Ids of certificates to renew whatever the time is."""
        self._slots = asyncio.Semaphore(_ORDERS_AT_ONCE)
        self._accounts: Accounts | None = None
        self._reported = ""
        self.has_lock = False

    def wake(self) -> None:
        """Look at once at what is wanted."""
        self._wake.set()

    def is_unsaved(self, key: str) -> bool:
        """Whether a certificate serves that the storage has not taken yet."""
        return self._store.is_unsaved(key)

    async def run(self) -> None:
        """Wait for the lock, and order while it is ours; without end."""
        storage = self._records.storage
        try:
            while True:
                try:
                    self.has_lock = await storage.lock()
                except StorageError as error:
                    self._report(error)
                if self.has_lock:
                    await self._order_with_lock()
                await asyncio.sleep(self._config.poll)
        finally:
            self.has_lock = False

    async def _order_with_lock(self) -> None:
        """Order until the lock is lost."""
        self._reported = ""
        _logger.info("certificates are ordered by this process")
        self._accounts = accounts = Accounts(self._records, self._config.email, self._clock, self._config.retry)
        self._store.begin()
        tasks = Tasks()
        ordering = tasks.spawn(self._order(tasks), name="order certificates")
        keeping = tasks.spawn(self._keep_lock(), name="keep the lock of certificates")
        try:
            await asyncio.wait({ordering, keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.has_lock = False
            accounts.close()
            await tasks.aclose()

    def _report(self, error: StorageError) -> None:
        """Log what keeps us from ordering, once as long as it is the same."""
        if str(error) != self._reported:
            self._reported = str(error)
            _logger.warning("certificates are not renewed: %s", error)

    async def _keep_lock(self) -> None:
        end = self._clock.monotonic() + LOCK_TTL
        while self._clock.monotonic() < end:
            await asyncio.sleep(LOCK_TTL / 4)
            try:
                if not await self._records.storage.lock():
                    return
            except StorageError as error:
                _logger.warning("the lock of certificates cannot be kept: %s", error)
                continue
            end = self._clock.monotonic() + LOCK_TTL

    async def _order(self, tasks: Tasks) -> None:
        while self.has_lock:
            self._wake.clear()
            try:
                wait = await self._begin_due(tasks)
            except StorageError as error:
                self._report(error)
                wait = self._config.poll
            else:
                self._reported = ""
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(min(wait, self._config.poll), _SHORTEST_LOOK)):
                    await self._wake.wait()

    async def _begin_due(self, tasks: Tasks) -> float:
        """Begin what is due; return in how many seconds something else is.

        :raises StorageError: the storage is away.
        """
        await self._read_requests()
        await self._store.save_unsaved()
        now, wait = self._clock.wall(), _LONGEST_LOOK
        for key, wanted in self._wanted().items():
            if key in self._running:
                continue
            due = await self._due(key, wanted)
            if key in self._running:  # another source of this process has begun meanwhile
                continue
            if due <= now:
                self._running.add(key)
                renewing = tasks.spawn(self._renew(key, wanted), name=f"certificate for {wanted}")
                renewing.add_done_callback(partial(self._ended, key))
            else:
                wait = min(wait, due - now)
        return wait

    def _ended(self, key: str, _task: object) -> None:
        # Of a task that was cancelled before its first step, nothing else runs.
        self._running.discard(key)
        self._forgotten.discard(key)
        self._wake.set()

    async def _read_requests(self) -> None:
        """Take what the command has asked for."""
        storage = self._records.storage
        for key in await storage.names(REQUESTS):
            is_forgotten = await storage.get(f"{REQUESTS}/{key}") == FORGET
            if is_forgotten and self._read_names is not None:
                await self._read_names()
                self._store.drop(key)
                if key in self._running:
                    self._forgotten.add(key)
                elif key not in self._wanted():
                    await self._store.forget(key)
            elif not is_forgotten and key in self._wanted():
                self._store.drop(key)
                self._forced.add(key)
            else:
                continue  # it is for another source
            await storage.delete(f"{REQUESTS}/{key}")

    async def _due(self, key: str, wanted: Wanted) -> float:
        """Return when something is to be done about a certificate, in seconds since the epoch."""
        try:
            known = await self._store.get(key, wanted)
        except StorageError:
            raise
        except GatewayError as error:
            # It is there and cannot be read: ordering another one would not mend that.
            _logger.error("the certificate for %s: %s", wanted, error)
            return self._clock.wall() + _LONGEST_LOOK
        if key in self._forced:
            return 0.0
        state, renewal = known.state, self._renewal(known)
        if known.certificate is None or renewal is None:
            return state.next_attempt
        return min(max(renewal, state.next_attempt), max(state.window_next, known.certificate.issued))

    def _renewal(self, known: Known) -> float | None:
        """Return when to renew a certificate; None if there is none, or one of an authority that is no longer asked."""
        certificate = known.certificate
        if certificate is None or all(each.url != certificate.authority for each in self._config.authorities):
            return None
        return known.renewal

    async def _renew(self, key: str, wanted: Wanted) -> None:
        try:
            async with self._slots:
                await self._renew_if_due(key, wanted)
            if key in self._forgotten and key not in self._wanted():
                await self._store.forget(key)
        except GatewayError as error:
            _logger.error("the certificate for %s: %s", wanted, error)
            self._store.postpone(key, self._clock.wall() + self._config.retry, str(error))

    async def _renew_if_due(self, key: str, wanted: Wanted) -> None:
        known, now = await self._store.get(key, wanted), self._clock.wall()
        if known.certificate is not None and self._renewal(known) is not None and now >= known.state.window_next:
            await self._ask_for_window(key, known.certificate, known.state)
            known = await self._store.get(key, wanted)
        renewal = self._renewal(known)
        if key in self._forced:
            self._forced.discard(key)
            await self._order_one(key, wanted, known.certificate, replace(known.state, waits={}))
        elif renewal is None or max(renewal, known.state.next_attempt) <= now:
            await self._order_one(key, wanted, known.certificate, known.state)

    async def _ask_for_window(self, key: str, certificate: StoredCertificate, state: State) -> None:
        """Ask the authority when it suggests to renew (RFC 9773); its silence changes nothing."""
        now = self._clock.wall()
        config = next((each for each in self._config.authorities if each.url == certificate.authority), None)
        window, after = None, None
        if config is not None and facts_of(certificate.chain.encode()).not_after > now:  # RFC 9773 section 4.3
            # Whether it suggests something does not decide whether it issues.
            accounts, resource = self._open_accounts, f"{config.url} renewalInfo"
            try:
                accounts.check_away(resource)
                authority = await accounts.authority(config)
                ask = accounts.thread_of(config).run
                window, after = await ask(authority.suggested_window, certificate.chain.encode())
            except AuthorityError as error:
                accounts.note_away(resource, error)
                _logger.info("no suggestion when to renew the certificate for %s: %s", ", ".join(state.names), error)
                after = error.retry_after if error.code else None
        state = replace(state, window_next=next_suggestion(now, after))
        if window is not None:
            state = replace(state, window_start=window.start, window_end=window.end)
        await self._store.put_state(key, state)

    @property
    def _open_accounts(self) -> Accounts:
        assert self._accounts is not None, "the lock is ours"
        return self._accounts

    async def _order_one(self, key: str, wanted: Wanted, old: StoredCertificate | None, before: State) -> None:
        now, failures = self._clock.wall(), before.failures + 1
        pause = retry_delay(failures, self._config.retry, spread(f"{key}{failures}"))
        state = replace(before, names=wanted.names, failures=failures, next_attempt=now + pause, begun=now)
        await self._store.put_state(key, state)
        problems = []
        waits: dict[str, float] = {}
        for config in self._config.authorities:
            name = authority_id(config.url)
            try:
                issued = await self._order_from(config, key, wanted, old, before)
            except NoLongerWantedError:
                await self._store.put_back(key, before)
                return
            except ForgottenError as reason:
                await self._store.forget(key)
                _logger.info("%s", reason)
                return
            except AuthorityError as error:
                problems.append(f"{config.url}: {error}")
                self._open_accounts.note_away(config.url, error)
                if error.retry_after is not None:
                    waits[name] = self._clock.wall() + min(error.retry_after, LONGEST_WAIT)
                if error.code == RATE_LIMITED:
                    await self._pause(config, error)
            except StorageError:
                raise
            except GatewayError as error:
                problems.append(f"{config.url}: {error}")
            else:
                await self._issued(key, wanted, issued, before)
                return
        self._orders.labels("failed").inc()
        # Another attempt makes sense as soon as one of the authorities may be asked.
        first = min(waits.get(authority_id(config.url), 0.0) for config in self._config.authorities)
        failed = replace(
            state,
            begun=0.0,
            failed=self._clock.wall(),
            error="; ".join(problems),
            waits=waits,
            next_attempt=max(state.next_attempt, first),
        )
        await self._store.put_state(key, failed)
        await self._store.announce(key)
        _logger.warning(
            "no certificate for %s: %s; the next attempt is in %.0f s", wanted, failed.error, failed.next_attempt - now
        )

    async def _order_from(
        self, config: AuthorityConfig, key: str, wanted: Wanted, old: StoredCertificate | None, before: State
    ) -> StoredCertificate:
        name, now = authority_id(config.url), self._clock.wall()
        if (until := before.waits.get(name, 0.0)) > now:
            raise AuthorityError("is not asked until the time that it has given", retry_after=until - now)
        pause = await self._records.get(STATES, f"authority-{name}", Pause)
        if pause is not None and pause.until > now:
            raise AuthorityError(f"is not asked because of a rate limit: {pause.reason}", retry_after=pause.until - now)
        is_first = old is None and not before.succeeded and not before.failures  # which has just been allowed
        if not is_first and not await self._may_stay(wanted):
            raise ForgottenError(f"the certificate for {wanted} is dropped: on_demand.ask refuses the name now")
        authority = await self._open_accounts.authority(config)
        chain, private = await obtain(
            self._open_accounts.thread_of(config),
            authority,
            wanted,
            Proofs(self._records, self._config.challenges, self._dns, self._clock.wall),
            key_kind=self._config.key,
            failures=before.failures,
            replaces=old.chain.encode() if old is not None and old.authority == config.url else None,
            is_wanted=lambda: key in self._wanted(),
            now=self._clock.wall,
        )
        return StoredCertificate(wanted.names, chain.decode(), private.decode(), config.url, self._clock.wall())

    async def _pause(self, config: AuthorityConfig, error: AuthorityError) -> None:
        seconds = min(error.retry_after if error.retry_after is not None else _LONGEST_PAUSE, _LONGEST_PAUSE)
        pause = Pause(self._clock.wall() + seconds, str(error))
        await self._records.put(STATES, f"authority-{authority_id(config.url)}", pause)

    async def _issued(self, key: str, wanted: Wanted, issued: StoredCertificate, before: State) -> None:
        self._on_issued(key, issued)
        self._orders.labels("issued").inc()
        _logger.info("a certificate for %s was issued by %s", wanted, issued.authority)
        await self._store.put_issued(key, issued, State(wanted.names, succeeded=issued.issued, failed=before.failed))
