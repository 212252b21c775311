"""What one request over HTTP/2 costs in our own code, without sockets or an event loop: as `pipeline.py` for HTTP/1.

    python benchmarks/http2_pipeline.py                   # microseconds per request, best of several runs
    python benchmarks/http2_pipeline.py --profile mixed   # where they go

Requests come in reads of eight. `same` repeats one, whose block is remembered; in `paths` the target always changes,
in `mixed` two of a browser's fields do, and `grpc` has an upstream of HTTP/2 that sends trailers. `download` is another
matter: the microseconds that 128 KiB of a large body take on their way.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import random
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from typing import Any

import hpack
from gateway_core.proxy import Proxy
from gateway_core.proxy.downstream.http2_connection import begin_http2
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream.http2_connection import Http2UpstreamConnection
from http2 import BROWSER, PREFACE, WINDOW  # type: ignore[import-not-found]  # neighbours, as scripts import them
from pipeline import ANSWER, Wire, measure, prepare  # type: ignore[import-not-found]

CONFIG = """
limits: {{max_connection_age: 0}}
upstreams:
  - {{name: u, {protocol}endpoints: [{{url: "http://127.0.0.1:9001"}}]}}
routes:
  - {{id: api, path_prefix: "/", target: u}}
"""
STREAMS = 8
READS = 1000
Fields = list[tuple[str, str]]


class Http2Wire(Wire):  # type: ignore[misc]  # from an untyped neighbour
    """A transport that goes nowhere, and knows its protocol."""

    protocol: Any = None

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Do not join them, as `asyncio.Transport` does."""

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


def request(case: str, number: int, chance: random.Random) -> Fields:
    path = f"/api/users/{number}?page=2" if case == "paths" else "/api/users/123"
    method = "POST" if case == "grpc" else "GET"
    fields = [(":method", method), (":scheme", "http"), (":authority", "shop.example"), (":path", path)]
    if case == "grpc":
        return [*fields, ("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", "grpc-c/1.0")]
    fields += BROWSER
    if case == "mixed":
        trace, cookie = chance.randbytes(24).hex(), chance.randbytes(16).hex()
        fields.append(("traceparent", f"00-{trace[:32]}-{trace[32:]}-01"))
        fields.append(("cookie", f"session={cookie}; theme=dark"))
    return fields


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def reads(case: str) -> list[bytes]:
    """Return the reads of one connection."""
    encoder, chance, made = hpack.Encoder(), random.Random(1), []
    for read in range(READS):
        data = b""
        for number in range(read * STREAMS, (read + 1) * STREAMS):
            fields = request(case, number, chance)
            path = fields.pop(3)
            block = encoder.encode(fields[:3])
            if case == "paths":  # as clients send it that keep paths out of the table
                encoded = path[1].encode()
                block += b"\x04" + bytes([len(encoded)]) + encoded
            else:
                block += encoder.encode([path])
            block += encoder.encode(fields[3:])
            stream = 2 * number + 1
            data += frame(1, 4 if case == "grpc" else 5, stream, block)
            if case == "grpc":
                data += frame(0, 1, stream, b"\0\0\0\0\x60" + bytes(96))
        made.append(data)
    return made


def literal(*fields: tuple[str, str]) -> bytes:
    """Return a block that enters no table."""
    return bytes(hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(*each) for each in fields]))


HEAD = literal(
    (":status", "200"), ("server", "nginx"), ("date", "Sun, 22 Nov 2026 23:43:29 GMT"),
    ("content-type", "application/grpc"),
)  # fmt: skip
TRAILERS = literal(("grpc-status", "0"))


def responses(first: int) -> bytes:
    """Return what an upstream of HTTP/2 sends for the streams of a read."""
    streams = range(first, first + 2 * STREAMS, 2)
    parts = [frame(1, 4, each, HEAD) + frame(0, 0, each, bytes(100)) + frame(1, 5, each, TRAILERS) for each in streams]
    return b"".join(parts)


def client_of(proxy: Proxy) -> Any:
    """Return a client's connection that has begun."""
    server = proxy.server_for(proxy.holder.current.config.listen[0].address)
    client, wire = server(), Http2Wire()
    client.connection_made(wire)
    begin_http2(proxy, client, wire, b"")
    wire.protocol.data_received(PREFACE + WINDOW)
    return wire.protocol


def round_trip(proxy: Proxy, case: str) -> Callable[[], None]:
    """Return a function that takes the next of many reads through the proxy."""
    upstream = proxy.holder.current.upstreams["u"]
    pool: Any = proxy.upstreams.pool_for(upstream.endpoints[0], upstream)
    sent: Sequence[bytes] = reads(case)
    state: dict[str, Any] = {"number": READS}
    if case == "grpc":
        endpoint = Http2UpstreamConnection(pool, "http")
        endpoint.connection_made(Http2Wire())
        endpoint.data_received(frame(4, 0, 0, b"\0\3\0\0\0\x80"))
        pool._connections.append(endpoint)  # noqa: SLF001 - as if it was connected
        endpoint.data_received(WINDOW)
    else:
        connections = [UpstreamConnection(pool) for _ in range(STREAMS)]
        for each in connections:
            each.connection_made(Wire())
            pool.give_back(each)
    following = cycle(sent).__next__

    def run() -> None:
        if state["number"] == READS:
            state["number"], state["client"] = 0, client_of(proxy)
        state["number"] += 1
        client = state["client"]
        client.data_received(following())
        while client._streams._fresh:  # noqa: SLF001 - the rest of a slow turn, as no loop gives it another one
            client.serve_held(STREAMS)
        if case == "grpc":
            endpoint.sender.flush()
            endpoint.data_received(responses(2 * (endpoint.uses - STREAMS) + 1))
            endpoint.sender.open_window(96 * STREAMS)
        else:
            for each in connections:
                each.data_received(ANSWER)
        client.sender.flush()
        client.sender.window = 1 << 20

    return run


def download(proxy: Proxy) -> Callable[[], None]:
    """Return a function that takes the next part of a body without end through the proxy."""
    upstream = proxy.holder.current.upstreams["u"]
    pool = proxy.upstreams.pool_for(upstream.endpoints[0], upstream)
    connection, client = UpstreamConnection(pool), client_of(proxy)
    connection.connection_made(Http2Wire())
    pool.give_back(connection)
    client.sender.window = client.sender.initial = 1 << 60
    client.data_received(frame(1, 5, 1, hpack.Encoder().encode(request("same", 0, random.Random(1)))))
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 50))
    part = memoryview(bytearray(131_072))

    def run() -> None:
        connection.view_received(part[:])

    return run


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("cases", nargs="*", help="names of cases; default: all")
    arguments = parser.parse_args()
    for case in arguments.cases or ("same", "paths", "mixed", "grpc", "download"):
        proxy = await prepare(CONFIG.format(protocol="protocol: http2, " if case == "grpc" else ""))
        run, streams = (download(proxy), 1) if case == "download" else (round_trip(proxy, case), STREAMS)
        if arguments.profile:
            profile = cProfile.Profile()
            profile.enable()
            for _ in range(3000):
                run()
            profile.disable()
            print(case)
            pstats.Stats(profile).sort_stats("tottime").print_stats(45)
        else:
            print(f"{case:8s} {measure(run, READS, 5) / streams:6.2f} us")


if __name__ == "__main__":
    asyncio.run(main())
