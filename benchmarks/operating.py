"""What operating a gateway costs: the overview, the live view of ten dashboards, a tail under load, many routes.

    python -m benchmarks.operating                      # all of them
    python -m benchmarks.operating streams --rounds 10  # one of overview, streams, tail, apply
    python -m benchmarks.operating streams --workers 1
    python -m benchmarks.operating streams --rate 1000  # beside that many requests a second; 0 is an idle gateway

`overview` and `streams` have 1,000 routes, 50 of them in use. CPU is that of the gateway's processes as the scheduler
counts it, so time that others use the machine for is not in it. `streams` sends the same requests without and with ten
streams of ``GET /api/v1/events`` in turn, and `apply` puts the same routes in force by ``POST config:apply`` and by a
file in turn: compare the pairs of one run. wrk is needed, and h2load for `--rate`.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.service import service

PATIENCE = 120.0
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
ROUTES, USED, DASHBOARDS = 1_000, 50, 10
MANY = 10_000
CONNECTIONS = 16
SETTLE = 1.5
"""Seconds from the opening of streams on that are not measured: the first second's figures, and logins."""
WRK = """
local number = 0
request = function()
  number = (number + 1) % {used}
  return wrk.format("GET", "/r" .. number)
end
"""


class Gateway:
    """A gateway that runs, with its control socket and its processes."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], url: str) -> None:
        self.folder = folder
        self.process = process
        self.url = url

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection to the control socket."""
        (path,) = (self.folder / "gateway").glob("*.sock")
        connection = http.client.HTTPConnection("gateway", timeout=PATIENCE)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(path))
        return connection

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """Send a request of the admin API, and return what it returned."""
        with contextlib.closing(self.connect()) as connection:
            content = None if body is None else json.dumps(body)
            fields = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, f"/api/v1/{path}", content, fields)
            response = connection.getresponse()
            found = json.loads(response.read())
            if response.status >= 300:
                raise SystemExit(f"{method} {path}: {response.status} {found}")
            return found

    def cpu(self) -> dict[int, float]:
        """Return the seconds that each of its processes has run, to the nanosecond."""
        found = {}
        for pid in (self.process.pid, *children_of(self.process.pid)):
            with contextlib.suppress(OSError):
                threads = list(Path(f"/proc/{pid}/task").iterdir())
                found[pid] = sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9
        return found


def children_of(pid: int) -> list[int]:
    """Return the processes below one."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            found += [int(child), *children_of(int(child))]
    return found


@contextlib.contextmanager
def running(text: str) -> Iterator[Gateway]:
    """Run a gateway of a configuration until the block ends."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "gateway.yaml").write_text(text)
        environ = {**os.environ, "XDG_RUNTIME_DIR": name, "XDG_STATE_HOME": f"{name}/state"}
        with (folder / "log").open("wb") as log:
            command = [sys.executable, "-m", "gateway_core.cli", "run", "-c", str(folder / "gateway.yaml")]
            process = subprocess.Popen(command, stderr=log, env=environ)
        try:
            yield Gateway(folder, process, listening(folder / "log"))
        finally:
            process.terminate()
            process.wait(PATIENCE)


def listening(log: Path) -> str:
    """Wait for the URL."""
    end = time.monotonic() + PATIENCE
    while (found := re.search(r"listening on (http://\S+)", log.read_text())) is None:
        if time.monotonic() > end:
            raise TimeoutError(log.read_text())
        time.sleep(0.05)
    return found[1]


def config(upstream: str, routes: int, workers: int) -> str:
    """Return a configuration with routes to one upstream."""
    each = [{"id": f"r{number}", "path_prefix": f"/r{number}", "target": "u"} for number in range(routes)]
    upstreams = [{"name": "u", "endpoints": [{"url": upstream}]}]
    return json.dumps({"listen": "127.0.0.1:0", "workers": workers, "upstreams": upstreams, "routes": each})


