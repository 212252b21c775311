from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ConfigProblem, GatewayConfig, Place
from gateway_core.process import announcements
from gateway_core.process.announcements import ServiceManager

CONFIG = GatewayConfig.model_validate({"shutdown_timeout": "5s", "drain_delay": "2s", "admin": {"listen": ":9090"}})
PROBLEM = ConfigProblem(Place("gateway.yaml"), "routes[0].path", "it is odd", code="route.unreachable")


def not_restarted() -> None:
    announcements.not_restarted("SIGUSR2: not restarted", "configuration rejected", [PROBLEM])


@pytest.mark.parametrize(
    ("announce", "event", "text", "fields"),
    [
        (
            lambda: announcements.not_started("gateway: no", "no"),
            "server.not_started",
            "gateway: no",
            {"reason": "no"},
        ),
        (
            lambda: announcements.listening(["http://a"], CONFIG),
            "server.listening",
            "listening on http://a",
            {"url": "http://a", "admin": ":9090", "workers": 1},
        ),
        (
            lambda: announcements.has_warnings([PROBLEM]),
            "config.warnings",
            "the configuration in force has warnings",
            {"problems": 1},
        ),
        (
            lambda: announcements.stopping("SIGTERM", CONFIG),
            "server.stopping",
            "stopping, requests may take 5 s to finish",
            {"signal": "SIGTERM", "shutdown_timeout": 5.0, "drain_delay": 2.0},
        ),
        (
            lambda: announcements.restarting("SIGUSR2"),
            "server.restarting",
            "SIGUSR2: a new process is to take over",
            {"reason": "SIGUSR2"},
        ),
        (
            lambda: announcements.restarted(["http://a"], CONFIG),
            "server.restarted",
            "on http://a; admin on :9090",
            {"urls": ["http://a"], "admin": ":9090"},
        ),
        (
            not_restarted,
            "server.not_restarted",
            "SIGUSR2: not restarted: configuration rejected",
            {"reason": "configuration rejected"},
        ),
    ],
)
def test_each_step_of_the_program_is_an_event(
    announce: Callable[[], None], event: str, text: str, fields: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    announce()

    (record,) = caplog.records
    assert vars(record)["event"] == event
    assert vars(record)["headline"].endswith(text)
    assert fields.items() <= vars(record)["fields"].items()


def test_problems_follow_as_details(caplog: pytest.LogCaptureFixture) -> None:
    not_restarted()

    assert "it is odd" in vars(caplog.records[0])["details"]
    assert "it is odd" in caplog.text


def test_no_warnings_are_no_line(caplog: pytest.LogCaptureFixture) -> None:
    announcements.has_warnings([])

    assert caplog.records == []


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(20)
        yield sock


def test_states_are_told_to_the_socket_of_the_environment(manager: socket.socket) -> None:
    told = ServiceManager({"NOTIFY_SOCKET": manager.getsockname()})

    told.waiting("waiting for etcd://a: no\nREADY=1")
    told.ready("serving")
    with told.during_reload():
        pass
    told.stopping()

    assert manager.recv(500) == b"STATUS=waiting for etcd://a: no READY=1"
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
