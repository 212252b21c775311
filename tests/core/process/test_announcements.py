from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.config import ConfigProblem, GatewayConfig, Place
from gateway_core.process import announcements

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
