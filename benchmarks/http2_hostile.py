"""How long one client waits, and how much memory grows, beside clients of HTTP/2 that ask for too much.

    python benchmarks/http2_hostile.py                                  # every attack
    python benchmarks/http2_hostile.py --attacks ping,rapid-reset --connections 8 --seconds 4

In each case one client sends a request over HTTP/1 every 10 ms and the longest of its waits is the figure, while other
connections do the same wrong thing again and again, and connect again when they are closed. Memory is the resident set
of the gateway at its largest, less what it was before. The gateway has CPU 0 for itself if there are several.
Exit status 1 if a wait is 100 ms or more, or memory grows by 32 MiB or more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from fairness import (  # type: ignore[import-not-found]  # a neighbour, as scripts import it
    LIMIT,
    Upstream,
    free_ports,
    probe,
    run_apart,
    serve_upstream,
    wait_for,
)
from fairness_gates import command_of, make_certificate  # type: ignore[import-not-found]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MOST_GROWTH = 32 * 2**20
PIECE = 2**17


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(4, 0, 0, b"".join(name.to_bytes(2, "big") + number(value) for name, value in pairs))


def head(stream: int, path: bytes = b"/404", *, ends: bool = True, more: bytes = b"") -> bytes:
    block = (b"\x82" if ends else b"\x83") + b"\x86\x04" + bytes((len(path),)) + path + b"\x01\x01a" + more
    return frame(1, 0x5 if ends else 0x4, stream, block)


def streams(make: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield pieces for one stream after another, about 64 KiB at a time."""
    piece = bytearray()
    for stream in range(1, 2**31, 2):
        piece += make(stream)
        if len(piece) > PIECE // 2:
            yield bytes(piece)
            piece.clear()


