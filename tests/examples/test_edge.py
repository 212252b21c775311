"""examples/edge: TLS, redirect, security headers, cache, CORS, login, limits and error pages, all in one gateway."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from gateway_core.cli.root import gateway as command_line

from tests.examples.kit import Example, stops
from tests.plugins.oidc.provider import Provider

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    with Example("edge", tmp_path) as example:
        example.certificates("shop")
        example.port("HTTP_PORT")
        example.port("HTTPS_PORT")
        example.environ |= {"CLIENT_SECRET": "s3cret+/%", "SESSION_KEY": "k" * 32}
        yield example


@pytest.fixture
def client(example: Example) -> Iterator[httpx.Client]:
    trust = ssl.create_default_context(cafile=example.folder / "certificates" / "ca.crt")
    with example.client(f"https://localhost:{example.environ['HTTPS_PORT']}", verify=trust) as client:
        yield client


def test_check_warns_of_nothing(example: Example) -> None:
    checked = CliRunner().invoke(
        command_line, ["check", "--offline", "-c", str(example.folder / "gateway.yaml")], env=example.environ
    )

    assert (checked.exit_code, checked.output.count("warning")) == (0, 0), checked.output


def test_pages_come_over_tls_from_the_cache_with_security_headers(example: Example, client: httpx.Client) -> None:
    shop = example.upstream("shop", "SHOP_PORT", "--max-age", "600")
    gateway, _ = example.ready(example.environ["HTTPS_PORT"])

    with example.client(f"http://localhost:{example.environ['HTTP_PORT']}") as plain_client:
        redirects = [plain_client.get("/catalog?page=2") for _ in range(2)]
    first, second = client.get("/catalog?utm_source=x"), client.get("/catalog", headers={"Cookie": "a=b"})
    missing = client.get("/nothing")
    shop.stop()
    unreachable = client.post("/api/orders", content=b"x")
    cached = client.get("/catalog")

    for redirect in redirects:
        assert redirect.status_code == 308
        assert redirect.headers["location"] == f"https://localhost:{example.environ['HTTPS_PORT']}/catalog?page=2"
    assert first.json()["number"] == second.json()["number"] == cached.json()["number"] == 1
    assert "hit" in second.headers["cache-status"]
    assert first.headers["strict-transport-security"] == "max-age=31536000"
    assert first.headers["content-security-policy"] == "default-src 'self'"
    assert "server" not in first.headers
    assert (missing.status_code, "There is no such page" in missing.text) == (404, True)
    assert (unreachable.status_code in {502, 503}, "back soon" in unreachable.text) == (True, True)
    stops(gateway)


def test_the_api_is_for_one_other_origin_and_a_request_a_second(example: Example, client: httpx.Client) -> None:
    example.upstream("shop", "SHOP_PORT")
    gateway, _ = example.ready(example.environ["HTTPS_PORT"])
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}

    allowed = client.options("/api/orders", headers={"Origin": "https://app.example.com", **preflight})
    other = client.options("/api/orders", headers={"Origin": "https://evil.example", **preflight})
    received = client.get("/api/orders", headers={"Origin": "https://app.example.com"})
    statuses = [client.get("/api/orders").status_code for _ in range(30)]

    assert allowed.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "access-control-allow-origin" not in other.headers
    assert received.json()["path"] == "/v1/orders"
    assert received.headers["access-control-allow-origin"] == "https://app.example.com"
    assert set(statuses) == {200, 429}
    stops(gateway)


def test_the_account_is_for_users_who_have_logged_in(example: Example, client: httpx.Client) -> None:
    example.upstream("shop", "SHOP_PORT")
    callback = f"https://localhost:{example.environ['HTTPS_PORT']}/oauth2/callback"
    with Provider() as provider:
        provider.client_id, provider.redirect_uris = "shop", [callback]
        example.environ["ISSUER"] = provider.issuer
        gateway, _ = example.ready(example.environ["HTTPS_PORT"])

        script = client.get("/account/orders", headers={"X-User": "mallory"})
        page = client.get("/account/orders", headers=NAVIGATION, follow_redirects=True)

        assert script.status_code == 401
        assert page.json()["path"] == "/account/orders"
        assert page.json()["headers"]["x-user"] == "alice"
        stops(gateway)
