"""The open listeners of a serving process: sockets, and what accepts on them.

Listeners that share an address share its socket, and what precedes a request: PROXY protocol and TLS. Which listener a
request is for is decided by its Host. So all here goes by address, and a listener may join or leave an address that is
accepted on without the socket being touched.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, Protocol

from gateway_core.clock import SystemClock
from gateway_core.config import ListenConfig, parse_listen
from gateway_core.events import CERTIFICATES_KEPT, CERTIFICATES_WARNING, emit
from gateway_core.hooks import Certificate
from gateway_core.metrics.catalogue import CERTIFICATE_EXPIRY, CERTIFICATE_START, REVOCATION_EXPIRY
from gateway_core.metrics.samples import Samples
from gateway_core.process import sockets
from gateway_core.process.acceptor import Acceptor, Factory
from gateway_core.process.certificate_expiry import Validity
from gateway_core.process.certificates import CertificateError, Certificates, load_certificates
from gateway_core.process.gateway_acceptor import GatewayAcceptor
from gateway_core.process.issuing import IssuingSources
from gateway_core.process.socket_table import SocketTable, by_address
from gateway_core.process.tls import AddressTls, BaseContexts
from gateway_core.process.tls_acceptor import TlsAcceptor
from gateway_core.proxy.server import GatewayServer
from gateway_core.tasks import Tasks

ServerFor = Callable[[str], Factory]
"""Makes what responds at an address: ``Proxy.server_for``."""

_EXACT_BELOW: Final = 4 * sockets.BACKLOG
"""Limits of connections that are kept to exactly.

