from __future__ import annotations

import json
from pathlib import Path

from tests.core.cli.conftest import Invoke


def test_lists_every_route_with_its_chain(invoke: Invoke, config: Path) -> None:
    lines = invoke("routes", "-c", config).output.splitlines()

    assert lines[0].split() == ["ROUTE", "METHODS", "HOSTS", "PATH", "TARGET", "PLUGINS"]
    assert lines[1].split() == ["user", "GET", "*", "/api/users/:id", "users", "logger"]
    assert lines[2].split() == ["quiet", "*", "*.example.com", "/quiet/*", "http://127.0.0.1:2", "ratelimit"]
    assert len(lines) == 6


def test_lists_them_as_json(invoke: Invoke, config: Path) -> None:
    rows = json.loads(invoke("routes", "-c", config, "--json").stdout)

    assert [row["id"] for row in rows] == ["user", "quiet", "beta", "moved", "split"]
    assert rows[1]["plugins"] == ["ratelimit"]
    assert rows[4]["target"] == "users x3, http://127.0.0.1:2 x1"


def test_says_that_there_is_none(invoke: Invoke, config: Path) -> None:
    config.write_text("listen: 127.0.0.1:0\n")

    assert invoke("routes", "-c", config).output == "no routes\n"


def test_a_route_that_is_switched_off_is_shown_so(invoke: Invoke, config: Path) -> None:
    config.write_text("routes: [{id: a, path: /a, respond: {}}, {id: b, path: /b, enabled: false}]")

    lines = invoke("routes", "-c", config).output.splitlines()
    rows = json.loads(invoke("routes", "-c", config, "--json").stdout)

    assert [line.split()[4:6] for line in lines[1:]] == [["200", "-"], ["off", "(none)"]]
    assert [row["enabled"] for row in rows] == [True, False]
