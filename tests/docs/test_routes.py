"""The configurations of docs/routes.md do what the page says."""

from __future__ import annotations

from pathlib import Path

from gateway_core.testing import RunningGateway
from gateway_plugin_ratelimit import RateLimit

from tests.docs.blocks import blocks_of

BLOCKS = blocks_of(Path(__file__).parents[2] / "docs" / "routes.md")
CONDITIONS, RESPONSES, COMMON = [block.text for block in BLOCKS if block.language == "yaml"]


def test_requests_take_the_routes_whose_conditions_they_meet() -> None:
    with RunningGateway(CONDITIONS) as gateway:
        assert gateway.get("/users/7").text == "users"
        assert gateway.get("/people/a/b").text == "users"
        assert gateway.get("/users/a/b", headers={"Cookie": "beta=yes"}).text == "beta"
        assert gateway.get("/users/a/b").status == 404
        assert gateway.get("/status", headers={"X-Forwarded-For": "10.0.0.1"}).text == "inside"
        assert gateway.get("/status").status == 404
        assert gateway.get("/", headers={"Host": "acme.example.com"}).text == "tenant"
        assert gateway.get("/", headers={"Host": "admin.example.com"}).status == 404


def test_routes_respond_themselves() -> None:
    with RunningGateway(RESPONSES) as gateway:
        health = gateway.get("/healthz")
        moved = gateway.get("/old/x?a=b")
        secure = gateway.get("/account", headers={"Host": "a.example"})
        missing = gateway.get("/none")

        assert (health.text, health.headers["cache-control"]) == ("ok", "no-store")
        assert (moved.status, moved.headers["location"]) == (301, "/new/x?a=b")
        assert (secure.status, secure.headers["location"]) == (308, "https://a.example/account")
        assert (missing.status, missing.text) == (404, "<p>There is no such page.")


def test_routes_have_defaults_and_sets_of_plugins() -> None:
    with RunningGateway(COMMON, plugins=[RateLimit]) as gateway:
        host = {"Host": "api.example.com"}

        assert gateway.get("/items", headers=host).text == "items"
        assert gateway.get("/items").status == 404
        assert [gateway.post("/items", headers=host).status for _ in range(2)] == [201, 429]
