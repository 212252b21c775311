from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.core.cli.conftest import Invoke

CONFIG = """\
plugins:
  - {name: logger}
  - {name: ratelimit, config: {rate: 5}}
  - {name: logger, id: audit, enabled: false}
routes:
  - id: here
    path: /
    target: http://127.0.0.1:1
    plugins:
      - {name: ratelimit, enabled: false}
      - {name: auth, id: jwt, mode: shadow, config: {secret: "0123456789abcdef0123456789abcdef"}}
      - {name: logger, config: {format: combined}}
"""


@pytest.fixture
def chained(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG)
    return path


def test_every_binding_is_there_in_order_with_its_place_and_why_it_is_off(invoke: Invoke, chained: Path) -> None:
    told = json.loads(invoke("match", "GET", "/", "-c", chained, "--json").stdout)

    assert told["chain"] == ["logger", "jwt"]
    assert [(each["id"], each["place"].rpartition("gateway.yaml:")[2], each["scope"]) for each in told["bindings"]] == [
        ("logger", "12:9", "route"),
        ("ratelimit", "10:9", "route"),
        ("audit", "4:5", "gateway"),
        ("jwt", "11:9", "route"),
    ]
    assert told["bindings"][0]["replaces"].endswith("gateway.yaml:2:5")
    assert told["bindings"][1]["off"].startswith("enabled is false on this route, which switches off ")
    assert told["bindings"][2]["off"] == "enabled is false for every route"


def test_people_read_one_line_for_each_binding(invoke: Invoke, chained: Path) -> None:
    lines = invoke("match", "GET", "/", "-c", chained).output.splitlines()

    start = lines.index("chain    logger > jwt")
    logger, ratelimit, audit, jwt = lines[start + 1 : start + 5]
    assert logger.startswith("  logger     ")
    assert "of the route; instead of " in logger
    assert ": off, since enabled is false on this route, which switches off " in ratelimit
    assert audit.endswith(": off, since enabled is false for every route")
    assert jwt.endswith(": of the route; plugin auth; in shadow mode")