def again(data: bytes) -> Iterator[bytes]:
    data *= max(1, PIECE // len(data))
    while True:
        yield data


def behind(first: bytes, data: bytes) -> Iterator[bytes]:
    yield first
    yield from again(data)


NO_WINDOW = settings((4, 0))
LARGE = b"".join(head(stream, b"/big") for stream in range(1, 201, 2))
FIELD = b"\x40\x04bomb\x7f\x81\x1d" + bytes(b"v" * 3840)

ATTACKS: dict[str, tuple[bytes, Callable[[], Iterator[bytes]], bool]] = {
    # SETTINGS, what is sent behind them, and whether responses are read.
    "ping": (settings(), lambda: again(frame(6, 0, 0, bytes(8))), True),
    "ping-unread": (settings(), lambda: again(frame(6, 0, 0, bytes(8))), False),
    "settings": (settings(), lambda: again(settings((4, 65535), (1, 4096))), True),
    "many-settings": (settings(), lambda: behind(LARGE, settings(*[(4, 1000), (4, 2000)] * 1300)), True),
    "priority": (settings(), lambda: again(frame(2, 0, 1, b"\0\0\0\0\1")), True),
    "unknown": (settings(), lambda: again(frame(0xF0, 0, 0)), True),
    "empty-data": (settings(), lambda: behind(head(1, b"/proxied", ends=False), frame(0, 0, 1)), True),
    "tiny-data": (settings(), lambda: behind(head(1, b"/proxied", ends=False), frame(0, 0, 1, b"x")), True),
    "rapid-reset": (settings(), lambda: streams(lambda n: head(n, b"/proxied") + frame(3, 0, n, number(8))), True),
    "provoked-reset": (
        settings(), lambda: streams(lambda n: head(n, b"/proxied") + frame(8, 0, n, number(0x7FFFFFFF))), True
    ),
    "refused": (settings(), lambda: streams(lambda n: head(n, b"/proxied", ends=False)), True),
    "malformed": (settings(), lambda: streams(lambda n: head(n, more=b"\0\1X\1y")), True),
    "requests": (settings(), lambda: streams(head), True),
    "requests-unread": (settings(), lambda: streams(head), False),
    "continuation": (settings(), lambda: behind(frame(1, 1, 1, b"\x82"), frame(9, 0, 1, b"\0\1x\1y" * 100)), True),
    "hpack-bomb": (
        settings(), lambda: streams(lambda n: head(n, more=(FIELD if n == 1 else b"") + b"\xbe" * 12_000)), True
    ),
    "remembered-heads": (
        settings(), lambda: streams(lambda n: head(n, more=b"\0\1x\x7f\xd1\x0f" + b"%010d" % n * 208)), True
    ),
    "no-window": (NO_WINDOW, lambda: iter([LARGE]), True),
    "no-reading": (settings((4, 2**31 - 1)), lambda: iter([frame(8, 0, 0, number(2**31 - 65536)), LARGE]), False),
    "one-byte-windows": (
        NO_WINDOW, lambda: behind(LARGE, b"".join(frame(8, 0, n, number(1)) for n in range(1, 201, 2))), True
    ),
}  # fmt: skip


async def attack(port: int, name: str, connections: int) -> None:
    """Do it over many connections, and again when they are closed."""
    begin, make, reads = ATTACKS[name]

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(PREFACE + begin)

                async def read(reader: asyncio.StreamReader = reader) -> None:
                    while await reader.read(2**20):
                        pass

                reading = asyncio.create_task(read() if reads else asyncio.Event().wait())
                if not reads:
                    writer.transport.pause_reading()  # type: ignore[attr-defined]
                with contextlib.suppress(OSError):
                    for piece in make():
                        writer.write(piece)
                        await writer.drain()
                        if reading.done():
                            break
                    await asyncio.wait([reading], timeout=20)
                reading.cancel()
                writer.transport.abort()
            await asyncio.sleep(0.01)

    await asyncio.gather(*[one() for _ in range(connections)])


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def family(pid: int) -> list[int]:
    """Return a process and its children: the gateway may serve in a worker."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *[each for child in children for each in family(int(child))]]


async def watch(pids: list[int], largest: list[int]) -> None:
    while True:
        largest[0] = max(largest[0], sum(map(resident, pids)))
        await asyncio.sleep(0.05)


async def measure(attacks: list[str], connections: int, seconds: float) -> bool:
    """Print a line for each attack; return whether all are within the limits."""
    fits = True
    for name in attacks:
        ports = free_ports()
        with tempfile.TemporaryDirectory() as folder:
            make_certificate(Path(folder))
            command, environ = command_of("gateway", ports, Path(folder))
            pin = ["taskset", "-c", "0"] if (os.cpu_count() or 1) > 1 else []
            process = subprocess.Popen([*pin, *command], env={**os.environ, **environ}, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
            upstream = run_apart(serve_upstream, ports.upstream)
            server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", ports.probe)
            try:
                await wait_for(ports.plain)
                await wait_for(ports.upstream)
                await probe(ports, False, 1.0, lambda: None)
                pids = family(process.pid)
                before = sum(map(resident, pids))
                largest = [before]
                watching = asyncio.create_task(watch(pids, largest))
                waits = await probe(ports, False, seconds, partial(run_apart, attack, ports.plain, name, connections))
                watching.cancel()
                growth = largest[0] - before
                fits = fits and waits[-1] < LIMIT and growth < MOST_GROWTH
                print(
                    f"{name:18s} worst {waits[-1] * 1e3:7.1f} ms  p99 {waits[int(len(waits) * 0.99)] * 1e3:6.1f} ms  "
                    f"memory {growth / 2**20:+6.1f} MiB  ({len(waits)} requests)",
                    flush=True,
                )
            finally:
                server.close()
                upstream.kill()
                process.terminate()
                process.wait()
    return fits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attacks", default=",".join(ATTACKS))
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    if (cpus := os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, range(1, cpus))
    started = time.monotonic()
    fits = asyncio.run(measure(arguments.attacks.split(","), arguments.connections, arguments.seconds))
    print(f"{time.monotonic() - started:.0f} s")
    if not fits:
        sys.exit(1)


if __name__ == "__main__":
    main()
