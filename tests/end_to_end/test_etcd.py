from __future__ import annotations

import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.kit import Gateway, ToClients, Upstream, eventually, get
from tests.plugins.etcd.server import Etcd

pytestmark = pytest.mark.slow

Start = Callable[[], Gateway]

BASE = "listen: 127.0.0.1:0\n"


@pytest.fixture
async def etcd(tmp_path: Path) -> AsyncIterator[Etcd]:
    async with Etcd(tmp_path / "etcd") as running:
        yield running


@pytest.fixture
def start(start: Callable[..., Gateway], tmp_path: Path, etcd: Etcd) -> Start:
    """Start ``gateway run`` on a file and on what is below ``/gateway`` in etcd."""
    more = ("-c", f"etcd://{etcd.host}/gateway", "--state", str(tmp_path / "state"))
    return partial(start, BASE, *more)


def route(name: str, upstream: Upstream, more: str = "") -> str:
    return f"routes:\n  - id: {name}\n    path: /{name}\n    target: {upstream.url}\n{more}"


async def test_documents_of_etcd_are_served_changed_and_kept(start: Start, etcd: Etcd, upstream: Upstream) -> None:
    await etcd.put("/gateway/a.yaml", route("a", upstream))
    gateway = start()
    url = await gateway.ready()
    assert (await get(url, "/a"))[0] == 200

    await etcd.put("/gateway/b.yaml", route("b", upstream))
    await eventually(url, "/b", "200")

    # A bad document and a good one at once: the one stays as it was, the other changes.
    after = len(gateway.lines)
    await etcd.put("/gateway/b.yaml", route("b", upstream, "    tarrget: x\n"))
    await etcd.put("/gateway/c.yaml", route("c", upstream))
    await eventually(url, "/c", "200")
    assert (await get(url, "/b"))[0] == 200
    said = "\n".join(gateway.lines[after:])
    assert f"stay in force: etcd://{etcd.host}/gateway/b.yaml" in said
    assert re.search(r"/gateway/b\.yaml:5:5: routes\[1\]\.tarrget: unknown key \"tarrget\"", said)

    await etcd.kill()
    await gateway.says("is unreachable, its last documents stay in force")
    assert (await get(url, "/c"))[0] == 200
    await gateway.stops()


async def test_a_gateway_that_starts_while_etcd_is_down_serves_what_was_good_last(
    start: Start, etcd: Etcd, upstream: Upstream, tmp_path: Path
) -> None:
    await etcd.put("/gateway/a.yaml", route("a", upstream))
    first = start()
    url = await first.ready()
    await etcd.put("/gateway/b.yaml", route("b", upstream))
    await eventually(url, "/b", "200")
    await first.stops()
    await etcd.kill()

    second = start()
    url = await second.ready()
    assert "its last good documents are used from" in second.text
    assert (await get(url, "/b"))[0] == 200
    (kept,) = (tmp_path / "state").glob("sources-*")
    assert os.stat(kept).st_mode & 0o777 == 0o600  # noqa: PTH116  # as an operator looks at it

    await etcd.start()
    await etcd.delete("/gateway/b.yaml")
    await eventually(url, "/b", "404")
    await second.stops()


async def test_endpoints_of_etcd_come_and_go(
    start: Start, etcd: Etcd, upstream: Upstream, second_upstream: Upstream
) -> None:
    await etcd.put("/services/u/1", upstream.url)
    discovery = f"{{name: etcd, config: {{endpoints: ['{etcd.url}'], prefix: /services/u}}}}"
    text = f"upstreams: [{{name: u, discovery: {discovery}}}]\nroutes: [{{path: /a, target: u}}]\n"
    await etcd.put("/gateway/a.yaml", text)
    gateway = start()
    url = await gateway.ready()
    await eventually(url, "/a", "200 one")

    await etcd.put("/services/u/1", second_upstream.url)
    await eventually(url, "/a", "200 two")

    await etcd.delete("/services/u/1")
    await eventually(url, "/a", "503")
    await gateway.stops()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_program_that_takes_over_while_etcd_is_away_keeps_the_endpoints(
    etcd: Etcd, upstream: Upstream, second_upstream: Upstream, tmp_path: Path, to_clients: ToClients, workers: int
) -> None:
    await etcd.put("/services/u/1", upstream.url)
    discovery = f"{{name: etcd, config: {{endpoints: ['{etcd.url}'], prefix: /services/u}}}}"
    config = tmp_path / "gateway.yaml"
    config.write_text(
        f"listen: 127.0.0.1:0\nworkers: {workers}\nupstreams: [{{name: u, discovery: {discovery}}}]\n"
        "routes: [{path: /a, target: u}]\n"
    )
    gateway = Gateway(config, "--state", str(tmp_path / "state"), to_clients=to_clients)
    try:
        url = await gateway.ready()
        await eventually(url, "/a", "200 one")
        await etcd.kill()
        await gateway.says("discovery of u is stale")

        after = len(gateway.lines)
        gateway.signal(signal.SIGUSR2)
        await gateway.says("the new program has taken over", after=after)
        assert [await get(url, "/a") for _ in range(4)] == [(200, "one GET /a HTTP/1.1")] * 4

        await etcd.start()
        await etcd.put("/services/u/1", second_upstream.url)
        await eventually(url, "/a", "200 two")
        await gateway.stops()
    finally:
        gateway.kill()
