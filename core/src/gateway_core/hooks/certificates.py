"""Certificates of listeners that come from an extension, such as an ACME client or a vault."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from gateway_core.clock import Clock

if TYPE_CHECKING:
    import aiohttp


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its private key."""

    names: Sequence[str]
    """Names that it is served for, as clients ask for them (SNI); ``*.example.com`` covers one label."""

    chain: bytes
    """The certificate and those between it and the authority, in PEM."""

    key: bytes = field(repr=False)
    """Its private key in PEM, without a password."""


@dataclass(frozen=True, slots=True)
class CertificateContext:
    """What the gateway gives to a source of certificates."""

    listener: str
    """Address of the listener, as configured."""

    clock: Clock
    rng: Random
    session: Callable[[], aiohttp.ClientSession]
    """A session for calls to their issuer; not to be closed."""


class CertificateSource(Protocol):
    """Where the certificates of one entry come from."""

    def certificates(self) -> AsyncIterator[Sequence[Certificate]]:
        """Yield all certificates, first as soon as possible and then after each change, a renewal for example.

        What was yielded last stays in force. An exception is logged, and ``certificates`` is called again after a
        pause that grows. The iterator is closed when the listener's entry is gone.
        """
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
