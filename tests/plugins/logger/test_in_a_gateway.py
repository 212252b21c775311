"""The logger in a real gateway, in front of a real upstream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_logger import Logger
from gateway_plugin_sdk.testing import assert_plugin_ok, eventually, one_route


def lines_of(path: Path, count: int) -> list[dict[str, Any]]:
    eventually(lambda: path.read_text().count("\n") == count)
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("config", [{}, {"format": "combined", "path": "/dev/null"}])
def test_it_keeps_to_what_every_plugin_keeps_to(config: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    assert_plugin_ok(Logger, config)


def test_the_line_of_a_request_says_what_happened(gateway: Any, upstream: Any, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    upstream.answer_with(201, b"made", headers={"Content-Type": "text/plain"})
    config = {
        "path": str(path),
        "drop": [
            "time",
            "request_id",
            "client_ip",
            "host",
            "duration_ms",
            "upstream_duration_ms",
            "upstream",
            "endpoint",
        ],
        "add": {"type": "{content_type}", "tries": "{attempts}"},
    }
    running = gateway(one_route(upstream.url, {"name": "logger", "config": config}))

    running.post("/things?token=abc&x=1", b"12345", headers={"User-Agent": "test/1"})

    assert lines_of(path, 1) == [
        {
            "method": "POST",
            "path": "/things",
            "query": "token=REDACTED&x=1",
            "status": 201,
            "bytes_received": 5,
            "bytes_sent": 4,
            "route": "test",
            "user_agent": "test/1",
            "produced_by": "upstream",
            "type": "text/plain",
            "tries": 1,
        }
    ]


def test_answers_of_the_gateway_itself_are_logged_with_the_reason(gateway: Any, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    running = gateway(
        {
            "plugins": [{"name": "logger", "config": {"path": str(path)}}],
            "routes": [{"path": "/only", "target": "http://127.0.0.1:1"}],
        }
    )

    running.get("/none")
    running.get("/only")

    missing, away = lines_of(path, 2)
    assert (missing["status"], missing["produced_by"], "route" in missing) == (404, "gateway", False)
    assert (away["status"], away["produced_by"]) == (502, "gateway")
    assert "connect" in away["error"]


def test_a_reload_to_another_form_loses_no_line(gateway: Any, upstream: Any, tmp_path: Path) -> None:
    path = tmp_path / "access.log"

    def config(form: str) -> dict[str, Any]:
        return one_route(upstream.url, {"name": "logger", "config": {"path": str(path), "format": form}})

    running = gateway(config("old {path}"))
    for number in range(50):
        running.get(f"/{number}")
    running.reload(config("new {path}"))
    for number in range(50, 100):
        running.get(f"/{number}")

    eventually(lambda: path.read_text().count("\n") == 100)
    lines = path.read_text().splitlines()
    assert sorted(lines) == sorted([f"old /{n}" for n in range(50)] + [f"new /{n}" for n in range(50, 100)])


def test_a_configuration_whose_file_cannot_be_opened_is_refused(gateway: Any, upstream: Any, tmp_path: Path) -> None:
    path = tmp_path / "none" / "access.log"

    with pytest.raises(Exception, match="cannot open"):
        gateway(one_route(upstream.url, {"name": "logger", "config": {"path": str(path)}}))
