"""The tables of docs/rewriting.md are what the examples before them do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_core.admin.match import MatchRequest, MatchTable
from gateway_core.config import GatewayConfig, RouteConfig
from gateway_core.routing import ResponseFacts
from gateway_core.snapshot.route import RequestRewrite, patterns_of, request_rewrite

TEXT = (Path(__file__).parents[2] / "docs" / "rewriting.md").read_text("utf-8")
SECTIONS = {section.splitlines()[0]: section for section in TEXT.split("\n## ")[1:]}
CLIENT = ResponseFacts("https", "www.example.com", "http", "127.0.0.1", 8081, "shop.internal")


def example(section: str) -> GatewayConfig:
    text = SECTIONS[section].partition("```yaml\n")[2].partition("```")[0]
    document = yaml.safe_load(text)
    return GatewayConfig.model_validate(document)


def rows(section: str) -> list[list[str]]:
    lines = [line for line in SECTIONS[section].splitlines() if line.startswith("| `")]
    return [re.findall(r"`([^`]*)`", line) for line in lines]


def matched(section: str, url: str) -> dict[str, Any]:
    return MatchTable.of(example(section)).match(MatchRequest.of("GET", url, ()))


def rewrite_of(route: RouteConfig) -> RequestRewrite:
    return request_rewrite(route, None, patterns_of(route)[0])


@pytest.mark.parametrize("section", ["Paths", "Query"])
def test_the_upstream_gets_what_the_table_says(section: str) -> None:
    table = rows(section)

    assert [matched(section, asked)["path"] for asked, _ in table] == [sent for _, sent in table]
    assert len(table) >= 4


def test_the_upstream_is_told_the_prefix() -> None:
    stripped, moved, shaped = (rewrite_of(route) for route in example("Paths").routes)

    assert (stripped.prefix, moved.prefix, shaped.prefix) == (b"/api", b"/old", b"")


def test_responses_are_undone_as_the_table_says() -> None:
    (route,) = example("Responses").routes
    undo = rewrite_of(route).response
    assert undo is not None

    table = rows("Responses")

    for written, seen in table:
        assert undo.apply(f"\r\n{written}".encode(), CLIENT) == f"\r\n{seen}".encode()
    assert len(table) == 8


def test_a_targets_rewrite_replaces_the_routes() -> None:
    asked, first, host, second, _ = rows("Targets with a rewrite of their own")[0]

    found = matched("Targets with a rewrite of their own", asked)

    assert (found["path"], found["target"][1]["path"]) == (first, second)
    assert rewrite_of(example("Targets with a rewrite of their own").routes[0]).host == host.encode()
