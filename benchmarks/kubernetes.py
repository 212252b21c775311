"""What changes of EndpointSlices cost a gateway, and how many connections it makes to the API server.

    python benchmarks/kubernetes.py                       # 5,000 changes, 40 slices of 100, 2 workers
    python benchmarks/kubernetes.py --endpoints 10        # smaller slices
    python benchmarks/kubernetes.py --workers 1

The API server is that of the tests, in this process. Each change replaces one endpoint of one slice; they come as fast
as the server sends them. The CPU is that of all processes of the gateway, from the first change until every worker has
the endpoints of the last. Exit status 1 if a worker has others, or the bars are missed: 4 connections, 3 s of CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.end_to_end.kit import Gateway, get
from tests.plugins.kubernetes.api_server import ApiServer, pod

PATIENCE = 120.0
MOST_CONNECTIONS = 4
MOST_SECONDS = 3.0

KUBECONFIG = """
current-context: it
contexts: [{{name: it, context: {{cluster: it, user: it, namespace: shop}}}}]
clusters: [{{name: it, cluster: {{server: "{url}"}}}}]
users: [{{name: it, user: {{token: good}}}}]
"""


def processes(pid: int) -> Iterator[int]:
    """Yield a process and all that it has started."""
    yield pid
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield from processes(int(child))


def cpu_seconds(pid: int) -> float:
    """Return the CPU of a process, its children and theirs."""
    ticks = 0
    for each in processes(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def addresses(number: int, endpoints: int) -> list[str]:
    """Return the first addresses of a slice."""
    return [f"10.{number}.{index // 250}.{index % 250 + 1}" for index in range(endpoints)]


def configuration(folder: Path, upstreams: int, workers: int) -> str:
    """Return a configuration of so many upstreams."""
    discovery = "{{name: u{0}, discovery: {{name: kubernetes, config: {{service: s{0}, kubeconfig: {1}/kubeconfig}}}}}}"
    named = ", ".join(discovery.format(number, folder) for number in range(upstreams))
    return (
        f"listen: 127.0.0.1:0\nworkers: {workers}\nadmin: {{listen: 'unix:{folder}/admin'}}\n"
        f"upstreams: [{named}]\nroutes: [{{id: it, path: /, target: u0}}]\n"
    )


async def found(folder: Path) -> dict[Any, set[str]]:
    """Return the endpoints of each upstream in each worker."""
    _, body = await get(f"unix:{folder}/admin", "/upstreams")
    shown = json.loads(body)
    upstreams = shown["upstreams"] if isinstance(shown, dict) else shown
    return {(each.get("worker", 0), each["name"]): {e["id"] for e in each["endpoints"]} for each in upstreams}


async def until(folder: Path, expected: dict[Any, set[str]], pause: float) -> bool:
    """Wait until all workers have these endpoints."""
    end = time.monotonic() + PATIENCE
    while await found(folder) != expected:
        if time.monotonic() > end:
            return False
        await asyncio.sleep(pause)
    return True


async def measure(options: argparse.Namespace, folder: Path) -> int:
    """Make the changes and print what they cost."""
    server = ApiServer()
    await server.start()
    (folder / "kubeconfig").write_text(KUBECONFIG.format(url=server.url))
    (folder / "gateway.yaml").write_text(configuration(folder, options.upstreams, options.workers))
    slices = [addresses(number, options.endpoints) for number in range(options.upstreams)]

    def put(number: int) -> None:
        server.put_slice(f"s{number}", f"s{number}", [pod(address) for address in slices[number]])

    def expected() -> dict[Any, set[str]]:
        shown = [{f"{address}:8080" for address in each} for each in slices]
        return {(w, f"u{n}"): each for w in range(options.workers) for n, each in enumerate(shown)}

    for number in range(options.upstreams):
        server.put("services", "shop", f"s{number}")
        put(number)
    gateway = Gateway(folder / "gateway.yaml")
    try:
        await gateway.ready()
        is_right = await until(folder, expected(), 0.1)
        before, began = cpu_seconds(gateway.process.pid), time.monotonic()
        rng = Random(1)
        for change in range(options.changes):
            number = rng.randrange(options.upstreams)
            slices[number][rng.randrange(options.endpoints)] = f"10.200.{change // 250}.{change % 250 + 1}"
            put(number)
            if change % 10 == 0:
                await asyncio.sleep(0)  # the server sends
        is_right = await until(folder, expected(), 0.5) and is_right
        took, cpu = time.monotonic() - began, cpu_seconds(gateway.process.pid) - before
        connections = len({id(request.transport) for request in server.requests})
    finally:
        gateway.kill()
        await server.stop()
    print(
        f"{options.changes} changes of slices of {options.endpoints} endpoints, {options.upstreams} upstreams, "
        f"{options.workers} workers: {cpu:.2f} s of CPU in {took:.1f} s, {connections} connections, "
        f"{'all' if is_right else 'NOT ALL'} endpoints right"
    )
    return 0 if is_right and connections <= MOST_CONNECTIONS and cpu <= MOST_SECONDS else 1


def main() -> int:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=5000)
    parser.add_argument("--upstreams", type=int, default=40)
    parser.add_argument("--endpoints", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measure(parser.parse_args(), Path(folder)))


if __name__ == "__main__":
    raise SystemExit(main())
