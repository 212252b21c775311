"""What docs/validation.md says is what a gateway does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from gateway_plugin_auth import Auth
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk.testing import ScriptedUpstream, StartGateway
from gateway_plugin_validate import Validate

from tests.docs.blocks import Block, blocks_of

PAGE = Path(__file__).parents[2] / "docs" / "validation.md"
BLOCKS = blocks_of(PAGE)
SHOP = next(block for block in BLOCKS if block.file_name == "shop.yaml")
CONFIGS = [block for block in BLOCKS if block is not SHOP]
ROWS = re.findall(r"^\| `([A-Z]+) (\S+)`(?: with `(.*?)`)? \| (\d+) \|", PAGE.read_text(), re.MULTILINE)
JSON = {"Content-Type": "application/json"}


def configuration(block: Block, target: str) -> dict[str, Any]:
    """Return the document of a block, with a route to the upstream if it has none."""
    document: dict[str, Any] = yaml.safe_load(block.text)
    document.setdefault("routes", [{"id": "all", "path_prefix": "/"}])
    for route in document["routes"]:
        route["target"] = target
    return document


@pytest.fixture
def shop(gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path) -> Any:
    (tmp_path / "shop.yaml").write_text(SHOP.text)

    def start(block: Block) -> Any:
        config = configuration(block, upstream.url)
        return gateway(config, plugins=[Auth, RateLimit, Validate], directory=tmp_path)

    return start


@pytest.mark.parametrize("block", CONFIGS, ids=lambda block: block.place)
def test_its_configurations_load(shop: Any, block: Block) -> None:
    assert shop(block).get("/nothing").status in {200, 401, 404, 405}


def test_its_requests_get_what_its_table_has(shop: Any) -> None:
    running = shop(CONFIGS[0])

    statuses = [
        running.request(method, target, headers=JSON if body else {}, body=body.encode()).status
        for method, target, body, _ in ROWS
    ]

    assert statuses == [int(status) for *_, status in ROWS]
    assert len(ROWS) == 8


def test_one_response_has_every_error(shop: Any) -> None:
    response = shop(CONFIGS[0]).post("/orders", json={"article": "x", "amount": 0})

    assert [error["pointer"] for error in response.json()["errors"]] == ["#/article", "#/amount"]


def test_it_stands_behind_authentication(shop: Any) -> None:
    block = next(block for block in CONFIGS if "ratelimit" in block.text)
    secret = yaml.safe_load(block.text)["routes"][0]["plugins"][0]["config"]["secret"]
    running, alice = shop(block), {"Authorization": f"Bearer {jwt.encode({'sub': 'alice'}, secret, 'HS256')}"}

    assert running.get("/orders/seven").status == 401
    assert running.get("/orders/seven", headers=alice).status == 400
    assert running.get("/orders/7", headers=alice).status == 200


def test_shadow_mode_counts_and_refuses_nothing(shop: Any) -> None:
    running = shop(next(block for block in CONFIGS if "mode: shadow" in block.text))

    assert running.get("/orders/seven").status == 200
    assert 'gateway_validate_refusals_total{binding="validate",reason="invalid",route="all"} 1' in running.metrics()


def test_a_response_that_does_not_match_is_502_where_that_is_enforced(shop: Any, upstream: ScriptedUpstream) -> None:
    running = shop(next(block for block in CONFIGS if "enforce" in block.text))
    upstream.answer_next(json={"id": 7})
    upstream.answer_next(json={"id": 7, "state": "open"})

    assert [running.get("/orders/7").status for _ in range(2)] == [502, 200]


def test_a_schema_needs_no_document(shop: Any) -> None:
    running, account = shop(CONFIGS[-1]), "3f0f4c1e-8b43-4f0e-9a55-0c8f1e6d2b7a"

    assert running.post(f"/accounts/{account}/payments", json={"cents": 1}).status == 200
    assert running.post(f"/accounts/{account}/payments", json={"cents": 0}).status == 400
    assert running.post("/accounts/1/payments", json={"cents": 1}).status == 400
