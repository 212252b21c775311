"""The open listeners of a serving process: sockets with an `aiohttp.web.Server` behind them."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from gateway_core.clock import SystemClock
from gateway_core.config import ListenConfig, parse_listen
from gateway_core.proxy.server import GatewayServer
from gateway_core.server import sockets
from gateway_core.server.acceptor import Acceptor, TlsAcceptor
from gateway_core.server.tls import Certificates, ListenerTls, load_certificates

_logger = logging.getLogger("gateway.server")

ServerFor = Callable[[ListenConfig], web.Server]
"""Makes what answers on a listener: ``Proxy.server_for``."""


class SocketTable:
    """Listening sockets by their address as configured; whoever binds them keeps them over reloads."""

    def __init__(self, inherited: Mapping[str, socket.socket] | None = None) -> None:
        self._sockets = dict(inherited or {})

    def __getitem__(self, address: str) -> socket.socket:
        return self._sockets[address]

    def __contains__(self, address: object) -> bool:
        return address in self._sockets

    def descriptors(self) -> dict[str, int]:
        """Return the file descriptor of each, to hand them to another process."""
        return {address: sock.fileno() for address, sock in self._sockets.items()}

    def duplicates(self) -> dict[str, int]:
        """Return a further file descriptor of each, which outlives this table."""
        return {address: os.dup(sock.fileno()) for address, sock in self._sockets.items()}

    def bind(self, listen: Sequence[ListenConfig]) -> list[str]:
        """Bind what is not bound yet, all or nothing.

        :returns: the addresses that are new, for `close` if the configuration is given up after all.
        :raises BindError: one of them cannot be had.
        """
        new: list[str] = []
        try:
            for config in listen:
                if config.address not in self._sockets:
                    self._sockets[config.address] = sockets.bind(config.parsed, config.address)
                    new.append(config.address)
        except sockets.BindError:
            self.close(new)
            raise
        return new

    def close(self, addresses: Sequence[str]) -> None:
        """Stop listening on these."""
        for address in addresses:
            sockets.close(self._sockets.pop(address))

    def keep_only(self, listen: Sequence[ListenConfig]) -> None:
        """Stop listening on everything else."""
        wanted = {config.address for config in listen}
        self.close([address for address in self._sockets if address not in wanted])

    def forget(self) -> None:
        """Close this process's copies; whoever shares the sockets goes on listening."""
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()


@dataclass(slots=True)
class _Open:
    config: ListenConfig
    runner: web.ServerRunner
    site: web.BaseSite
    tls: ListenerTls | None

    async def aclose(self) -> None:
        """Close whatever connections are left."""
        if isinstance(self.site, _AcceptorSite):
            await self.site.acceptor.aclose()
        await self.runner.cleanup()


class _UnixSite(web.SockSite):
    """A site on a unix socket that is bound already."""

    async def start(self) -> None:
        await web.BaseSite.start(self)
        assert self._runner.server is not None
        # A copy, as in `Listeners`: aiohttp closes what it is given.
        self._server = await asyncio.get_running_loop().create_unix_server(
            self._runner.server, sock=self._sock, ssl=self._ssl_context, backlog=self._backlog
        )


class _AcceptorSite(web.SockSite):
    """A site whose connections are accepted by an acceptor of ours."""

    def __init__(self, runner: web.BaseRunner, sock: socket.socket, acceptor: Acceptor) -> None:
        super().__init__(runner, sock)
        self.acceptor = acceptor

    async def start(self) -> None:
        await web.BaseSite.start(self)
        self._server = self.acceptor  # type: ignore[assignment]  # closing it is all that aiohttp does with a server
        self.acceptor.start()


async def _start_site(runner: web.BaseRunner, sock: socket.socket, tls: ListenerTls | None = None) -> web.BaseSite:
    """Accept on a socket, which is closed with the site."""
    server = runner.server
    assert server is not None
    site: web.BaseSite
    if tls is not None:
        assert isinstance(server, GatewayServer)
        site = _AcceptorSite(runner, sock, TlsAcceptor(sock, server, tls))
    elif isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
        site = _AcceptorSite(runner, sock, Acceptor(sock, server))
    else:
        # uvloop accepts at three fifths of the cost, and closes what comes while descriptors have run out.
        kind = _UnixSite if sock.family == socket.AF_UNIX else web.SockSite
        site = kind(runner, sock, backlog=sockets.BACKLOG)
    await site.start()
    return site


async def open_site(runner: web.BaseRunner, address: str) -> Callable[[], None]:
    """Listen on an address for a runner.

    :returns: what gives the address up, once the runner is cleaned up.
    :raises BindError: the address cannot be had.
    """
    sock = await asyncio.to_thread(sockets.bind, parse_listen(address), address)
    await _start_site(runner, sock.dup())
    return lambda: sockets.close(sock)


class Listeners:
    """Opens and closes listeners as configurations come and go."""

    def __init__(self, table: SocketTable, server_for: ServerFor) -> None:
        self._table = table
        self._server_for = server_for
        self._open: dict[str, _Open] = {}
        self._retired: list[_Open] = []

    async def load(self, listen: Sequence[ListenConfig]) -> dict[str, Certificates]:
        """Read the certificates of these listeners, by address; the result goes to `apply`.

        :raises CertificateError: some file cannot be used.
        """
        loaded = {
            config.address: await asyncio.to_thread(load_certificates, config.tls)
            for config in listen
            if config.tls is not None
        }
        for address, certificates in loaded.items():
            if warning := certificates.warning(SystemClock().wall()):
                _logger.warning("listener %s: %s", address, warning)
        return loaded

    async def apply(self, listen: Sequence[ListenConfig], certificates: Mapping[str, Certificates]) -> None:
        """Accept on exactly these, whose sockets are bound; connections of the others go on until they end."""
        wanted = {config.address: config for config in listen}
        for address, opened in tuple(self._open.items()):
            config = wanted.get(address)
            if config is None or (config.tls is None) is not (opened.tls is None):
                await self._shut(address)
        for address, config in wanted.items():
            current = self._open.get(address)
            if current is None:
                self._open[address] = await self._start(config, certificates.get(address))
            elif current.tls is not None and current.tls.certificates.digest != certificates[address].digest:
                current.tls.replace(certificates[address])

    async def _start(self, config: ListenConfig, certificates: Certificates | None) -> _Open:
        tls = None if certificates is None else ListenerTls(certificates)
        runner = web.ServerRunner(self._server_for(config), handle_signals=False)
        await runner.setup()
        # Closing a site closes its socket, so it gets a copy: the table's own outlives a change from http to https.
        site = await _start_site(runner, self._table[config.address].dup(), tls)
        return _Open(config, runner, site, tls)

    async def _shut(self, address: str) -> None:
        opened = self._open.pop(address)
        await opened.site.stop()
        self._retired.append(opened)

    async def stop_accepting(self) -> None:
        """Close every listener; connections go on."""
        # Two rounds of the loop take in who has connected already: closing the socket would reset them.
        for _ in range(2):
            await asyncio.sleep(0)
        for address in tuple(self._open):
            await self._shut(address)

    async def aclose(self) -> None:
        """Close whatever connections are left."""
        await self.stop_accepting()
        while self._retired:
            await self._retired.pop().aclose()

    def urls(self) -> list[str]:
        """Return where this process listens."""
        return [
            sockets.url_of(self._table[address], "http" if opened.tls is None else "https")
            for address, opened in self._open.items()
        ]
