"""The ``dns`` discovery against a real dnsmasq on a free loopback port."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from gateway_core.config import DnsDiscoveryConfig
from gateway_core.upstreams import EndpointSpec, Resolver
from gateway_core.upstreams.discovery.dns import DnsDiscovery, DnsError

from tests.ports import free_port
from tests.programs import program


class Dnsmasq:
    """Addresses come from a file that the test rewrites, services are those of the start."""

    def __init__(self, directory: Path) -> None:
        self.hosts = directory / "hosts"
        self.hosts.write_text("10.0.0.1 users.test\n")
        self.port = free_port()  # queries come from higher ones, so that of UDP is free as well
        self.services = [
            "--srv-host=_http._tcp.users.test,a.users.test,8081,0,8",
            "--srv-host=_http._tcp.users.test,b.users.test,8082,0,1",
            "--srv-host=_http._tcp.users.test,gone.users.test,8083,0,1",
            "--srv-host=_http._tcp.users.test,spare.users.test,8084,1,1",
        ]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        own = ["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=", "--user="]
        where = [f"--port={self.port}", "--listen-address=127.0.0.1", "--bind-interfaces", f"--addn-hosts={self.hosts}"]
        self.process = subprocess.Popen([program("dnsmasq", "dnsmasq-base"), *own, *where, *self.services])

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def rewrite(self, text: str) -> None:
        assert self.process is not None
        self.hosts.write_text(text)
        self.process.send_signal(signal.SIGHUP)


async def find(
    server: Dnsmasq, holds: Callable[[tuple[EndpointSpec, ...]], bool], **config: Any
) -> tuple[EndpointSpec, ...]:
    """Look a name up until the result is as wanted."""
    settings = {"nameservers": [f"127.0.0.1:{server.port}"], "timeout": "500ms", **config}
    async with asyncio.timeout(30):
        while True:
            # A new one each time, which knows nothing of before.
            discovery = DnsDiscovery(DnsDiscoveryConfig.model_validate(settings), Random(1), Resolver())
            try:
                found, _ = await discovery.resolve()
            except DnsError:
                found = ()
            if holds(found):
                return found
            await asyncio.sleep(0.05)


@pytest.fixture
async def dnsmasq(tmp_path: Path) -> AsyncIterator[Dnsmasq]:
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)  # it may drop the rights to read what only root may
    server = Dnsmasq(tmp_path)
    await asyncio.to_thread(server.start)
    try:
        # A SIGHUP before it is ready would end it.
        await find(server, lambda found: len(found) == 1, host="users.test")
        yield server
    finally:
        await asyncio.to_thread(server.stop)


async def test_addresses_follow_the_zone(dnsmasq: Dnsmasq) -> None:
    await find(dnsmasq, lambda found: [each.host for each in found] == ["10.0.0.1"], host="users.test", port=8080)

    dnsmasq.rewrite("10.0.0.1 users.test\n10.0.0.2 users.test\nfd00::1 users.test\n")
    wanted = ["10.0.0.1", "10.0.0.2", "fd00::1"]
    await find(dnsmasq, lambda found: [each.host for each in found] == wanted, host="users.test", port=8080)

    dnsmasq.rewrite("")
    await find(dnsmasq, lambda found: not found, host="users.test", port=8080)


async def test_services_bring_ports_and_weights_and_a_target_without_address_is_left_out(
    dnsmasq: Dnsmasq,
) -> None:
    # Requests are spread by these weights unless a strategy is named.
    dnsmasq.rewrite("10.0.0.7 a.users.test\n10.0.0.8 b.users.test\n10.0.0.9 spare.users.test\n")
    found = await find(dnsmasq, lambda found: len(found) == 2, host="_http._tcp.users.test", record="srv")
    assert [(each.host, each.port, each.weight) for each in found] == [("10.0.0.7", 8081, 8), ("10.0.0.8", 8082, 1)]

    dnsmasq.rewrite("10.0.0.9 spare.users.test\n")
    await find(
        dnsmasq, lambda found: [each.port for each in found] == [8084], host="_http._tcp.users.test", record="srv"
    )
