from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_core.process.notify import ServiceManager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(20)
        yield sock


def test_states_are_told_to_the_socket_of_the_environment(manager: socket.socket) -> None:
    told = ServiceManager({"NOTIFY_SOCKET": manager.getsockname()})

    told.ready("serving")
    with told.during_reload():
        pass
    told.stopping()

    assert manager.recv(500) == b"READY=1\nSTATUS=serving"
    assert manager.recv(500).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert manager.recv(500) == b"READY=1\nSTATUS=serving"
    assert manager.recv(500) == b"STOPPING=1"


def test_an_abstract_address_begins_with_an_at_sign() -> None:
    name = f"gateway-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        sock.settimeout(20)
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).stopping()
        assert sock.recv(500) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["", "/nowhere/notify"])
def test_without_a_service_manager_nothing_happens(address: str) -> None:
    ServiceManager({"NOTIFY_SOCKET": address}).ready("serving")


async def test_signs_of_life_come_twice_as_often_as_asked_for(manager: socket.socket) -> None:
    told = ServiceManager(
        {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())}
    )
    assert told.watchdog == 0.01

    task = asyncio.ensure_future(told.keep_alive())  # noqa: TID251  # a test's own
    for _ in range(3):
        assert await asyncio.to_thread(manager.recv, 500) == b"WATCHDOG=1"
    task.cancel()


@pytest.mark.parametrize("environ", [{}, {"WATCHDOG_USEC": "many"}, {"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}])
async def test_no_signs_of_life_unless_they_are_for_this_process(environ: dict[str, str]) -> None:
    told = ServiceManager(environ)

    await asyncio.wait_for(told.keep_alive(), 20)

    assert told.watchdog == 0
