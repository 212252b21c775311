"""What docs/running-plugins.md says of options and names is true of the code."""

from __future__ import annotations

import re
from pathlib import Path

from gateway_core.hooks.server_timing import ASK
from gateway_core.packages.registry import State
from gateway_core.testing import RunningGateway

TEXT = (Path(__file__).parents[2] / "docs" / "running-plugins.md").read_text("utf-8")


def test_its_configuration_loads_and_counts_what_it_names() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    # Without an admin listener, which could not have the same port in every test.
    config = "listen: 127.0.0.1:0\n" + re.sub(r"admin: .*\n", "", block)

    with RunningGateway(config) as gateway:
        told = gateway.get("/", headers={ASK: "1"}).headers["server-timing"]

        assert "gateway;dur=" in told
        assert "gateway_plugin_seconds" in TEXT


def test_it_names_every_state() -> None:
    assert all(f"`{state}`" in TEXT for state in State.__args__)  # type: ignore[attr-defined]
