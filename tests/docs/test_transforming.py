"""What docs/transforming.md says is what a gateway does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_plugin_sdk.testing import ScriptedUpstream, StartGateway
from gateway_plugin_transform import Transform

from tests.docs.blocks import Block, blocks_of

PAGE = Path(__file__).parents[2] / "docs" / "transforming.md"
BLOCKS = blocks_of(PAGE)


def rows_behind(block: Block) -> dict[str, bytes]:
    """Return the table behind a block: what each side sends and receives."""
    text = PAGE.read_text().partition(block.text)[2].partition("```yaml")[0]
    return {side: body.encode() for side, body in re.findall(r"^\| (the \w+ \w+) \| `(.*)` \|$", text, re.MULTILINE)}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_bodies_become_what_its_tables_have(gateway: StartGateway, upstream: ScriptedUpstream, block: Block) -> None:
    document: dict[str, Any] = yaml.safe_load(block.text)
    (route,) = document["routes"]
    route["target"] = upstream.url
    running, rows = gateway(document, plugins=[Transform]), rows_behind(block)
    kind = "json" if rows["the client sends"].startswith(b"{") else "x-www-form-urlencoded"
    sent = rows.get("the upstream sends", b"{}")
    upstream.answer_next(200, sent, {"Content-Type": "application/json"})

    response = running.request(
        "POST",
        route.get("path") or route["path_prefix"],
        headers={"Content-Type": f"application/{kind}"},
        body=rows["the client sends"],
    )

    assert upstream.last.body == rows["the upstream receives"]
    assert response.body == rows.get("the client receives", sent)
