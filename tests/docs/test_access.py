"""What docs/access.md says of its chain is what a gateway does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import yaml
from gateway_plugin_auth import Auth
from gateway_plugin_authorize import Authorize
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk.testing import ScriptedUpstream, StartGateway

from tests.docs.blocks import blocks_of

PAGE = Path(__file__).parents[2] / "docs" / "access.md"


def test_its_chain_asks_who_what_and_how_often(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    (block,) = blocks_of(PAGE)
    document: dict[str, Any] = yaml.safe_load(block.text)
    (route,) = document["routes"]
    route["target"] = upstream.url
    secret = route["plugins"][0]["config"]["secret"]
    running = gateway(document, plugins=[Auth, Authorize, RateLimit])

    def status(method: str, **claims: Any) -> int:
        token = jwt.encode({"sub": "alice", **claims}, secret, "HS256")
        return running.request(method, "/orders", headers={"Authorization": f"Bearer {token}"}).status

    assert running.get("/orders").status == 401
    assert status("GET", scope="orders:read", groups=[]) == 200
    assert status("DELETE", scope="orders:read", groups=[]) == 403
    assert status("DELETE", scope="", groups=["admins"]) == 200
    assert status("GET") == 403
