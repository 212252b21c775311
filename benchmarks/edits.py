"""A thousand edits of all kinds beside clients of all kinds: what fails, and what grows.

    python benchmarks/edits.py                      # 1,000 edits, 2 workers
    python benchmarks/edits.py --edits 100 --workers 1

Clients keep connections, make new ones, speak HTTP/1, HTTP/2 and TLS, send and get bodies in pieces that last longer
than an edit, and hold WebSockets (`edit_clients.py`); gateway-wide are auth, ratelimit and logger. An edit adds,
removes or changes a route, moves an upstream to another endpoint, changes a plugin's configuration or the files of a
certificate, or is broken. Each is waited for until a request, a handshake or the log shows it. A failure is whatever is
not the expected response, or breaks off. What may grow is that of the whole process tree, after the first tenth and at
the end: memory, descriptors, threads, processes (zombies too), files of the state directory. Exit status 1 if a request
failed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import functools
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import traffic  # type: ignore[import-not-found]  # a neighbour, as scripts import it
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from edit_clients import CLIENTS, Load, connection, get, response_of, serve, unverified  # type: ignore[import-not-found]  # likewise

PATIENCE = 120.0
EDITS = ("add", "remove", "change", "endpoint", "plugin", "certificate", "broken")


# -- edits


class Edits:
    """The configuration, and how each kind of edit changes it."""

    def __init__(self, folder: Path, workers: int, ports: tuple[int, int]) -> None:
        self.folder, self.workers, self.ports = folder, workers, ports
        self.file, self.log = folder / "gateway.yaml", folder / "log"
        self.number, self.routes, self.end, self.rate = 0, list(range(20)), 0, 1_000_000
        self.certify()

    def text(self) -> str:
        routes = "".join(
            f"  - {{id: r{each}, path: /r/{each}/:id, methods: [GET], target: u}}\n" for each in self.routes
        )
        return f"""\
listen: ["127.0.0.1:0", {{address: "127.0.0.2:0", tls: {{cert: {self.folder}/cert.pem, key: {self.folder}/key.pem}}}}]
workers: {self.workers}
{traffic.PLUGINS.format(secret=traffic.SECRET).replace("1000000", str(self.rate))}
upstreams:
  - {{name: u, endpoints: [{{url: "http://127.0.0.1:{self.ports[0]}"}}]}}
  - {{name: v, endpoints: [{{url: "http://127.0.0.1:{self.ports[self.end]}"}}]}}
routes:
  - {{id: plain, path_prefix: /plain, target: u}}
  - {{id: stream, path_prefix: /stream, target: u}}
  - {{id: socket, path_prefix: /socket, target: u}}
  - {{id: moved, path_prefix: /moved, target: v}}
  - {{id: edited, path: /edited, redirect: {{path: /is/{self.number}}}}}
{routes}"""

    def write(self, text: str) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.rename(self.file)

    def certify(self) -> None:
        """Write a certificate with the number of the edit as its serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        now = datetime.datetime.now(datetime.UTC)
        made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        made = (
            made.serial_number(self.number + 1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=90))
        )
        pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        for target, data in (("key", secret), ("cert", pem)):
            (self.folder / "new").write_bytes(data)
            (self.folder / "new").rename(self.folder / f"{target}.pem")

    async def make(self, kind: str, load: Load) -> None:
        """Make one edit and wait for it."""
        self.number += 1
        if kind == "broken":
            before = self.rejections()
            self.write(self.text() + "  - {id: broken, path: /broken, traget: u}\n")
            return await until(lambda: self.rejections() > before)
        if kind == "certificate":
            self.certify()
            return await until(lambda: self.is_presented(load))
        if kind == "add":
            self.routes.append(1000 + self.number)
        elif kind == "remove":
            self.routes.pop(0)
        elif kind == "endpoint":
            self.end = 1 - self.end
        elif kind == "plugin":
            self.rate += 1
        self.write(self.text())
        return await until(lambda: self.is_in_force(load))

    def rejections(self) -> int:
        return self.log.read_text().count("config.rejected")

    async def is_in_force(self, load: Load) -> bool:
        async with connection(load.port) as (reader, writer):
            writer.write(get(b"/edited"))
            if b"/is/%d\r\n" % self.number not in await response_of(reader):
                return False
            writer.write(get(b"/moved"))
            return b"X-End: %c" % b"ab"[self.end] in await response_of(reader)

    async def is_presented(self, load: Load) -> bool:
        async with connection(load.tls_port, unverified()) as (_, writer):
            found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            return x509.load_der_x509_certificate(found).serial_number == self.number + 1


