"""The admin listeners that a configuration names, and who is let in there."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from gateway_core.config import AdminConfig, AdminTlsConfig
from gateway_core.config.documents import read_regular
from gateway_core.config.sources import WatchSet
from gateway_core.errors import GatewayError, RefusedError
from gateway_core.failure_text import system_reason

if TYPE_CHECKING:
    from gateway_core.admin import Access, AdminListener, AdminView
    from gateway_core.admin.tokens import TokenFile


class AdminAccess:
    """Who is let in: tokens and clients of the configuration in force, and tokens of the state directory."""

    def __init__(self, state: Path) -> None:
        """Name the state directory; nothing is read yet."""
        self._state = state
        self._file: TokenFile | None = None

    async def of(self, config: AdminConfig | None, named: AdminConfig | None, *, is_known: bool = True) -> Access:
        """Return who is let in at the moment.

        :param config: the section in force.
        :param named: the one whose tokens and clients count.
        :param is_known: whether they are known; otherwise only those of the state directory count.
        :raises RefusedError: the file of the tokens cannot be used: nothing is known of who may not be let in.
        """
        # Most gateways are never asked.
        from gateway_core.admin.access import Access, ClientName, Token  # noqa: PLC0415
        from gateway_core.admin.tokens import TokenFile, TokenFileError  # noqa: PLC0415

        self._file = self._file or TokenFile(self._state)
        try:
            kept = await asyncio.to_thread(self._file.load)
        except TokenFileError as error:
            raise RefusedError(503, "tokens-unknown", str(error)) from error
        tokens, has_tls = [each.token for each in kept], config is not None and config.tls is not None
        if named is None or not is_known:
            return Access(tokens, has_tls=has_tls, has_token_file=self._file.is_there or not is_known)
        for each in named.tokens:
            expires = None if each.expires is None else each.expires.timestamp()
            identifier = each.hash.removeprefix("sha256:")[:8]  # it has no other
            tokens.append(Token(each.name, each.role, each.hash, expires, each.tail, identifier))
        clients = [ClientName(client.name, client.role, client.tail) for client in named.clients]
        return Access(tokens, clients, has_tls, self._file.is_there)


class AdminListeners:
    """The listener for operators, and the one for health and metrics alone."""

    def __init__(self) -> None:
        """Begin without listeners."""
        self._main: AdminListener | None = None
        self._health: AdminListener | None = None
        self._tls: tuple[str, ssl.SSLContext] | None = None
        """What the files of the context had in them, and the context."""

    async def follow(self, config: AdminConfig | None, view: AdminView) -> None:
        """Listen where a configuration says.

        :raises GatewayError: an address cannot be had, or a certificate cannot be used.
        """
        if config is None and self._main is None:
            return
        from gateway_core.admin import AdminListener, Place  # noqa: PLC0415  # most gateways have none, and it costs time
        from gateway_core.process.listeners import open_site  # noqa: PLC0415  # likewise

        if self._main is None or self._health is None:
            self._main, self._health = AdminListener(open_site), AdminListener(open_site)
        place = health = None
        hosts: tuple[str, ...] = ()
        if config is not None:
            hosts = config.hosts
            context = None if config.tls is None else await asyncio.to_thread(self._context, config.tls)
            place = None if config.listen is None else Place(config.listen, context)
            health = None if config.health_listen is None else Place(config.health_listen, serves_api=False)
        await self._main.open(place, view, hosts)
        await self._health.open(health, view, hosts)

    def _context(self, config: AdminTlsConfig) -> ssl.SSLContext:
        names = [config.cert, config.key, *([config.client_ca] if config.client_ca else [])]
        try:
            digest = hashlib.sha256(b"\n".join(map(read_regular, names))).hexdigest()
            stamp = f"{names} {digest}"
            if self._tls is None or self._tls[0] != stamp:
                self._tls = stamp, context_of(config)
        except OSError as error:
            raise GatewayError(f"admin.tls cannot be used: {system_reason(error)}") from error
        except GatewayError as error:
            raise GatewayError(f"admin.tls cannot be used: {error}") from error
        return self._tls[1]

    def drain(self) -> None:
        """Show from now on that the gateway is about to end."""
        for each in (self._main, self._health):
            if each is not None:
                each.is_draining = True

    async def aclose(self) -> None:
        """Stop listening."""
        for each in (self._main, self._health):
            if each is not None:
                await each.aclose()


def context_of(config: AdminTlsConfig) -> ssl.SSLContext:
    """Return the context of the admin listener. Blocks.

    :raises OSError: a file cannot be read.
    :raises CertificateError: a file cannot be used.
    """
    from gateway_core.process.certificates import load_into  # noqa: PLC0415  # only with TLS

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    load_into(context, config.cert, config.key, config.client_ca)
    if config.client_ca:
        # A client without one may have a token.
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def files_of(config: AdminConfig | None) -> WatchSet:
    """Return the files whose change makes another context."""
    tls = None if config is None else config.tls
    return WatchSet() if tls is None else WatchSet.of(name for name in (tls.cert, tls.key, tls.client_ca) if name)
