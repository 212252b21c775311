"""Three processes of `gateway run` with one storage, in Valkey and in etcd: each certificate is ordered once."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from gateway_core.testing import eventually

from tests.end_to_end.kit import Gateway
from tests.plugins.acme.conftest import document, has_certificate
from tests.plugins.acme.pebble import Pebble, run_pebble
from tests.plugins.etcd.server import Etcd
from tests.plugins.ratelimit.stores.conftest import Valkey
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NAMES = ["a.example.com", "b.example.com", "c.example.com"]
ORDERS = "certificates are ordered by this process"

Start = Callable[..., Gateway]


@pytest.fixture(params=["valkey", "etcd"])
async def shared(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    async with AsyncExitStack() as stack:
        options: dict[str, Any] = {"seal": "a secret of all gateways"}
        if request.param == "valkey":
            server = Valkey(tmp_path)
            stack.callback(server.kill)
            options["valkey"] = {"url": server.url, "timeout": "20s"}
        else:
            etcd = await stack.enter_async_context(Etcd(tmp_path / "etcd"))
            options["etcd"] = {"urls": [etcd.url], "timeout": "20s"}
        yield options


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process on a configuration, with a control socket and state of its own."""
    started: list[Gateway] = []

    def begin(config: dict[str, Any]) -> Gateway:
        folder = tmp_path / f"gateway{len(started)}"
        folder.mkdir(mode=0o700)
        (folder / "gateway.json").write_text(json.dumps(config))
        environ = {"XDG_RUNTIME_DIR": str(folder), "XDG_STATE_HOME": str(folder)}
        started.append(Gateway(folder / "gateway.json", environ=environ))
        return started[-1]

    yield begin
    for each in started:
        each.kill()


def elsewhere(config: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Return the configuration of a gateway that the authority does not reach, and its port with TLS."""
    port = free_port()
    config["listen"][0]["address"] = f"127.0.0.1:{free_port()}"
    config["listen"][1]["address"] = f"127.0.0.1:{port}"
    return config, port


async def until(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(eventually, condition, 120)


def all_have(ports: list[int], names: list[str]) -> Callable[[], bool]:
    return lambda: all(has_certificate(port, name) for port in ports for name in names)


async def test_when_the_process_that_orders_is_killed_another_one_takes_over_once_its_lock_has_lapsed(
    start: Start, shared: dict[str, Any], tmp_path: Path
) -> None:
    environ = {"PEBBLE_VA_NOSLEEP": "0", "PEBBLE_VA_SLEEPTIME": "4"}
    with run_pebble(tmp_path / "pebble", environ=environ) as pebble:
        config, _ = elsewhere(document(pebble, shared, NAMES))
        first = start(config)
        await first.says(ORDERS)
        ports = [pebble.tls_port]
        reached = start(document(pebble, shared, NAMES))
        config, port = elsewhere(document(pebble, shared, NAMES))
        other = start(config)
        ports.append(port)
        await reached.ready()
        await other.ready()
        await until(lambda: "Pulled a task from the Tasks queue" in pebble.log.read_text())

        first.signal(signal.SIGKILL)
        await first.ends()

        await until(all_have(ports, NAMES))
        took_over = [ORDERS in each.text for each in (reached, other)]
        assert sorted(took_over) == [False, True]
        assert pebble.issued() == len(NAMES)


async def test_a_name_on_demand_that_clients_ask_three_gateways_for_is_ordered_once(
    start: Start, shared: dict[str, Any], pebble: Pebble
) -> None:
    options: dict[str, Any] = {"on_demand": {"allow": ["*.example.com"]}}
    ports = [pebble.tls_port]
    gateways = [start(document(pebble, shared, **options))]
    for _ in range(2):
        config, port = elsewhere(document(pebble, shared, **options))
        gateways.append(start(config))
        ports.append(port)
    for each in gateways:
        await each.ready()

    await asyncio.gather(*(asyncio.to_thread(has_certificate, port, NAMES[0]) for port in ports for _ in range(4)))

    await until(all_have(ports, NAMES[:1]))
    assert pebble.issued() == 1
