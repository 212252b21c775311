"""The source of certificates that the gateway runs in each worker.

Every worker of every gateway reads certificates from the storage and responds to challenges from there; the one that
has the lock orders (`orderer`). A name without a certificate gets one of our own until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import Final

from gateway_plugin_sdk import Certificate, CertificateContext, GatewayError, IssuanceStatus, Tasks

from gateway_plugin_acme.config import AcmeConfig
from gateway_plugin_acme.crypto import check_fits, new_key, self_signed
from gateway_plugin_acme.dns import DnsRecords, find_provider
from gateway_plugin_acme.names import Abilities, Plan, Wanted, plan_listed, plan_served
from gateway_plugin_acme.on_demand import OnDemand
from gateway_plugin_acme.orderer import Orderer
from gateway_plugin_acme.proofs import find_key_authorization, find_validation
from gateway_plugin_acme.records import CERTIFICATES, REVISION, STATES, Records, State, StoredCertificate
from gateway_plugin_acme.revision import changed_since
from gateway_plugin_acme.shared import SharedStorage, shared_storage
from gateway_plugin_acme.storage import StorageError

_OWN_FOR: Final = 6 * 86400.0
"""Seconds after which a certificate of our own is replaced, a day before it expires."""
_STORED_WITHIN: Final = 60.0
"""Seconds from the issuance of a certificate until it is stored at the latest, unless the storage does not take it."""
_AT_MOST_EVERY: Final = 0.5
"""Seconds between two changes: a listener reads what is new after each."""
_FIRST_WITHIN: Final = 3.0
"""Seconds that the storage is waited for before clients get certificates of our own; the gateway waits for longer."""
_READ_ALL_EVERY: Final = 600.0
"""Seconds after which all is read that may have been changed without a revision, by hand for example."""
_READ_AT_ONCE: Final = 16

_logger = logging.getLogger("gateway.plugins.acme")


class AcmeSource:
    """Certificates by ACME for the listeners of one address."""

    config_model = AcmeConfig

    def __init__(self, config: AcmeConfig, context: CertificateContext) -> None:
        self._config, self._context = config, context
        self._dns = None if config.dns is None else DnsRecords(config.dns, find_provider(config.dns))
        self._can = Abilities(
            has_dns=self._dns is not None and "dns-01" in config.challenges,
            is_private=all(each.ca is not None for each in config.authorities),
            remote_quota=config.remote_quota,
        )
        self._plan, self._planned = self._make_plan()
        self._certificates: dict[str, StoredCertificate] = {}
        self._states: dict[str, State] = {}
        self._own: dict[tuple[str, ...], tuple[Certificate, float]] = {}
        self._revision: bytes | None = None
        self._read_all_at = 0.0  # monotonic
        self._wake = asyncio.Event()
        self._opened = asyncio.Event()
        """Set once the storage has been opened, or that has failed."""
        self._reported: str = ""
        self._records: Records | None = None
        self._orderer: Orderer | None = None
        self._on_demand: OnDemand | None = None

    def _make_plan(self) -> tuple[Plan, Mapping[str, Wanted]]:
        """Return the plan, and its certificates by id."""
        if self._config.names:
            plan = plan_listed(self._config.names, self._can)
        else:
            hosts = self._context.hosts.current
            plan = plan_served(hosts.listener, hosts.routes, hosts.remote, self._can)
        return plan, {each.id: each for each in plan.wanted}

    def warnings(self) -> Sequence[str]:
        """Return which names cannot be had."""
        texts = [f"no certificate can be had for {name}, which {why}" for name, why in self._plan.refused.items()]
        if not texts and not self._plan.wanted and self._config.on_demand is None:
            texts.append(
                "there is no name to get a certificate for: give names, or hosts on the listener or its routes"
            )
        return texts

    async def certificates(self) -> AsyncIterator[Sequence[Certificate]]:
        """Yield the certificates of all names, at once and after each change."""
        for text in self.warnings():
            _logger.warning("%s", text)
        config, tasks = self._config, Tasks()
        async with shared_storage(config.storage, self._context.session, self._context.clock) as storage:
            try:
                tasks.supervise(lambda: self._run(storage, tasks), name="certificates by ACME")
                with contextlib.suppress(TimeoutError):
                    # A restart is to show what there is; a storage that hangs is not to hold it up.
                    async with asyncio.timeout(_FIRST_WITHIN):
                        await self._opened.wait()
                        await self._refresh()
                last: Sequence[Certificate] | None = None
                while True:
                    found = await self._shown()
                    if found != last:
                        last = found
                        yield found
                        self._set_served()
                        await asyncio.sleep(min(_AT_MOST_EVERY, config.poll))
                    await self._wait()
                    await self._refresh()
            finally:
                self._records = None
                await tasks.aclose()
                if self._on_demand is not None:
                    await self._on_demand.aclose()

    async def _run(self, storage: SharedStorage, tasks: Tasks) -> None:
        """Open the storage, and order while the lock is ours; again after a failure."""
        while True:
            try:
                await storage.start()
                break
            except StorageError as error:
                self._report(str(error))
                self._opened.set()
                await asyncio.sleep(self._config.poll)
        records = storage.records
        if self._config.on_demand is not None:
            self._on_demand = OnDemand(
                self._config.on_demand, records, self._context.session, self._context.clock, self._changed,
                is_private=self._can.is_private,
            )  # fmt: skip
        self._orderer = Orderer(
            self._config, storage, self._wanted, self._dns, self._context.clock, self._context.metrics, self._issued,
            self._may_stay, None if self._on_demand is None else self._on_demand.read,
        )  # fmt: skip
        self._records = records
        self._opened.set()
        self._wake.set()
        tasks.supervise(self._follow_hosts, name="hosts of certificates")
        await self._orderer.run()

    async def _follow_hosts(self) -> None:
        while True:
            await self._context.hosts.changed()
            self._plan, self._planned = self._make_plan()
            self._changed()

    def _changed(self) -> None:
        """Read and order what is wanted now."""
        self._wake.set()
        if self._orderer is not None:
            self._orderer.wake()

    def _issued(self, key: str, certificate: StoredCertificate) -> None:
        self._certificates[key] = certificate
        self._wake.set()

    def _wanted(self) -> Mapping[str, Wanted]:
        if self._on_demand is None:
            return self._planned
        return {**self._planned, **{each.id: each for each in self._on_demand.wanted()}}

    async def _may_stay(self, wanted: Wanted) -> bool:
        """Return whether a certificate may be renewed; what is configured may."""
        if self._on_demand is None or wanted.id in self._planned:
            return True
        may_stay = await self._on_demand.may_stay(wanted.names[0])
        if not may_stay:
            self._changed()
        return may_stay

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.poll):
                await self._wake.wait()
        self._wake.clear()

    async def _refresh(self) -> None:
        """Read what has changed in the storage; without it, what is known goes on."""
        records, now = self._records, self._context.clock.monotonic()
        if records is None:
            return
        try:
            revision = await records.storage.get(REVISION)
            if self._on_demand is not None and await self._on_demand.read():
                self._changed()
            wanted = self._wanted()
            for key in (self._certificates.keys() | self._states.keys()) - wanted.keys():
                self._certificates.pop(key, None)
                self._states.pop(key, None)
            changed = changed_since(self._revision, revision) if now < self._read_all_at else None
            keys = [key for key in wanted if changed is None or key in changed or key not in self._states]
            for start in range(0, len(keys), _READ_AT_ONCE):
                await asyncio.gather(*(self._read(records, key) for key in keys[start : start + _READ_AT_ONCE]))
            if changed is None:
                self._read_all_at = now + _READ_ALL_EVERY
            self._revision = revision
            self._reported = ""
        except StorageError as error:
            self._report(str(error))

    async def _read(self, records: Records, key: str) -> None:
        try:
            found = await records.get(CERTIFICATES, key, StoredCertificate)
            if found is not None and found != self._certificates.get(key):
                await asyncio.to_thread(check_fits, found.chain.encode(), found.key.encode())
            state = await records.get(STATES, key, State)
        except StorageError:
            raise
        except GatewayError as error:
            self._states.setdefault(key, State())
            self._report(f"{key}: {error}")
            return
        self._states[key] = state or State()
        if found is not None:
            self._certificates[key] = found
        elif state is not None and key in self._certificates and not self._is_on_its_way(key):
            del self._certificates[key]  # it was revoked; a storage that was emptied takes none from clients

    def _is_on_its_way(self, key: str) -> bool:
        """Whether a certificate may be missing in the storage because it is not there yet."""
        is_new = self._certificates[key].issued > self._context.clock.wall() - _STORED_WITHIN
        return is_new or (self._orderer is not None and self._orderer.is_unsaved(key))

    def _report(self, problem: str) -> None:
        if problem != self._reported:
            self._reported = problem
            _logger.error("%s", problem)

    async def _shown(self) -> list[Certificate]:
        """Return what clients are shown."""
        wanted, replaced = self._wanted(), [(name,) for name in self._plan.replaced]
        # Handshakes for those on demand wait.
        lacking = [each.names for key, each in self._planned.items() if key not in self._certificates]
        own = await self._replacements([*lacking, *replaced])
        stored = [(each.names, self._certificates[key]) for key, each in wanted.items() if key in self._certificates]
        shown = [Certificate(names, each.chain.encode(), each.key.encode()) for names, each in stored]
        return shown + own

    async def _replacements(self, lacking: Sequence[tuple[str, ...]]) -> list[Certificate]:
        """Return what clients are shown for names without a certificate."""
        if self._config.without_certificate == "refuse":
            return [Certificate(names, b"", b"") for names in lacking]
        now = self._context.clock.wall()
        kept = {names: made for names, made in self._own.items() if made[1] <= now < made[1] + _OWN_FOR}
        missing = [names for names in lacking if names not in kept]
        if missing:
            made = await asyncio.to_thread(lambda: [self_signed(names, new_key("ec256"), now) for names in missing])
            kept |= {names: (certificate, now) for names, certificate in zip(missing, made, strict=True)}
        self._own = {names: kept[names] for names in lacking}
        return [self._own[names][0] for names in lacking]

    def _set_served(self) -> None:
        if self._on_demand is not None:
            wanted = self._wanted()
            self._on_demand.serve(
                frozenset(name for key in self._certificates if key in wanted for name in wanted[key].names)
            )

    def issuance(self) -> Sequence[IssuanceStatus]:
        """Return what is stored of all names: the same in every worker of every gateway."""
        found = []
        for key, wanted in self._wanted().items():
            state, certificate = self._states.get(key, State()), self._certificates.get(key)
            issued = max(state.succeeded, 0.0 if certificate is None else certificate.issued)
            found.append(IssuanceStatus(wanted.names, issued, state.failed, state.error, state.next_attempt))
        return found

    # -- what the gateway asks while connections begin

    async def key_authorization(self, token: str) -> str | None:
        """Return what an authority is to read for a token."""
        return None if self._records is None else await find_key_authorization(self._records, token)

    async def challenge_certificate(self, server_name: str) -> Certificate | None:
        """Return what an authority is to see for a name."""
        return None if self._records is None else await find_validation(self._records, server_name)

    def provide(self, server_name: str) -> Awaitable[bool] | None:
        """Return what ends when a name has a certificate on demand."""
        return None if self._on_demand is None else self._on_demand.provide(server_name)
