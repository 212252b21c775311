"""Gets certificates and renews them, in the one process of all workers and gateways that has the storage's lock.

Everything that decides when is stored: a restart, a reload or another process that takes over goes on where this one
was. An attempt is written down with the pause after its failure before it begins, so that a crash in its midst does not
lead to another one at once, and a storage that takes nothing keeps us from ordering what could not be kept.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from gateway_plugin_sdk import Clock, GatewayError, Metrics, Tasks

from gateway_plugin_acme.accounts import Accounts
from gateway_plugin_acme.authority import RATE_LIMITED, Authority, AuthorityError
from gateway_plugin_acme.config import AcmeConfig, AuthorityConfig
from gateway_plugin_acme.crypto import UnusableCertificateError, facts_of
from gateway_plugin_acme.dns import DnsRecords
from gateway_plugin_acme.names import Wanted
from gateway_plugin_acme.orders import AuthorityThread, ForgottenError, NoLongerWantedError, obtain
from gateway_plugin_acme.proofs import Proofs
from gateway_plugin_acme.records import (
    CERTIFICATES,
    FORGET,
    REQUESTS,
    REVISION,
    STATES,
    Pause,
    Records,
    State,
    StoredCertificate,
    authority_id,
)
from gateway_plugin_acme.renewal import (
    LONGEST_WAIT,
    Window,
    next_suggestion,
    not_before_next,
    renewal_time,
    retry_delay,
    spread,
)
from gateway_plugin_acme.storage import LOCK_TTL, StorageError

_ORDERS_AT_ONCE: Final = 8
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
        records: Records,
        wanted: Callable[[], Mapping[str, Wanted]],
        dns: DnsRecords | None,
        clock: Clock,
        metrics: Metrics,
        on_issued: Callable[[str, StoredCertificate], None],
        may_stay: Callable[[Wanted], Awaitable[bool]],
    ) -> None:
        """Begin without the lock.

        :param wanted: returns what to have now, by id.
        :param on_issued: called with each certificate, also with one that the storage does not take.
        :param may_stay: asked before a certificate is renewed; False has it forgotten.
        """
        self._config, self._records, self._wanted, self._dns = config, records, wanted, dns
        self._clock, self._on_issued, self._may_stay = clock, on_issued, may_stay
        self._orders = metrics.counter("gateway_acme_orders_total", "Certificates that were ordered", ("outcome",))
        self._wake = asyncio.Event()
        self._known: dict[str, tuple[StoredCertificate | None, State]] = {}
        self._forced: set[str] = set()
        self._unsaved: dict[str, StoredCertificate] = {}
        self._slots = asyncio.Semaphore(_ORDERS_AT_ONCE)
        self._thread: AuthorityThread | None = None
        self._accounts: Accounts | None = None
        self._reported = ""
        self.has_lock = False

    def wake(self) -> None:
        """Look at once at what is wanted."""
        self._wake.set()

    def is_unsaved(self, key: str) -> bool:
        """Whether a certificate serves that the storage has not taken yet."""
        return key in self._unsaved

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
        self._thread = AuthorityThread()
        self._accounts = Accounts(self._records, self._thread, self._config.email, self._clock.wall)
        self._known = {key: known for key, known in self._known.items() if key in self._unsaved}
        tasks = Tasks()
        ordering = tasks.spawn(self._order(tasks), name="order certificates")
        keeping = tasks.spawn(self._keep_lock(), name="keep the lock of certificates")
        try:
            await asyncio.wait({ordering, keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.has_lock = False
            self._thread.close()
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
        try:
            await self._order_due(tasks)
        except StorageError as error:
            self._report(error)

    async def _order_due(self, tasks: Tasks) -> None:
        running: set[str] = set()
        while True:
            self._wake.clear()
            await self._read_requests()
            await self._save_unsaved()
            now, wait = self._clock.wall(), _LONGEST_LOOK
            for key, wanted in self._wanted().items():
                if key in running:
                    continue
                due = await self._due(key, wanted)
                if due <= now:
                    running.add(key)
                    tasks.spawn(self._renew(key, wanted, running), name=f"certificate for {wanted}")
                else:
                    wait = min(wait, due - now)
            try:
                async with asyncio.timeout(max(min(wait, self._config.poll), 0.05)):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _read_requests(self) -> None:
        """Take what the command has asked for."""
        storage = self._records.storage
        for name in await storage.names(REQUESTS):
            request = await storage.get(f"{REQUESTS}/{name}")
            await storage.delete(f"{REQUESTS}/{name}")
            self._known.pop(name, None)
            if request != FORGET:
                self._forced.add(name)

    async def _state(self, key: str, wanted: Wanted) -> tuple[StoredCertificate | None, State]:
        known = self._known.get(key)
        if known is None:
            state = await self._records.get(STATES, key, State) or State(wanted.names)
            if state.begun:  # by a process that has ended, or has lost the lock
                state = replace(state, begun=0.0, failed=state.begun, error="it was interrupted")
            known = self._known[key] = (await self._records.get(CERTIFICATES, key, StoredCertificate), state)
        return known

    async def _due(self, key: str, wanted: Wanted) -> float:
        """Return when something is to be done about a certificate, in seconds since the epoch."""
        try:
            certificate, state = await self._state(key, wanted)
        except StorageError:
            raise
        except GatewayError as error:
            # It is there and cannot be read: ordering another one would not mend that.
            _logger.error("the certificate for %s: %s", wanted, error)
            return self._clock.wall() + _LONGEST_LOOK
        if key in self._forced:
            return 0.0
        renewal = _renewal(key, certificate, state)
        if certificate is None or renewal is None:
            return state.next_attempt
        at = max(renewal, state.next_attempt)
        return min(at, max(state.window_next, certificate.issued))

    async def _renew(self, key: str, wanted: Wanted, running: set[str]) -> None:
        try:
            async with self._slots:
                await self._renew_if_due(key, wanted)
        except GatewayError as error:
            _logger.error("the certificate for %s: %s", wanted, error)
            certificate, state = self._known.get(key, (None, State(wanted.names)))
            pause = self._clock.wall() + self._config.retry
            self._known[key] = certificate, replace(state, next_attempt=pause, error=str(error))
        finally:
            running.discard(key)
            self._wake.set()

    async def _renew_if_due(self, key: str, wanted: Wanted) -> None:
        certificate, state = await self._state(key, wanted)
        now = self._clock.wall()
        if certificate is not None and now >= state.window_next:
            state = await self._ask_for_window(key, certificate, state)
        renewal = _renewal(key, certificate, state)
        if key in self._forced:
            self._forced.discard(key)
            await self._order_one(key, wanted, certificate, replace(state, waits={}))
        elif renewal is None or max(renewal, state.next_attempt) <= now:
            await self._order_one(key, wanted, certificate, state)

    async def _ask_for_window(self, key: str, certificate: StoredCertificate, state: State) -> State:
        """Ask the authority when it suggests to renew (RFC 9773); its silence changes nothing."""
        now = self._clock.wall()
        config = next((each for each in self._config.authorities if each.url == certificate.authority), None)
        window, after = None, None
        if config is not None and facts_of(certificate.chain.encode()).not_after > now:  # RFC 9773 section 4.3
            try:
                authority = await self._open(config)
                assert self._thread is not None, "the lock is ours"
                window, after = await self._thread.run(authority.suggested_window, certificate.chain.encode())
            except AuthorityError as error:
                _logger.info("no suggestion when to renew the certificate for %s: %s", state.names, error)
                after = error.retry_after
        state = replace(state, window_next=next_suggestion(now, after))
        if window is not None:
            state = replace(state, window_start=window.start, window_end=window.end)
        return await self._put_state(key, certificate, state)

    async def _put_state(self, key: str, certificate: StoredCertificate | None, state: State) -> State:
        await self._records.put(STATES, key, state)
        self._known[key] = certificate, state
        return state

    async def _open(self, config: AuthorityConfig) -> Authority:
        assert self._accounts is not None, "the lock is ours"
        return await self._accounts.authority(config)

    async def _order_one(self, key: str, wanted: Wanted, old: StoredCertificate | None, before: State) -> None:
        now, failures = self._clock.wall(), before.failures + 1
        pause = retry_delay(failures, self._config.retry, spread(f"{key}{failures}"))
        state = replace(before, names=wanted.names, failures=failures, next_attempt=now + pause, begun=now)
        await self._put_state(key, old, state)
        problems = []
        waits: dict[str, float] = {}
        for config in self._config.authorities:
            name = authority_id(config.url)
            try:
                issued = await self._order_from(config, key, wanted, old, before)
            except NoLongerWantedError:
                await self._put_state(key, old, before)
                return
            except ForgottenError as reason:
                await self._forget(key)
                _logger.info("%s", reason)
                return
            except AuthorityError as error:
                problems.append(f"{config.url}: {error}")
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
        state = await self._put_state(key, old, failed)
        await self._announce()
        _logger.warning(
            "no certificate for %s: %s; the next attempt is in %.0f s", wanted, state.error, state.next_attempt - now
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
        authority = await self._open(config)
        assert self._thread is not None, "the lock is ours"
        chain, private = await obtain(
            self._thread,
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

    async def _forget(self, key: str) -> None:
        self._known.pop(key, None)
        self._unsaved.pop(key, None)
        await self._records.forget(key)
        await self._announce()

    async def _pause(self, config: AuthorityConfig, error: AuthorityError) -> None:
        seconds = min(error.retry_after if error.retry_after is not None else _LONGEST_PAUSE, _LONGEST_PAUSE)
        pause = Pause(self._clock.wall() + seconds, str(error))
        await self._records.put(STATES, f"authority-{authority_id(config.url)}", pause)

    async def _issued(self, key: str, wanted: Wanted, issued: StoredCertificate, before: State) -> None:
        state = State(wanted.names, succeeded=issued.issued, failed=before.failed)
        self._known[key] = issued, state
        self._on_issued(key, issued)
        self._orders.labels("issued").inc()
        _logger.info("a certificate for %s was issued by %s", wanted, issued.authority)
        try:
            await self._save(key, issued, state)
        except StorageError as error:
            # It serves here, and is not ordered again: that would meet the limits of the authority.
            self._unsaved[key] = issued
            _logger.error("the certificate for %s serves, but is lost when this process ends: %s", wanted, error)

    async def _save(self, key: str, issued: StoredCertificate, state: State) -> None:
        await self._records.put(CERTIFICATES, key, issued)
        await self._records.put(STATES, key, state)
        await self._announce()

    async def _announce(self) -> None:
        """Have all workers and gateways read what is stored."""
        await self._records.storage.put(REVISION, secrets.token_hex(8).encode())

    async def _save_unsaved(self) -> None:
        for key, issued in list(self._unsaved.items()):
            try:
                await self._save(key, issued, self._known[key][1])
            except StorageError:
                return
            del self._unsaved[key]
            _logger.info("the certificate for %s is stored now", ", ".join(issued.names))


def _renewal(key: str, certificate: StoredCertificate | None, state: State) -> float | None:
    """Return when to renew a certificate; None if there is none that can be used."""
    if certificate is None:
        return None
    try:
        facts = facts_of(certificate.chain.encode())
    except UnusableCertificateError:
        return None
    window = Window(state.window_start, state.window_end) if state.window_end else None
    at = renewal_time(facts.not_before, facts.not_after, window, spread(f"{key}{facts.not_after}"))
    return max(at, not_before_next(certificate.issued, facts.not_before, facts.not_after))
