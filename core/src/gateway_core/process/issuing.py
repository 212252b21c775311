"""What an acceptor asks sources of certificates before TLS begins.

An authority that validates a name by TLS (RFC 8737) is served by itself: it gets a certificate that no one else gets,
and the connection ends with the handshake. Nothing of HTTP sees it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import Awaitable
from typing import Final, Protocol

from gateway_core.hooks import Certificate
from gateway_core.process.tls import AddressTls

VALIDATION_WAIT: Final = 2.0
"""Seconds that a connection of an authority has, from its ClientHello to its end."""

_IN_FORCE_WAIT: Final = 3.0
"""Seconds until a certificate is in force at the latest; a listener reads it in a thread, beside others."""
_LOOK_AGAIN: Final = 0.02

_PROTOCOL: Final = "acme-tls/1"


class IssuingSources(Protocol):
    """Sources that get certificates from an authority."""

    async def challenge_certificate(self, server_name: str) -> Certificate | None:
        """Return what an authority that validates a name is shown; None if nothing is."""

    def provide(self, address: str, server_name: str) -> Awaitable[object] | None:
        """Return what ends once a name has a certificate, or gets none; None if there is nothing to wait for."""


async def validation(sources: IssuingSources, server_name: str) -> ssl.SSLContext | None:
    """Return what TLS begins with for an authority that validates a name; None if no proof is known in time."""
    try:
        async with asyncio.timeout(VALIDATION_WAIT):
            certificate = await sources.challenge_certificate(server_name)
            return None if certificate is None else await asyncio.to_thread(validation_context, certificate)
    except (OSError, TimeoutError):
        return None


def validation_context(certificate: Certificate) -> ssl.SSLContext:
    """Return a context that shows one certificate and speaks ``acme-tls/1``. Blocks.

    :raises ssl.SSLError: the certificate cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0
    context.set_alpn_protocols([_PROTOCOL])
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # OpenSSL loads nothing but files
        file.write(certificate.chain.rstrip() + b"\n" + certificate.key)
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def in_force(tls: AddressTls | None, server_name: str) -> None:
    """Wait until a certificate that a source has is that of a listener, which reads it in a thread first."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_IN_FORCE_WAIT):
            while tls is not None and not tls.has_certificate_for(server_name):  # noqa: ASYNC110 - no event
                await asyncio.sleep(_LOOK_AGAIN)


class ValidationProtocol(asyncio.Protocol):
    """Ends a connection whose handshake is complete: the authority has seen the certificate."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
