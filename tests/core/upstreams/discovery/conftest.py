from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest


@dataclass
class NameServer:
    """A DNS server on loopback, over UDP and TCP, whose zone the test changes."""

    zone: dict[tuple[str, str], list[dns.rrset.RRset]] = field(default_factory=dict)
    rcodes: dict[str, int] = field(default_factory=dict)
    """The response code by type of record, instead of the zone."""
    silent: set[str] = field(default_factory=set)
    """Types of records for which no response is sent."""
    truncates: bool = False
    garbage_first: bool = False
    """Send what others might send, before the response."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def put(self, name: str, kind: str, *values: str, ttl: int = 60) -> None:
        self.zone[name, kind] = [dns.rrset.from_text(f"{name}.", ttl, "IN", kind, *values)]

    def alias(self, name: str, target: str, kind: str, *values: str, ttl: int = 60) -> None:
        """Respond to a query for an alias as resolvers do: the alias, and what it stands for."""
        alias = dns.rrset.from_text(f"{name}.", ttl, "IN", "CNAME", f"{target}.")
        self.zone[name, kind] = [alias, dns.rrset.from_text(f"{target}.", 60, "IN", kind, *values)]

    def respond(self, wire: bytes, how: str) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((how, name, kind))
        if kind in self.silent:
            return None
        response = dns.message.make_response(query)
        if kind in self.rcodes:
            response.set_rcode(dns.rcode.Rcode(self.rcodes[kind]))
        elif not any(known == name for known, _ in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif self.truncates and how == "udp":
            response.flags |= dns.flags.TC
        else:
            response.answer = self.zone.get((name, kind), [])
        return response.to_wire()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self.server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: the transport of a selector loop is no subclass of DatagramTransport on Python 3.11.
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        response = self.server.respond(data, "udp")
        if response is None:
            return
        if self.server.garbage_first:
            self.transport.sendto(b"\x00", addr)
            self.transport.sendto(bytes([data[0] ^ 1]) + response[1:], addr)
            self.transport.sendto(data, addr)
        self.transport.sendto(response, addr)


@pytest.fixture
async def name_server() -> AsyncIterator[NameServer]:
    server = NameServer()

    async def over_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        response = server.respond(query, "tcp") or b""
        writer.write(len(response).to_bytes(2, "big") + response)
        writer.close()

    tcp = await asyncio.start_server(over_tcp, "127.0.0.1", 0)
    server.port = tcp.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(server), local_addr=("127.0.0.1", server.port))
    yield server
    transport.close()
    tcp.close()
    await tcp.wait_closed()
