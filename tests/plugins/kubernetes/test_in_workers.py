"""Several workers learn from one watcher what the cluster has."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway_core.packages import PluginRegistry
from gateway_core.process.supervisor import Supervisor
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.snapshot import load

from tests.plugins.kubernetes.api_server import ApiServer, pod

UPSTREAMS = 40


def bundle_of(path: Path, file: Path) -> ConfigBundle:
    upstreams = [
        f"{{name: u{number}, discovery: {{name: kubernetes, config: {{service: s{number}, kubeconfig: {file}}}}}}}"
        for number in range(UPSTREAMS)
    ]
    path.write_text(
        f"listen: '127.0.0.1:0'\nworkers: 2\nupstreams: [{', '.join(upstreams)}]\n"
        "routes: [{id: it, path: /, target: u0}]\n"
    )
    loaded = load([path], registry=PluginRegistry(), environ={})
    return ConfigBundle(loaded.version, tuple(loaded.to_lines()), loaded.config.workers)


async def found_by(supervisor: Supervisor, expected: dict[str, str]) -> None:
    """Wait until both workers have these endpoints."""
    async with asyncio.timeout(60):
        while True:
            upstreams = (await supervisor.status())["upstreams"]
            found = {(each["worker"], each["name"]): [e["id"] for e in each["endpoints"]] for each in upstreams}
            if found == {(worker, name): [value] for worker in (0, 1) for name, value in expected.items()}:
                return
            await asyncio.sleep(0.05)


async def test_two_workers_with_forty_upstreams_make_two_watches(
    server: ApiServer, kubeconfig: Path, tmp_path: Path
) -> None:
    for number in range(UPSTREAMS):
        server.put("services", "shop", f"s{number}")
        server.put_slice(f"s{number}", f"s{number}", [pod(f"10.0.0.{number}")])
    expected = {f"u{number}": f"10.0.0.{number}:8080" for number in range(UPSTREAMS)}
    supervisor = Supervisor()
    try:
        change = await supervisor.prepare(await asyncio.to_thread(bundle_of, tmp_path / "gateway.yaml", kubeconfig))
        await change.commit()
        await found_by(supervisor, expected)
        assert server.watches == 2

        server.put_slice("s7", "s7", [pod("10.1.0.7")])
        await found_by(supervisor, {**expected, "u7": "10.1.0.7:8080"})
        assert len(server.requests) == 4
    finally:
        await supervisor.stop(1)
