"""Certificates that extensions provide: each source is run, and its listener gets what it yields.

A source is known by its listener's address, its name and its configuration, so that a reload that changes nothing about
it neither asks again nor is without certificates; which hosts its listeners serve may change meanwhile. Every worker
runs its own.

Sources may respond to an authority that validates a name, and get certificates on demand: `gateway_core.proxy` asks
here for the content of challenges over HTTP, the acceptors for certificates.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import aclosing
from random import Random
from typing import TYPE_CHECKING, Final, TypeVar

from gateway_core.backoff import Backoff
from gateway_core.clock import Clock
from gateway_core.config import ListenConfig, factory_config
from gateway_core.errors import GatewayError
from gateway_core.events import CERTIFICATES_MISSING, CERTIFICATES_STALE, emit
from gateway_core.failure_text import failure_text
from gateway_core.hooks import (
    Certificate,
    CertificateContext,
    CertificateFactory,
    CertificateSource,
    ChallengeResponder,
    Hook,
    HostsInForce,
    IssuanceReporter,
    IssuanceStatus,
    OnDemandSource,
    ServedHosts,
)
from gateway_core.metrics import Metrics
from gateway_core.proxy.challenges import challenge_hook
from gateway_core.tasks import Tasks
from gateway_core.upstreams.runtime import frozen

if TYPE_CHECKING:
    import aiohttp

FIRST_WAIT: Final = 5.0
"""Seconds that a configuration waits for the first certificates of its sources; later ones come while it serves."""

_LONGEST_PAUSE: Final = 60.0

_RESPONSE_WAIT: Final = 2.0
"""Seconds in which a source finds what an authority asks for; all is far from where it waits."""

HostsOf = Callable[[Sequence[ListenConfig]], ServedHosts]
"""Returns what some listeners serve, by one configuration."""

_T = TypeVar("_T")
_Key = tuple[str, str, Hashable]

_logger: Final = logging.getLogger("gateway.certificates")


class CertificateFeed:
    """What one source has yielded last."""

    def __init__(
        self,
        label: str,
        source: CertificateSource,
        rng: Random,
        on_change: Callable[[], None],
        hosts: HostsInForce | None = None,
    ) -> None:
        """Begin to follow a source.

        :param label: the source in messages.
        :param on_change: called when there are other certificates than before.
        :param hosts: what the source was given as its hosts.
        """
        self.source, self.hosts = source, hosts or HostsInForce()
        self.latest: Sequence[Certificate] = ()
        self.first = asyncio.Event()
        """Set once it has yielded or failed."""
        self.label = label
        self._source = source
        self._backoff = Backoff(rng, first=0.5, longest=_LONGEST_PAUSE)
        self._on_change = on_change
        self._tasks = Tasks()
        self._tasks.supervise(self._run, name=label)

    async def _run(self) -> None:
        while True:
            reason = "it has ended"
            try:
                async with aclosing(self._source.certificates()) as states:  # type: ignore[type-var]  # async generators
                    async for certificates in states:
                        self._backoff.reset()
                        self._take(tuple(certificates))
            except Exception as error:  # noqa: BLE001 - the extension's own code
                reason = failure_text(error)
            self.first.set()
            delay = self._backoff.next_delay()
            emit(
                CERTIFICATES_STALE,
                f"{self.label}: {reason}, what it yielded last stays in use; the next attempt is in {delay:.1f} s",
                source=self.label,
                reason=reason,
                seconds=round(delay, 1),
            )
            await asyncio.sleep(delay)

    def _take(self, certificates: Sequence[Certificate]) -> None:
        is_new = certificates != self.latest
        self.latest = certificates
        self.first.set()
        if is_new:
            self._on_change()

    async def aclose(self) -> None:
        """End the source."""
        await self._tasks.aclose()


class CertificateFeeds:
    """The sources of all listeners."""

    def __init__(
        self,
        clock: Clock,
        session: Callable[[], aiohttp.ClientSession],
        on_change: Callable[[str], None],
        metrics: Metrics | None = None,
    ) -> None:
        """Begin without any.

        :param on_change: called with the address of a listener that has other certificates than before.
        """
        self._clock = clock
        self._session = session
        self._on_change = on_change
        self._metrics = metrics or Metrics()
        self._hook: Hook | None = None
        self._rng = Random()  # noqa: S311 - spreads load, keeps no secret
        self._factories: dict[str, CertificateFactory] = {}
        self._feeds: dict[_Key, CertificateFeed] = {}

    def extend(self, factories: Mapping[str, CertificateFactory]) -> None:
        """Offer what extensions bring."""
        self._factories.update(factories)

    async def open(self, listen: Sequence[ListenConfig], hosts_of: HostsOf = lambda _: ServedHosts()) -> None:
        """Begin to follow what these listeners name, and wait for the first certificates for some seconds.

        :param hosts_of: for sources that begin now; the others get theirs by `put_in_force`.
        :raises GatewayError: there is no such source, or it refuses its configuration.
        """
        for key, config in _wanted(listen).items():
            if key not in self._feeds:
                self._feeds[key] = self._start(key, config, hosts_of(_listeners_with(key, listen)))
        waiting = [feed.first.wait() for feed in self._feeds.values() if not feed.first.is_set()]
        if waiting:
            try:
                async with asyncio.timeout(FIRST_WAIT):
                    await asyncio.gather(*waiting)
            except TimeoutError:
                emit(CERTIFICATES_MISSING, "not all certificates of extensions have come yet")

    def _start(self, key: _Key, config: Mapping[str, object], served: ServedHosts) -> CertificateFeed:
        address, name, _ = key
        label = f"certificates {name!r} of listener {address}"
        factory = self._factories.get(name)
        if factory is None:
            raise GatewayError(f"{label}: no installed extension offers them")
        hosts = HostsInForce(served)
        context = CertificateContext(address, self._clock, self._rng, self._session, hosts, self._metrics)
        try:
            source = factory(factory_config(factory, config), context)
        except Exception as error:  # the extension's own code
            raise GatewayError(f"{label}: {error}") from error
        return CertificateFeed(label, source, self._rng, lambda: self._on_change(address), hosts)

    def certificates_of(self, listen: ListenConfig) -> Sequence[Certificate]:
        """Return what the sources of a listener have yielded last, in the order of its entries."""
        return [
            certificate for key in _wanted([listen]) if key in self._feeds for certificate in self._feeds[key].latest
        ]

    @property
    def challenge_hook(self) -> Hook | None:
        """What responds to challenges over HTTP; None if no source may be asked for proofs."""
        if not any(isinstance(feed.source, ChallengeResponder) for feed in self._feeds.values()):
            return None
        if self._hook is None:
            self._hook = challenge_hook(self.key_authorization, self._clock, self._metrics)
        return self._hook

    async def key_authorization(self, token: str) -> str | None:
        """Return what the source that knows a token has for it; None if there is none."""
        for feed in list(self._feeds.values()):
            source = feed.source
            if isinstance(source, ChallengeResponder):
                found = await _asked(feed, source.key_authorization(token))
                if found is not None:
                    return found
        return None

    async def challenge_certificate(self, server_name: str) -> Certificate | None:
        """Return what an authority that validates a name by TLS is shown; None if nothing is."""
        for feed in list(self._feeds.values()):
            source = feed.source
            if isinstance(source, ChallengeResponder):
                found = await _asked(feed, source.challenge_certificate(server_name))
                if found is not None:
                    return found
        return None

    def provide(self, address: str, server_name: str) -> Awaitable[object] | None:
        """Return what ends once a name has a certificate, or gets none; None if there is nothing to wait for."""
        for (where, _, _), feed in self._feeds.items():
            source = feed.source
            if where == address and isinstance(source, OnDemandSource):
                try:
                    found = source.provide(server_name)
                except Exception:  # the extension's own code
                    _logger.exception("%s failed on a server name", feed.label)
                    continue
                if found is not None:
                    return found
        return None

    def issuance(self) -> Sequence[tuple[str, IssuanceStatus]]:
        """Return how getting the certificates goes that sources order, each with the address of its listener."""
        found: list[tuple[str, IssuanceStatus]] = []
        for (address, _, _), feed in list(self._feeds.items()):
            if isinstance(feed.source, IssuanceReporter):
                try:
                    found += [(address, each) for each in feed.source.issuance()]
                except Exception:  # the extension's own code
                    _logger.exception("%s failed to report its certificates", feed.label)
        return found

    async def put_in_force(self, listen: Sequence[ListenConfig], hosts_of: HostsOf) -> None:
        """Give the sources of these listeners what the listeners serve now, and end all others."""
        await self.keep_only(listen)
        for key, feed in self._feeds.items():
            feed.hosts.replace(hosts_of(_listeners_with(key, listen)))

    async def keep_only(self, listen: Sequence[ListenConfig]) -> None:
        """End the sources that these listeners do not name."""
        for key in self._feeds.keys() - _wanted(listen).keys():
            await self._feeds.pop(key).aclose()

    async def aclose(self) -> None:
        """End all sources."""
        await self.keep_only(())


async def _asked(feed: CertificateFeed, response: Awaitable[_T]) -> _T | None:
    try:
        async with asyncio.timeout(_RESPONSE_WAIT):
            return await response
    except Exception:  # the extension's own code
        _logger.exception("%s failed to respond to a challenge", feed.label)
        return None


def _listeners_with(key: _Key, listen: Sequence[ListenConfig]) -> list[ListenConfig]:
    return [each for each in listen if key in _wanted([each])]


def _wanted(listen: Sequence[ListenConfig]) -> dict[_Key, Mapping[str, object]]:
    return {
        (config.address, entry.name, frozen(entry.config)): entry.config
        for config in listen
        if config.tls is not None
        for entry in config.tls.certificates
        if entry.name is not None
    }
