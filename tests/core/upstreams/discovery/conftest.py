from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import cast

import pytest
from gateway_core.upstreams.discovery.dns_message import RecordType, Service, encode_name

TYPES = {1: RecordType.A, 5: RecordType.CNAME, 28: RecordType.AAAA, 33: RecordType.SRV}


def _value(kind: RecordType, value: str | Service) -> bytes:
    if isinstance(value, Service):
        return struct.pack("!3H", value.priority, value.weight, value.port) + encode_name(value.target)
    return encode_name(value) if kind is RecordType.CNAME else ip_address(value).packed


@dataclass
class NameServer:
    """A DNS server on loopback, over UDP and TCP, whose zone the test changes."""

    zone: dict[tuple[str, RecordType], list[tuple[RecordType, int, str | Service]]] = field(default_factory=dict)
    rcode: int = 0
    is_silent: bool = False
    truncates: bool = False
    garbage_first: bool = False
    """Send what others might send, before the answer."""
    asked: list[tuple[str, str, RecordType]] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def put(self, name: str, kind: RecordType, *values: str | Service, ttl: int = 60) -> None:
        self.zone[name, kind] = [(kind, ttl, value) for value in values]

    def alias(self, name: str, target: str, kind: RecordType, *values: str) -> None:
        """Answer a query for an alias as resolvers do: the alias, and what it stands for."""
        self.zone[name, kind] = [(RecordType.CNAME, 60, target), *((kind, 60, value) for value in values)]

    def answer(self, query: bytes, how: str) -> bytes:
        labels, offset = [], 12
        while query[offset]:
            labels.append(query[offset + 1 : offset + 1 + query[offset]].decode())
            offset += 1 + query[offset]
        kind = TYPES[int.from_bytes(query[offset + 1 : offset + 3], "big")]
        name = ".".join(labels).lower()
        self.asked.append((how, name, kind))
        records = self.zone.get((name, kind), [])
        known = self.rcode or (0 if any(known == name for known, _ in self.zone) else 3)
        is_truncated = self.truncates and how == "udp"
        head = query[:2] + struct.pack("!5H", 0x8180 | 0x200 * is_truncated | known, 1, len(records), 0, 0)
        body, owner = b"", b"\xc0\x0c"
        for record_kind, ttl, value in records:
            data = _value(record_kind, value)
            body += owner + struct.pack("!HHIH", record_kind, 1, ttl, len(data)) + data
            if record_kind is RecordType.CNAME:
                owner = encode_name(str(value))
        message = head + query[12 : offset + 5] + body
        return message[:40] if is_truncated else message


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self.server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: the transport of a selector loop is no subclass of DatagramTransport on Python 3.11.
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self.server.answer(data, "udp")
        if self.server.garbage_first:
            self.transport.sendto(b"\x00", addr)
            self.transport.sendto(bytes([data[0] ^ 1]) + answer[1:], addr)
            self.transport.sendto(data, addr)
        if not self.server.is_silent:
            self.transport.sendto(answer, addr)


@pytest.fixture
async def name_server() -> AsyncIterator[NameServer]:
    server = NameServer()

    async def over_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        answer = server.answer(query, "tcp")
        writer.write(len(answer).to_bytes(2, "big") + answer)
        writer.close()

    tcp = await asyncio.start_server(over_tcp, "127.0.0.1", 0)
    server.port = tcp.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(server), local_addr=("127.0.0.1", server.port))
    yield server
    transport.close()
    tcp.close()
    await tcp.wait_closed()
