"""The gateway's log from its first to its last line, as `log.format: json` writes it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.kit import Gateway, Upstream, get_over_both

JSON = 'log: {format: json}\nlisten: "127.0.0.1:0"\nworkers: %d\n'


@pytest.mark.parametrize("workers", [1, 2])
async def test_every_line_of_a_life_is_an_object_with_a_time_in_utc(
    start: Callable[..., Gateway], upstream: Upstream, workers: int
) -> None:
    text = JSON % workers + f"routes: [{{id: all, path_prefix: /, target: '{upstream.url}'}}]\n"
    gateway = start(text)
    line = json.loads(await gateway.says('"server.listening"'))
    assert (await get_over_both(line["url"], "/"))[0] == 200
    await gateway.rewrites(text + "nonsense: true\n", '"config.rejected"')
    await gateway.rewrites(text.replace("id: all", "id: every"), '"config.applied"')
    gateway.signal(signal.SIGUSR2)
    await gateway.says('"server.restarted"')
    await gateway.stops()

    entries = [json.loads(each) for each in gateway.lines if each != "<end of output>"]

    assert all(each["time"].endswith("Z") and each["level"] and each["message"] for each in entries)
    assert {"config.rejected", "config.applied", "server.restarting", "server.stopping"} <= {
        each.get("event") for each in entries
    }


@pytest.mark.parametrize(
    "broken",
    [
        "nonsense: true\n",
        "routes: [{path: /, target: missing}]\n",
        "sources: [{url: 'nothing://x'}]\n",
    ],
    ids=["key", "reference", "source"],
)
async def test_what_keeps_it_from_starting_is_an_object_as_well(start: Callable[..., Gateway], broken: str) -> None:
    gateway = start(JSON % 1 + broken)

    assert await gateway.ends() == 1

    entries = [json.loads(each) for each in gateway.lines if each != "<end of output>"]
    assert [each["event"] for each in entries] == ["server.not_started"]


async def test_a_port_that_is_taken_is_an_object_as_well(start: Callable[..., Gateway], upstream: Upstream) -> None:
    taken = upstream.url.removeprefix("http://")
    gateway = start(f"log: {{format: json}}\nlisten: '{taken}'\n")

    assert await gateway.ends() == 1

    (line,) = (each for each in gateway.lines if each != "<end of output>")
    assert (json.loads(line)["event"], taken in json.loads(line)["message"]) == ("server.not_started", True)


async def test_a_file_that_is_missing_is_told_to_people(start: Callable[..., Gateway], tmp_path: Path) -> None:
    gateway = start("", path=tmp_path / "missing.yaml")

    assert await gateway.ends() == 1

    assert "missing.yaml" in gateway.text
