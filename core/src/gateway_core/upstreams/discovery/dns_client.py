"""Ask name servers: UDP first, TCP when the answer does not fit (RFC 7766)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway_core.upstreams.discovery.dns_message import (
    Answer,
    DnsFormatError,
    Record,
    RecordType,
    decode_answer,
    encode_query,
    follow_aliases,
)

DNS_PORT: Final = 53
RESOLV_CONF: Final = Path("/etc/resolv.conf")
_RCODES: Final = {1: "format error", 2: "server failure", 3: "no such name", 4: "not implemented", 5: "refused"}
_NO_SUCH_NAME: Final = 3


class DnsError(Exception):
    """No name server gave a usable answer."""


@dataclass(frozen=True, slots=True)
class NameServer:
    """Where to ask."""

    host: str
    port: int = DNS_PORT

    @classmethod
    def parse(cls, text: str) -> NameServer:
        """Read ``10.0.0.2``, ``10.0.0.2:5353``, ``::1`` or ``[::1]:5353``.

        :raises ValueError: for a port that is no number.
        """
        if text.startswith("["):
            host, _, port = text[1:].partition("]")
            port = port.removeprefix(":")
        elif text.count(":") == 1:
            host, _, port = text.partition(":")
        else:
            host, port = text, ""
        if port and not port.isdecimal():
            raise ValueError(f"{text!r} is not an address such as 10.0.0.2 or 10.0.0.2:53")
        return cls(host, int(port) if port else DNS_PORT)


def parse_resolv_conf(text: str) -> tuple[NameServer, ...]:
    """Return the name servers of a resolv.conf; this machine's own if it names none (resolv.conf(5))."""
    servers = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split(";", 1)[0].split()
        if len(words) >= 2 and words[0] == "nameserver":
            servers.append(NameServer(words[1]))
    return tuple(servers) or (NameServer("127.0.0.1"),)


def system_name_servers() -> tuple[NameServer, ...]:
    """Return the name servers that the machine is configured with."""
    try:
        return parse_resolv_conf(RESOLV_CONF.read_text("utf-8", "replace"))
    except OSError:
        return parse_resolv_conf("")


class DnsClient:
    """Asks several name servers in order until one knows."""

    __slots__ = ("_attempts", "_servers", "_timeout")

    def __init__(self, servers: Sequence[NameServer], *, timeout: float = 2.0, attempts: int = 2) -> None:
        """Use these servers.

        :param timeout: seconds that each server has for an answer.
        :param attempts: how often the whole list is asked.
        """
        self._servers = tuple(servers)
        self._timeout = timeout
        self._attempts = attempts

    async def query(self, name: str, record_type: RecordType) -> list[Record]:
        """Return the records of a name, aliases followed; empty if the name has none of this type.

        :raises DnsError: if the name does not exist, or no server answers properly.
        """
        failure = "no name server is configured"
        for server in self._servers * self._attempts:
            try:
                answer = await self._ask(server, name, record_type)
                if answer.rcode == 0:
                    return follow_aliases(answer, name, record_type)
                failure = _RCODES.get(answer.rcode, f"rcode {answer.rcode}")
                if answer.rcode == _NO_SUCH_NAME:
                    break
            except TimeoutError:
                failure = f"no answer within {self._timeout:g} s"
            except (OSError, EOFError, DnsFormatError) as error:
                failure = str(error)
            failure = f"{failure} ({server.host}:{server.port})"
        raise DnsError(f"{record_type.name} of {name!r}: {failure}")

    async def _ask(self, server: NameServer, name: str, record_type: RecordType) -> Answer:
        query = encode_query(secrets.randbits(16), name, record_type)
        async with asyncio.timeout(self._timeout):
            answer = await _ask_udp(server, query)
        if answer.is_truncated:
            async with asyncio.timeout(self._timeout):
                answer = await _ask_tcp(server, query)
        return answer


class _UdpQuery(asyncio.DatagramProtocol):
    """One query; waits for the first datagram that answers it, since anybody may send others."""

    def __init__(self, query: bytes) -> None:
        self._query = query
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - asyncio's signature
        if self.answer.done():
            return
        try:
            self.answer.set_result(decode_answer(data, self._query))
        except DnsFormatError:
            return

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc or EOFError("socket was closed"))


async def _ask_udp(server: NameServer, query: bytes) -> Answer:
    loop = asyncio.get_running_loop()
    # A connected socket with a port of the system's choice: the kernel drops datagrams from elsewhere.
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: _UdpQuery(query), remote_addr=(server.host, server.port)
    )
    try:
        transport.sendto(query)
        return await protocol.answer
    finally:
        if not protocol.answer.done():
            protocol.answer.cancel()
        transport.close()


async def _ask_tcp(server: NameServer, query: bytes) -> Answer:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        length = int.from_bytes(await reader.readexactly(2), "big")
        answer = decode_answer(await reader.readexactly(length), query)
        if answer.is_truncated:
            raise DnsFormatError("answer over TCP is truncated")
        return answer
    finally:
        writer.close()
