"""An authority that suggests when to renew (RFC 9773) and has profiles; the test authority of Debian has neither."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from gateway_core.clock import SystemClock
from gateway_plugin_acme.crypto import renewal_identifier
from gateway_plugin_sdk.testing import StartGateway, eventually

from tests.plugins.acme.conftest import document, has_certificate, shown
from tests.plugins.acme.pebble import Pebble, run_pebble

pytestmark = [
    pytest.mark.one_protocol(reason="about TLS, and listeners of given ports"),
    pytest.mark.slow,
    pytest.mark.timeout(180),
]

NAME = "a.example.com"


class Front:
    """Stands before the authority, and adds what it has not."""

    def __init__(self, pebble: Pebble) -> None:
        self.pebble = pebble
        self.orders: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)

    async def _start(self) -> None:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application()
        app.router.add_get("/ari/{id}", self._suggest)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pebble.ca, self.pebble.ca.with_suffix(".key"))
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        self.port = self._runner.addresses[0][1]

    async def _suggest(self, request: web.Request) -> web.Response:
        self.asked.append(request.match_info["id"])
        start, end = (datetime.fromtimestamp(SystemClock().wall() - each, UTC) for each in (7200, 3600))
        window = {"start": start.strftime("%Y-%m-%dT%H:%M:%SZ"), "end": end.strftime("%Y-%m-%dT%H:%M:%SZ")}
        suggestion = web.json_response({"suggestedWindow": window}, headers={"Retry-After": "21600"})
        suggestion.force_close()
        return suggestion

    async def _pass_on(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.path == "/order-plz":
            payload = json.loads(body)["payload"]
            self.orders.append(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
        trust = ssl.create_default_context(cafile=str(self.pebble.ca))
        url = f"https://127.0.0.1:{self.pebble.port}{request.path_qs}"
        fields = {
            name: value for name, value in request.headers.items() if name in {"Host", "Content-Type", "User-Agent"}
        }
        async with self._session.request(request.method, url, data=body, headers=fields, ssl=trust) as response:
            got = await response.read()
            if request.path == "/dir":
                got = json.dumps(json.loads(got) | {"renewalInfo": f"https://127.0.0.1:{self.port}/ari"}).encode()
            passed = {"Replay-Nonce", "Location", "Link", "Content-Type", "Retry-After"}
            kept = [(name, value) for name, value in response.headers.items() if name in passed]
            passed_on = web.Response(status=response.status, body=got, headers=kept)
            passed_on.force_close()  # so that nothing is left open when the test ends
            return passed_on

    def close(self) -> None:
        async def end() -> None:
            await self._session.close()
            await self._runner.cleanup()
            await asyncio.sleep(0.2)  # TLS is closed by callbacks, which nothing waits for

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def pebble(tmp_path: Path) -> Iterator[Pebble]:
    with run_pebble(tmp_path / "pebble", lifetime=24) as running:
        yield running


def test_a_certificate_is_renewed_when_the_authority_suggests_and_says_what_it_replaces(
    gateway: StartGateway, pebble: Pebble, storage: Path
) -> None:
    front = Front(pebble)
    try:
        authority = pebble.config(profile="shortlived") | {"url": f"https://127.0.0.1:{front.port}/dir"}
        gateway(document(pebble, storage, [NAME], authorities=[authority]))
        eventually(lambda: has_certificate(pebble.tls_port, NAME))
        [stored] = (storage / "certificate").iterdir()
        first = json.loads(stored.read_bytes().partition(b"\n")[2])["chain"].encode()

        eventually(lambda: len(front.orders) > 1, within=60)

        identifier = renewal_identifier(first)
        assert identifier in front.asked
        assert "replaces" not in front.orders[0]
        assert front.orders[1]["replaces"] == identifier
        assert [each["profile"] for each in front.orders[:2]] == ["shortlived", "shortlived"]
    finally:
        front.close()


def test_a_certificate_of_seconds_is_renewed_before_it_expires(
    gateway: StartGateway, pebble: Pebble, storage: Path
) -> None:
    gateway(document(pebble, storage, [NAME]))
    eventually(lambda: has_certificate(pebble.tls_port, NAME))
    first = shown(pebble.tls_port, NAME)
    assert first is not None

    eventually(lambda: pebble.issued() > 1, within=60)

    assert SystemClock().wall() < first.not_valid_after_utc.timestamp()