uvloop accepts a whole backlog in one turn before anything can be refused. Where the limit is small beside that, an
acceptor of ours accepts one after the other, which costs some 30 microseconds more for each. Where the limit is the
default one and larger, the descriptors that are kept back from clients are enough for a whole backlog.
"""


class Accepting(Protocol):
    """Accepts on one socket: an `Acceptor`, or a server of the event loop."""

    def close(self) -> None:
        """Accept no more, and close the socket; connections go on."""


@dataclass(slots=True, eq=False)
class _Open:
    address: str
    server: Factory
    accepting: Accepting
    manner: _Manner
    tls: AddressTls | None
    late: Acceptor | None = None
    """Took in the clients that connected while the listener was closed."""

    def _acceptors(self) -> list[Acceptor]:
        return [each for each in (self.accepting, self.late) if isinstance(each, Acceptor)]

    async def drained(self) -> None:
        """Wait until each connection that was accepted has its protocol: from then on it needs nothing of this."""
        for each in self._acceptors():
            await each.drained()

    async def aclose(self) -> None:
        """Close the connections that have no protocol yet."""
        for each in self._acceptors():
            await each.aclose()


@dataclass(frozen=True, slots=True)
class _Manner:
    """How connections at an address are accepted; another manner needs another socket."""

    has_tls: bool = False
    wants_proxy_header: bool = False
    is_exact: bool = False
    """Whether the limit of connections is kept to exactly."""


async def _accept(
    sock: socket.socket,
    server: Factory,
    manner: _Manner | None = None,
    tls: AddressTls | None = None,
    issuing: IssuingSources | None = None,
) -> Accepting:
    """Accept on a socket, which is closed with what is returned."""
    if manner not in {None, _Manner()} or not _is_uvloop():
        acceptor = _acceptor(sock, server, manner, tls, issuing)
        acceptor.start()
        return acceptor
    # uvloop accepts at three fifths of the cost, and closes what comes while descriptors have run out.
    if sock.family == socket.AF_UNIX:
        return await sockets.serve_unix(server, sock, sockets.BACKLOG)
    return await asyncio.get_running_loop().create_server(server, sock=sock, backlog=sockets.BACKLOG)


def _acceptor(
    sock: socket.socket,
    server: Factory,
    manner: _Manner | None,
    tls: AddressTls | None,
    issuing: IssuingSources | None,
) -> Acceptor:
    if isinstance(server, GatewayServer) and manner is not None:
        return GatewayAcceptor(sock, server, tls, wants_proxy_header=manner.wants_proxy_header, issuing=issuing)
    return Acceptor(sock, server)


def _is_uvloop() -> bool:
    return not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)


async def open_site(server: Factory, address: str, context: ssl.SSLContext | None = None) -> Callable[[], None]:
    """Listen on an address for a server.

    :param context: for TLS.
    :returns: what stops accepting, and gives the address up.
    :raises BindError: the address cannot be had.
    """
    sock = await asyncio.to_thread(sockets.bind, parse_listen(address), address)
    accepting: Accepting
    if context is None:
        accepting = await _accept(sock.dup(), server)
    else:
        acceptor = accepting = TlsAcceptor(sock.dup(), server, context)
        acceptor.start()

    def give_up() -> None:
        accepting.close()
        sockets.close(sock)

    return give_up


class Listeners:
    """Opens and closes listeners as configurations come and go."""

    def __init__(
        self,
        table: SocketTable,
        server_for: ServerFor,
        provided: Callable[[ListenConfig], Sequence[Certificate]] = lambda _: (),
        base_contexts: BaseContexts | None = None,
        issuing: IssuingSources | None = None,
    ) -> None:
        """Begin without listeners.

        :param provided: the certificates that extensions have yielded for a listener.
        :param base_contexts: those of all workers, if there are several.
        :param issuing: the sources that are asked while a connection begins.
        """
        self._issuing = issuing
        self._base_contexts = base_contexts
        self._table = table
        self._provided = provided
        self._configs: Sequence[ListenConfig] = ()
        self._server_for = server_for
        self._open: dict[str, _Open] = {}
        self._closed: list[_Open] = []
        """Closed since `take_waiting` was called last: their sockets still queue clients."""
        self._retired: list[_Open] = []
        """Closed, with connections that have no protocol yet."""
        self._is_stopping = False
        self._tasks = Tasks()
        self._refreshing = asyncio.Lock()
        self._stale: set[str] = set()
        """Addresses whose certificates are to be read, and are not yet."""

    async def load(self, listen: Sequence[ListenConfig]) -> dict[str, list[Certificates]]:
        """Read the certificates of these listeners, by address; the result goes to `apply`.

        :raises CertificateError: some file cannot be used.
        """
        loaded: dict[str, list[Certificates]] = {}
        for config in listen:
            if config.tls is None:
                continue
            opened = self._open.get(config.address)
            before = None if opened is None or opened.tls is None else opened.tls.current(config)
            try:
                certificates = await asyncio.to_thread(load_certificates, config.tls, self._provided(config), before)
            except CertificateError as error:
                error.listener = config
                raise
            for flaw in certificates.flaws(SystemClock().wall()):
                name = config.name or config.address
                emit(CERTIFICATES_WARNING, f"listener {name}: {flaw.text}", listener=name, reason=flaw.text)
            loaded.setdefault(config.address, []).append(certificates)
        return loaded

    async def apply(self, listen: Sequence[ListenConfig], certificates: Mapping[str, Sequence[Certificates]]) -> None:
        """Accept on exactly these, whose sockets are bound; connections of the others go on until they end.

        `take_waiting` has to follow.
        """
        self._configs = listen
        wanted = by_address(listen)
        for address in [address for address in self._open if address not in wanted]:
            self._shut(address)
        for address, configs in wanted.items():
            current = self._open.get(address)
            server = self._server_for(address) if current is None else current.server
            manner = _manner_of(configs[0], server)
            if current is not None and current.manner != manner:
                self._shut(address)
                current, server = None, self._server_for(address)
            tls = list(zip(configs, certificates[address], strict=True)) if manner.has_tls else []
            if current is None:
                address_tls = AddressTls(tls, self._base_contexts) if tls else None
                self._open[address] = await self._start(address, server, manner, address_tls)
            elif current.tls is not None:
                current.tls.replace(tls)
            if not all(each.is_made_of(self._provided(config)) for config, each in tls):
                # They have come since `load`, when this address may have been closed.
                self._tasks.spawn(self.refresh(address), name=f"new certificates of {address}")

    async def refresh(self, address: str) -> None:
        """Use the certificates that extensions have yielded meanwhile; if they cannot be used, those of before stay."""
        if address in self._stale:
            return
        self._stale.add(address)
        # One after the other: what was read first must not take the place of what was read later.
        async with self._refreshing:
            self._stale.discard(address)
            await self._refresh(address)

    async def _refresh(self, address: str) -> None:
        configs = [config for config in self._configs if config.address == address]
        opened = self._open.get(address)
        if opened is None or opened.tls is None:
            return
        try:
            certificates = (await self.load(configs)).get(address, [])
        except CertificateError as error:
            text = f"listener {address} keeps the certificates that it has: {error}"
            emit(CERTIFICATES_KEPT, text, listener=address, reason=str(error))
            return
        if self._open.get(address) is opened and configs == [each for each in self._configs if each.address == address]:
            opened.tls.replace(list(zip(configs, certificates, strict=True)))

    async def _start(self, address: str, server: Factory, manner: _Manner, tls: AddressTls | None) -> _Open:
        # A copy, which is closed with it: the table's own outlives a change from http to https.
        accepting = await _accept(self._table[address].dup(), server, manner, tls, self._issuing)
        return _Open(address, server, accepting, manner, tls)

    async def _release(self, opened: _Open) -> None:
        await opened.drained()
        self._retired.remove(opened)
        await opened.aclose()

    def _shut(self, address: str) -> None:
        opened = self._open.pop(address)
        self._closed.append(opened)
        opened.accepting.close()

    async def stop_accepting(self) -> None:
        """Close every listener; connections go on."""
        self._is_stopping = True
        # Two rounds of the loop take in who has connected already: closing the socket would reset them.
        for _ in range(2):
            await asyncio.sleep(0)
        for address in tuple(self._open):
            self._shut(address)

    def take_waiting(self) -> None:
        """Take in who has connected while listeners were closed; to be called in the turn that closes their sockets."""
        closed, self._closed = self._closed, []
        for opened in closed:
            address = opened.address
            if address not in self._open and address in self._table:
                sock = self._table[address].dup()
                opened.late = _acceptor(sock, opened.server, opened.manner, opened.tls, self._issuing)
                opened.late.close()  # which takes them in
            self._retired.append(opened)
            if not self._is_stopping:  # else `aclose` does, once connections have ended
                self._tasks.spawn(self._release(opened), name=f"release the listener {address}")

    async def aclose(self) -> None:
        """Close whatever connections are left."""
        await self.stop_accepting()
        await self._tasks.aclose()
        for closed in (self._closed, self._retired):
            while closed:
                await closed.pop().aclose()

    def put_certificates(self, samples: Samples) -> None:
        """Add from when until when the certificates in use are valid."""
        for address, opened in list(self._open.items()):
            for certificates in () if opened.tls is None else opened.tls.certificates:
                for name, start, end in certificates.validities:
                    known = samples.value(CERTIFICATE_EXPIRY.name, address, name)
                    if not isinstance(known, float) or end < known:
                        samples.one(CERTIFICATE_EXPIRY, end, address, name)
                        samples.one(CERTIFICATE_START, start, address, name)
                if certificates.revocation_ends != inf:
                    samples.one(REVOCATION_EXPIRY, certificates.revocation_ends, address)

    def validities(self) -> list[tuple[str, Validity]]:
        """Return the address of its listener and the validity of each certificate in use."""
        return [
            (address, validity)
            for address, opened in self._open.items()
            for certificates in (() if opened.tls is None else opened.tls.certificates)
            for validity in certificates.validities
        ]

    def urls(self) -> list[str]:
        """Return where this process listens."""
        return [
            sockets.url_of(self._table[address], "https" if opened.manner.has_tls else "http")
            for address, opened in self._open.items()
        ]


def _manner_of(config: ListenConfig, server: Factory) -> _Manner:
    """Return how the connections of a listener, and of those that share its address, are accepted."""
    most = server.proxy.connections.limit if isinstance(server, GatewayServer) else 0
    return _Manner(config.tls is not None, config.proxy_protocol, 0 < most < _EXACT_BELOW)
