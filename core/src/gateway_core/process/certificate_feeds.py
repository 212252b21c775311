"""Certificates that extensions provide: each source is run, and its listener gets what it yields.

A source is known by its listener's address, its name and its configuration, so that a reload that changes nothing about
it neither asks again nor is without certificates. Every worker runs its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import aclosing
from random import Random
from typing import Final

import aiohttp

from gateway_core.backoff import Backoff
from gateway_core.clock import Clock
from gateway_core.config import ListenConfig, factory_config
from gateway_core.errors import GatewayError
from gateway_core.events import CERTIFICATES_MISSING, CERTIFICATES_STALE, emit
from gateway_core.failure_text import failure_text
from gateway_core.hooks import Certificate, CertificateContext, CertificateFactory, CertificateSource
from gateway_core.tasks import Tasks
from gateway_core.upstreams.runtime import frozen

FIRST_WAIT: Final = 5.0
"""Seconds that a configuration waits for the first certificates of its sources; later ones come while it serves."""

_LONGEST_PAUSE: Final = 60.0

_Key = tuple[str, str, Hashable]


class CertificateFeed:
    """What one source has yielded last."""

    def __init__(self, label: str, source: CertificateSource, rng: Random, on_change: Callable[[], None]) -> None:
        """Begin to follow a source.

        :param label: the source in messages.
        :param on_change: called when there are other certificates than before.
        """
        self.latest: Sequence[Certificate] = ()
        self.first = asyncio.Event()
        """Set once it has yielded or failed."""
        self._label = label
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
                f"{self._label}: {reason}, what it yielded last stays in use; the next attempt is in {delay:.1f} s",
                source=self._label,
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
        self, clock: Clock, session: Callable[[], aiohttp.ClientSession], on_change: Callable[[str], None]
    ) -> None:
        """Begin without any.

        :param on_change: called with the address of a listener that has other certificates than before.
        """
        self._clock = clock
        self._session = session
        self._on_change = on_change
        self._rng = Random()  # noqa: S311 - spreads load, keeps no secret
        self._factories: dict[str, CertificateFactory] = {}
        self._feeds: dict[_Key, CertificateFeed] = {}

    def extend(self, factories: Mapping[str, CertificateFactory]) -> None:
        """Offer what extensions bring."""
        self._factories.update(factories)

    async def open(self, listen: Sequence[ListenConfig]) -> None:
        """Begin to follow what these listeners name, and wait for the first certificates for some seconds.

        :raises GatewayError: there is no such source, or it refuses its configuration.
        """
        for key, config in _wanted(listen).items():
            if key not in self._feeds:
                self._feeds[key] = self._start(key, config)
        waiting = [feed.first.wait() for feed in self._feeds.values() if not feed.first.is_set()]
        if waiting:
            try:
                async with asyncio.timeout(FIRST_WAIT):
                    await asyncio.gather(*waiting)
            except TimeoutError:
                emit(CERTIFICATES_MISSING, "not all certificates of extensions have come yet")

    def _start(self, key: _Key, config: Mapping[str, object]) -> CertificateFeed:
        address, name, _ = key
        label = f"certificates {name!r} of listener {address}"
        factory = self._factories.get(name)
        if factory is None:
            raise GatewayError(f"{label}: no installed extension offers them")
        context = CertificateContext(address, self._clock, self._rng, self._session)
        try:
            source = factory(factory_config(factory, config), context)
        except Exception as error:  # the extension's own code
            raise GatewayError(f"{label}: {error}") from error
        return CertificateFeed(label, source, self._rng, lambda: self._on_change(address))

    def certificates_of(self, listen: ListenConfig) -> Sequence[Certificate]:
        """Return what the sources of a listener have yielded last, in the order of its entries."""
        return [
            certificate for key in _wanted([listen]) if key in self._feeds for certificate in self._feeds[key].latest
        ]

    async def keep_only(self, listen: Sequence[ListenConfig]) -> None:
        """End the sources that these listeners do not name."""
        for key in self._feeds.keys() - _wanted(listen).keys():
            await self._feeds.pop(key).aclose()

    async def aclose(self) -> None:
        """End all sources."""
        await self.keep_only(())


def _wanted(listen: Sequence[ListenConfig]) -> dict[_Key, Mapping[str, object]]:
    return {
        (config.address, entry.name, frozen(entry.config)): entry.config
        for config in listen
        if config.tls is not None
        for entry in config.tls.certificates
        if entry.name is not None
    }