def load(gateway: Gateway, seconds: float) -> int:
    """Send requests for some routes in turn, as many as it takes; return how many there were."""
    script = gateway.folder / "load.lua"
    script.write_text(WRK.format(used=USED))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), gateway.url]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in printed:
        raise SystemExit(printed)
    return int(printed.partition(" requests in ")[0].split()[-1])


def load_at(gateway: Gateway, seconds: float, rate: int) -> int:
    """Send so many requests a second for some routes in turn; return how many there were."""
    if not rate:
        time.sleep(seconds)
        return 0
    urls = gateway.folder / "urls"
    urls.write_text("".join(f"{gateway.url.rstrip('/')}/r{number}\n" for number in range(USED)))
    timing = [f"--rps={rate / CONNECTIONS}", f"-D{seconds}"]
    command = ["h2load", "--h1", f"-c{CONNECTIONS}", *timing, "-i", str(urls)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(printed.partition(" succeeded")[0].split()[-1])


# -- the overview


def overview(upstream: str, options: argparse.Namespace) -> None:
    with running(config(upstream, ROUTES, options.workers)) as gateway:
        load(gateway, 1)
        took, spent = [], []
        with contextlib.closing(gateway.connect()) as connection:
            for _ in range(20 * options.rounds):
                before, began = sum(gateway.cpu().values()), time.perf_counter()
                connection.request("GET", "/api/v1/overview")
                size = len(connection.getresponse().read())
                took.append((time.perf_counter() - began) * 1000)
                spent.append((sum(gateway.cpu().values()) - before) * 1000)
        print(
            f"overview with {ROUTES} routes: {min(took):.1f} ms at least, median {statistics.median(took):.1f} ms, "
            f"CPU {min(spent):.1f} and {statistics.median(spent):.1f} ms, {size} bytes"
        )


# -- ten dashboards


class Streams:
    """Dashboards that watch: each reads a stream until it is closed."""

    def __init__(self, gateway: Gateway, number: int) -> None:
        self.events = 0
        self._connections = [gateway.connect() for _ in range(number)]
        self._threads = [threading.Thread(target=self._read, args=(each,)) for each in self._connections]
        for each in self._threads:
            each.start()

    def _read(self, connection: http.client.HTTPConnection) -> None:
        connection.request("GET", "/api/v1/events")
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException), connection.getresponse() as response:
            while line := response.readline():
                self.events += line.startswith(b"event: traffic")

    def close(self) -> None:
        """End them all."""
        for each in self._connections:
            with contextlib.suppress(OSError):
                each.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()


class Spent(NamedTuple):
    """What was spent in a round, with or without dashboards."""

    requests: int
    elapsed: float
    serving: float
    """Percent of a core, of the processes that serve requests."""
    everything: float
    """Percent of a core, of all processes."""

    @property
    def rate(self) -> float:
        return self.requests / self.elapsed

    def beyond(self, plain: Spent) -> tuple[float, float]:
        """Return what was spent beyond what the requests of this round take without dashboards."""
        share = self.rate / plain.rate if plain.requests else 1.0
        return self.serving - plain.serving * share, self.everything - plain.everything * share


def streams(upstream: str, options: argparse.Namespace) -> None:
    with running(config(upstream, ROUTES, options.workers)) as gateway:
        load(gateway, 1)
        found: dict[bool, list[Spent]] = {False: [], True: []}
        for number in range(2 * options.rounds):
            is_watched = number % 2 == 1
            watching = Streams(gateway, DASHBOARDS if is_watched else 0)
            time.sleep(SETTLE)
            before, began = gateway.cpu(), time.monotonic()
            if options.rate is None:
                requests = load(gateway, options.seconds)
            else:
                requests = load_at(gateway, options.seconds, options.rate)
            elapsed, after = time.monotonic() - began, gateway.cpu()
            watching.close()
            spent = {pid: seconds - before.get(pid, 0) for pid, seconds in after.items()}
            everything = sum(spent.values()) / elapsed * 100
            beside = 0.0 if options.workers == 1 else spent[gateway.process.pid] / elapsed * 100
            found[is_watched].append(Spent(requests, elapsed, everything - beside, everything))
        for is_watched, rounds in found.items():
            rate, cost = (
                statistics.median(each) for each in zip(*((one.rate, one.serving) for one in rounds), strict=True)
            )
            print(f"{DASHBOARDS if is_watched else 'no':>3} dashboards: {rate:.0f} requests/s, {cost:.2f} % of a core")
        pairs = [watched.beyond(plain) for plain, watched in zip(found[False], found[True], strict=True)]
        for what, more in zip(("what serves requests", "all processes"), zip(*pairs, strict=True), strict=True):
            each = ", ".join(f"{one:+.2f}" for one in more)
            print(f"{DASHBOARDS} dashboards take {statistics.median(more):+.2f} % of a core, {what} (pairs: {each})")


