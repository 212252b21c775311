"""Certificates of listeners that come from an extension, such as an ACME client or a vault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from gateway_core.clock import Clock
from gateway_core.metrics import Metrics

if TYPE_CHECKING:
    import aiohttp


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its private key."""

    names: Sequence[str]
    """Names that it is served for, as clients ask for them (SNI); ``*.example.com`` covers one label."""

    chain: bytes
    """The certificate and those between it and the authority, in PEM; empty refuses handshakes for the names, as long
    as there is no certificate for them."""

    key: bytes = field(repr=False)
    """Its private key in PEM, without a password."""


@dataclass(frozen=True, slots=True)
class ServedHosts:
    """The host names that the listeners with one source serve, as configurations write them: with ``*.`` or ``:name``
    before some of them.
    """

    listener: tuple[str, ...] = ()
    """The ``hosts`` of the listeners themselves."""

    routes: tuple[str, ...] = ()
    """Those of routes in local files."""

    remote: tuple[str, ...] = ()
    """Those of routes that other documents bring, whose writers need not be the gateway's operators."""


class HostsInForce:
    """The hosts that a source is for, which change with the configuration while the source goes on."""

    def __init__(self, hosts: ServedHosts = ServedHosts()) -> None:
        self.current = hosts
        self._changed = asyncio.Event()

    def replace(self, hosts: ServedHosts) -> None:
        """Put others in force."""
        if hosts != self.current:
            self.current = hosts
            self._changed.set()

    async def changed(self) -> None:
        """Wait until there have been others since the last call; for one task."""
        await self._changed.wait()
        self._changed.clear()


@dataclass(frozen=True, slots=True)
class CertificateContext:
    """What the gateway gives to a source of certificates."""

    listener: str
    """Address of the listener, as configured."""

    clock: Clock
    rng: Random
    session: Callable[[], aiohttp.ClientSession]
    """A session for calls to their issuer; not to be closed."""

    hosts: HostsInForce = field(default_factory=HostsInForce)
    """What the listener serves."""

    metrics: Metrics = field(default_factory=Metrics)
    """For metrics of the source's own."""


class CertificateSource(Protocol):
    """Where the certificates of one entry come from."""

    def certificates(self) -> AsyncIterator[Sequence[Certificate]]:
        """Yield all certificates, first as soon as possible and then after each change, a renewal for example.

        What was yielded last stays in force. An exception is logged, and ``certificates`` is called again after a
        pause that grows. The iterator is closed when the listener's entry is gone.
        """
        ...


@runtime_checkable
class ChallengeResponder(Protocol):
    """A source whose authority asks this gateway for proofs; every worker of every gateway may be asked.

    What raises counts as an unknown proof, and is logged.
    """

    async def key_authorization(self, token: str) -> str | None:
        """Return the content of ``/.well-known/acme-challenge/TOKEN`` (RFC 8555 section 8.3), on every listener.

        :returns: None for an unknown token: then the request goes to the routes.
        """
        ...

    async def challenge_certificate(self, server_name: str) -> Certificate | None:
        """Return what is shown to a client whose only protocol is ``acme-tls/1`` (RFC 8737); None refuses it."""
        ...


@runtime_checkable
class OnDemandSource(Protocol):
    """A source that may get a certificate when the first client asks for a name."""

    def provide(self, server_name: str) -> Awaitable[object] | None:
        """Return what ends once the name has a certificate or gets none; None if there is nothing to wait for.

        Its result says whether there is one. Its cancellation must not end the order, which others may wait for.
        Called for each ClientHello with a server name; the handshake waits within ``header_timeout``.
        """
        ...


@dataclass(frozen=True, slots=True)
class IssuanceStatus:
    """How getting one certificate goes; times in seconds since the epoch, 0 if never."""

    names: Sequence[str]
    """Names of the certificate; the first one is its name in the status and in metrics."""

    last_success: float = 0.0
    """When it was issued last."""

    last_failure: float = 0.0
    """When an attempt failed last."""

    error: str = ""
    """Why the last attempt failed; empty if it did not."""

    next_attempt: float = 0.0
    """When the next attempt is, after a failure."""

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt failed."""
        return self.last_failure > self.last_success


@runtime_checkable
class IssuanceReporter(Protocol):
    """A source that orders certificates, and knows how that goes."""

    def issuance(self) -> Sequence[IssuanceStatus]:
        """Return the status of each certificate to have, whether there is one or not. Called for each scrape."""
        ...


@runtime_checkable
class CheckedSource(Protocol):
    """A source that sees from its configuration what it will not get."""

    def warnings(self) -> Sequence[str]:
        """Return what `gateway check` warns of: a text for each name, with the remedy after a colon."""
        ...


class CertificateFactory(Protocol):
    """A class of sources of certificates; what the ``gateway_certificates`` hook offers by name."""

    @property
    def config_model(self) -> type[Any] | None:
        """The pydantic model of ``listen[].tls.certificates[].config``; None takes no keys."""
        ...

    def __call__(self, config: Any, context: CertificateContext) -> CertificateSource:
        """Make a source; nothing is connected yet.

        :param config: an instance of the model.
        :raises ValueError: for a configuration that cannot work, saying which key and why.
        """
        ...