async def until(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until something is true, for at most PATIENCE."""
    async with asyncio.timeout(PATIENCE):
        while not (found := holds()) or (not isinstance(found, bool) and not await found):  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.01)


# -- what grows


def tree(root: int) -> list[int]:
    """Return a process and its descendants."""
    children: dict[int, list[int]] = {}
    for name in Path("/proc").iterdir():
        if name.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int((name / "stat").read_text().rpartition(")")[2].split()[1]), []).append(
                    int(name.name)
                )
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


@dataclass(frozen=True, order=True)
class Usage:
    """What a process tree has at one moment."""

    processes: int
    zombies: int
    threads: int
    descriptors: int
    files: int
    mib: float

    @classmethod
    def now(cls, root: int, state: Path) -> Usage:
        zombies = threads = descriptors = pages = 0
        pids = tree(root)
        for pid in pids:
            with contextlib.suppress(OSError):
                status = (Path("/proc") / str(pid) / "status").read_text()
                zombies += "State:\tZ" in status
                threads += int(re.findall(r"Threads:\t(\d+)", status)[0])
                pages += int((Path("/proc") / str(pid) / "statm").read_text().split()[1])
                descriptors += len(list((Path("/proc") / str(pid) / "fd").iterdir()))
        files = sum(each.is_file() for each in state.rglob("*"))
        return cls(len(pids), zombies, threads, descriptors, files, pages * os.sysconf("SC_PAGE_SIZE") / 2**20)

    @classmethod
    async def calm(cls, root: int, state: Path) -> Usage:
        """Return the least of some samples: what validates an edit lives for a moment."""
        found = []
        for _ in range(10):
            found.append(cls.now(root, state))
            await asyncio.sleep(0.1)
        return min(found)


async def measure(options: argparse.Namespace, folder: Path) -> int:
    """Run it and print the figures; return the exit status."""
    servers = [await asyncio.start_server(functools.partial(serve, name), "127.0.0.1", 0) for name in ("a", "b")]
    ports = [each.sockets[0].getsockname()[1] for each in servers]
    edits, state = Edits(folder, options.workers, (ports[0], ports[1])), folder / "state"
    edits.write(edits.text())
    with edits.log.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220  # it is to run beside this
            [sys.executable, "-m", "gateway_core.cli", "run", "-c", str(edits.file), "--state", str(state)],
            stderr=output,
        )
    try:
        load = Load(*await listening(edits.log))
        durations: dict[str, list[float]] = {}
        async with asyncio.TaskGroup() as group:
            for kind, use in CLIENTS.items():
                for _ in range(options.clients):
                    group.create_task(load.run(kind, use))
            await asyncio.sleep(2)
            began, early = time.perf_counter(), await Usage.calm(process.pid, state)
            for number in range(options.edits):
                started, kind = time.perf_counter(), EDITS[number % len(EDITS)]
                await edits.make(kind, load)
                durations.setdefault(kind, []).append(time.perf_counter() - started)
                await asyncio.sleep(options.rest)
                if (number + 1) % max(options.edits // 10, 1) == 0:
                    late = await Usage.calm(process.pid, state)
                    took = time.perf_counter() - began
                    print(f"{number + 1} edits, {took:.0f} s: {late}; failures {dict(load.failures)}", flush=True)
                    early = late if number + 1 <= options.edits // 10 else early
            load.is_over = True
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):  # in a thread: its upstreams are here
            await asyncio.to_thread(process.wait, PATIENCE)
        print(f"ended with {process.poll()}")
        process.kill()
    for kind, each in durations.items():
        print(
            f"  {kind}: {len(each)} in force after {statistics.median(each):.2f} s (median), {max(each):.2f} (longest)"
        )
    print(f"done: {sum(load.done.values())} {dict(load.done)}")
    print(f"failures: {sum(load.failures.values())} {dict(load.failures)}")
    print(f"after a tenth {early}\nat the end    {late}")
    events = Counter(re.findall(r" (?:error|warning) (\S+):", edits.log.read_text()))
    print(f"errors and warnings in the log: {dict(events)}")
    return 1 if load.failures else 0


async def listening(log: Path) -> tuple[int, int]:
    """Wait for both ports."""

    def found() -> list[re.Match[str] | None]:
        text = log.read_text()
        return [re.search(rf"{each}:(\d+)", text) for each in ("http://127.0.0.1", "https://127.0.0.2")]

    await until(lambda: all(found()))
    plain, tls = (int(each[1]) for each in found() if each)
    return plain, tls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=2, help="of each kind")
    parser.add_argument("--rest", type=float, default=0.05, help="seconds between edits")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raise SystemExit(asyncio.run(measure(options, Path(folder))))


if __name__ == "__main__":
    main()