# -- a tail under load


def tail(upstream: str, options: argparse.Namespace) -> None:
    with running(config(upstream, ROUTES, options.workers)) as gateway:
        with contextlib.closing(gateway.connect()) as connection:
            connection.request("GET", "/api/v1/events?types=tail")
            response = connection.getresponse()
            counts = {"tail": 0, "lost": 0}
            done = threading.Event()

            def read() -> None:
                name = ""
                while not done.is_set() and (line := response.readline()):
                    if line.startswith(b"event: "):
                        name = line[7:-1].decode()
                    elif line.startswith(b"data: "):
                        counts["tail"] += name == "tail"
                        counts["lost"] += json.loads(line[6:])["lost"] if name == "gap" else 0

            reader = threading.Thread(target=read)
            reader.start()
            requests = load(gateway, options.seconds)
            end = time.monotonic() + PATIENCE
            while counts["tail"] + counts["lost"] < requests and time.monotonic() < end:
                time.sleep(0.1)
            done.set()
            connection.sock.shutdown(socket.SHUT_RDWR)
            reader.join()
        print(
            f"tail: {requests} requests that the client saw end, "
            f"{counts['tail']} events and {counts['lost']} named as lost"
        )


# -- many routes


def apply(upstream: str, options: argparse.Namespace) -> None:
    plain = config(upstream, 1, options.workers)
    with running(plain) as gateway:
        found: dict[str, list[tuple[float, float]]] = {"config:apply": [], "a file": []}
        for number in range(options.rounds):
            routes = [
                {"id": f"m{each}", "path": f"/m/{number}/{each}", "methods": ["GET"], "target": "u"}
                for each in range(MANY)
            ]
            for name, times in found.items():
                before, began = gateway.cpu(), time.monotonic()
                if name == "a file":
                    text = json.loads(plain)
                    text["routes"] += routes
                    (gateway.folder / "new").write_text(json.dumps(text))
                    (gateway.folder / "new").rename(gateway.folder / "gateway.yaml")
                    gateway.call("POST", "reload", {})
                else:
                    gateway.call("POST", "config:apply", {"routes": routes}, {"If-Match": "*"})
                after = gateway.cpu()
                spent = sum(seconds - before.get(pid, 0) for pid, seconds in after.items())
                times.append((time.monotonic() - began, spent))
                if name == "a file":
                    (gateway.folder / "gateway.yaml").write_text(plain)
                    gateway.call("POST", "reload", {})
                else:
                    gateway.call("POST", "config:apply", {}, {"If-Match": "*"})
        for name, times in found.items():
            took, cpu = zip(*times, strict=True)
            print(
                f"{MANY} routes by {name}: in force after {min(took):.2f} s at least, "
                f"median {statistics.median(took):.2f} s; CPU {min(cpu):.2f} and {statistics.median(cpu):.2f} s"
            )


WHAT = {"overview": overview, "streams": streams, "tail": tail, "apply": apply}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[[], *WHAT])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rate", type=int, help="requests a second of streams; as many as are served if left out")
    options = parser.parse_args()
    print(f"{sys.version.split()[0]}, {options.workers} workers, {os.cpu_count()} CPUs")
    with service(RESPONSE) as upstream:
        for each in options.what or WHAT:
            WHAT[each](upstream, options)


if __name__ == "__main__":
    main()
