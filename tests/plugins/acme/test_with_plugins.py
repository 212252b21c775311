"""Challenges over HTTP come before https_redirect, auth, ratelimit and routes; the logger sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_plugin_sdk.testing import RunningGateway, StartGateway, eventually

from tests.plugins.acme.conftest import document, has_certificate
from tests.plugins.acme.pebble import Pebble

pytestmark = pytest.mark.one_protocol(reason="the listeners have given ports; each test speaks both protocols")

NAME = "a.example.com"
TOKEN = "a-token-that-another-gateway-has-put-there"
AUTH = {"name": "auth", "config": {"secret": "0123456789abcdef0123456789abcdef"}}

CLIENTS = pytest.mark.parametrize(
    ("scheme", "is_http2"),
    [("http", False), ("https", False), ("https", True)],
    ids=["http1", "tls-http1", "tls-http2"],
)


def config_with_plugins(pebble: Pebble, storage: Path, log: Path, **options: Any) -> dict[str, Any]:
    config = document(pebble, storage, [NAME], **options)
    config["plugins"] = [
        AUTH,
        {"name": "ratelimit", "config": {"rate": 1, "per": "1h", "burst": 1}},
        {"name": "logger", "config": {"path": str(log), "fields": ["path", "status", "produced_by"]}},
    ]
    config["routes"].append({"id": "known", "path_prefix": "/.well-known", "respond": {"body": "routed"}})
    return config


def get(pebble: Pebble, scheme: str, path: str, *, is_http2: bool) -> httpx.Response:
    port = pebble.tls_port if scheme == "https" else pebble.http_port
    with httpx.Client(http2=is_http2, verify=False, timeout=20) as client:
        return client.get(f"{scheme}://127.0.0.1:{port}{path}", headers={"Host": NAME})


@pytest.fixture
def running(gateway: StartGateway, pebble: Pebble, storage: Path, tmp_path: Path) -> RunningGateway:
    started = gateway(config_with_plugins(pebble, storage, tmp_path / "log"))
    eventually(lambda: has_certificate(pebble.tls_port, NAME))
    (storage / "token" / TOKEN).write_bytes(b"value\n" + f"{TOKEN}.thumbprint".encode())
    return started


def test_a_certificate_is_issued_through_them(
    gateway: StartGateway, pebble: Pebble, storage: Path, tmp_path: Path
) -> None:
    names = [f"{each}.example.com" for each in "abc"]  # more than the limit allows requests
    running = gateway(config_with_plugins(pebble, storage, tmp_path / "log", names=names, challenges=["http-01"]))

    eventually(lambda: all(has_certificate(pebble.tls_port, each) for each in names))

    running.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    challenged = [each for each in lines if each["path"].startswith("/.well-known/acme-challenge/")]
    assert {(each["status"], each["produced_by"]) for each in challenged} == {(200, "gateway")}


@CLIENTS
def test_a_known_token_is_responded_to(running: RunningGateway, pebble: Pebble, scheme: str, is_http2: bool) -> None:
    for _ in range(3):
        reply = get(pebble, scheme, f"/.well-known/acme-challenge/{TOKEN}", is_http2=is_http2)

        assert (reply.status_code, reply.text) == (200, f"{TOKEN}.thumbprint")
        assert reply.http_version == ("HTTP/2" if is_http2 else "HTTP/1.1")


@CLIENTS
def test_an_unknown_one_meets_the_redirect_or_the_route_with_its_bindings(
    running: RunningGateway, pebble: Pebble, scheme: str, is_http2: bool
) -> None:
    for token in ("unknown-token-of-another", f"{TOKEN}x", f"{TOKEN}/more", f"%2e%2e/{TOKEN}", ""):
        reply = get(pebble, scheme, f"/.well-known/acme-challenge/{token}", is_http2=is_http2)

        assert reply.status_code in ({308, 400} if scheme == "http" else {400, 401}), token
