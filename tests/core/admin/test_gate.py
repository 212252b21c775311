"""Who is let in, over real sockets: tokens, pages of other origins, DNS rebinding, peers of unix sockets."""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from gateway_core.admin import Access, AdminListener, Place, Token, gate
from gateway_core.admin.access import digest_of
from gateway_core.admin.throttle import MOST_FAILURES
from gateway_core.process.listeners import open_site

from tests.core.admin.kit import Answer, listening, send
from tests.core.admin.test_listener import View

TOKENS = {role: f"gwa_{role}" for role in ("viewer", "operator", "editor")}
READS = ["/api/v1/overview", "/config", "/upstreams", "/plugins"]


@pytest.fixture
async def view() -> View:
    view = View()
    view.let_in = Access([Token(role, role, digest_of(text)) for role, text in TOKENS.items()])  # type: ignore[arg-type]
    return view


@pytest.fixture
async def port(view: View) -> AsyncIterator[int]:
    async with listening(view) as number:
        yield number


async def ask(
    port: int, method: str, path: str, body: Any = None, *, token: str | None = None, headers: Mapping[str, str] = {}
) -> Answer:
    fields = dict(headers) if token is None else {"Authorization": f"Bearer {token}", **headers}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        return await asyncio.to_thread(send, connection, method, path, body, fields)
    finally:
        connection.close()


@pytest.mark.parametrize("path", READS)
async def test_reading_needs_a_token_once_there_is_one(port: int, path: str) -> None:
    refused = await ask(port, "GET", path)

    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, 'Bearer realm="gateway"')
    assert refused.headers["Content-Type"].startswith("application/problem+json")
    for token in TOKENS.values():
        assert (await ask(port, "GET", path, token=token)).status == 200


async def test_health_and_metrics_need_none(port: int) -> None:
    for path in ("/healthz", "/ready", "/metrics"):
        assert (await ask(port, "GET", path)).status == 200


@pytest.mark.parametrize("path", READS)
async def test_without_tokens_everyone_may_read_and_change_nothing(port: int, view: View, path: str) -> None:
    view.let_in = Access()

    assert (await ask(port, "GET", path)).status == 200
    refused = await ask(port, "POST", "/api/v1/reload", {})
    assert (refused.status, refused.body["code"]) == (403, "forbidden")
    assert view.reloads == 0


async def test_a_stolen_viewer_token_changes_nothing(port: int, view: View) -> None:
    for method, path in (("POST", "/api/v1/reload"), ("POST", "/api/v1/bindings/cache/purge")):
        refused = await ask(port, method, path, {}, token=TOKENS["viewer"])
        assert (refused.status, refused.body["detail"]) == (403, "viewer has the role viewer, and this needs operator")
    assert view.reloads == 0

    assert (await ask(port, "POST", "/api/v1/reload", {}, token=TOKENS["operator"])).status == 200
    assert view.reloads == 1


async def test_a_viewer_may_run_commands_that_change_nothing(port: int, view: View) -> None:
    view.bindings = [{"path": "cache", "commands": {"size": "viewer", "purge": "operator"}}]

    assert (await ask(port, "POST", "/api/v1/bindings/cache/size", {}, token=TOKENS["viewer"])).status == 200
    assert (await ask(port, "POST", "/api/v1/bindings/cache/purge", {}, token=TOKENS["viewer"])).status == 403
    assert (await ask(port, "POST", "/api/v1/bindings/other/size", {}, token=TOKENS["viewer"])).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
@pytest.mark.parametrize("token", [None, TOKENS["editor"]])
async def test_a_hostile_page_changes_nothing(
    port: int, view: View, headers: Mapping[str, str], token: str | None
) -> None:
    answer = await ask(port, "POST", "/api/v1/reload", {}, token=token, headers=headers)

    assert (answer.status, answer.body["code"]) == (403, "cross-site")
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert view.reloads == 0


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
async def test_what_a_form_can_send_is_refused(port: int, view: View, kind: str) -> None:
    answer = await ask(port, "POST", "/api/v1/reload", "{}", token=TOKENS["editor"], headers={"Content-Type": kind})

    assert (answer.status, answer.body["code"]) == (415, "not-json")
    assert view.reloads == 0


async def test_a_preflight_of_another_origin_allows_nothing(port: int) -> None:
    headers = {"Origin": "http://evil.test", "Access-Control-Request-Method": "POST"}

    answer = await ask(port, "OPTIONS", "/api/v1/reload", headers=headers)

    assert answer.status == 403
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", [*READS, "/api/v1/reload"])
async def test_dns_rebinding_reads_and_changes_nothing(port: int, view: View, path: str) -> None:
    view.let_in = Access()
    method, headers = "POST" if path.endswith("reload") else "GET", {"Host": "evil.test", "Origin": "http://evil.test"}

    assert (await ask(port, method, path, headers=headers)).status == 421
    assert view.reloads == 0


async def test_every_response_keeps_browsers_from_using_it(port: int) -> None:
    for path in ("/healthz", "/api/v1/overview", "/other"):
        headers = (await ask(port, "GET", path)).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none';")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"


async def test_failed_logins_of_an_address_are_limited(port: int) -> None:
    answers = [(await ask(port, "GET", "/api/v1/overview", token="wrong")).status for _ in range(MOST_FAILURES)]
    assert answers == [401] * MOST_FAILURES

    blocked = await ask(port, "GET", "/api/v1/overview", token="wrong")
    assert (blocked.status, blocked.body["code"]) == (429, "too-many-logins")
    assert 0 < int(blocked.headers["Retry-After"]) <= 60
    # Even the right one: an answer would show that it is right.
    assert (await ask(port, "GET", "/api/v1/overview", token=TOKENS["editor"])).status == 429


class OtherUser:
    """Reads credentials as those of a process of another user."""

    size = 12

    def unpack(self, _data: bytes) -> tuple[int, int, int]:
        return 1, 99_999, 1


@pytest.mark.parametrize(
    ("is_other", "token", "statuses"),
    [
        (False, None, [200, 200]),
        (True, None, [200, 403]),
        (True, TOKENS["viewer"], [200, 403]),
        (True, TOKENS["operator"], [200, 200]),
        (True, "wrong", [401, 401]),
    ],
)
async def test_the_system_names_who_connects_to_a_unix_socket(
    view: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_other: bool, token: str | None, statuses: list[int]
) -> None:
    if is_other:
        monkeypatch.setattr(gate, "_CREDENTIALS", OtherUser())
    listener = AdminListener(open_site)
    await listener.open(Place(f"unix:{tmp_path}/admin"), view)
    fields = {} if token is None else {"Authorization": f"Bearer {token}"}

    def ask_both() -> list[int]:
        connection = http.client.HTTPConnection("admin")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(f"{tmp_path}/admin")
        try:
            read = send(connection, "GET", "/api/v1/overview", headers=fields)
            return [read.status, send(connection, "POST", "/api/v1/reload", {}, fields).status]
        finally:
            connection.close()

    try:
        assert await asyncio.to_thread(ask_both) == statuses
    finally:
        await listener.aclose()


def test_only_tls_and_loopback_carry_tokens() -> None:
    class Transport(asyncio.BaseTransport):
        def __init__(self, **extra: object) -> None:
            super().__init__(extra)

    loopback, other = ("127.0.0.1", 1), ("192.0.2.1", 1)

    assert gate._is_secure(Transport(sockname=loopback, peername=loopback))
    assert gate._is_secure(Transport(sockname=("::ffff:127.0.0.1", 1, 0, 0), peername=("::1", 1, 0, 0)))
    assert gate._is_secure(Transport(sockname=other, peername=other, sslcontext=object()))
    assert not gate._is_secure(Transport(sockname=loopback, peername=other))
    assert not gate._is_secure(Transport(sockname=other, peername=other))
    assert not gate._is_secure(None)


async def test_a_token_over_plain_http_from_elsewhere_is_refused(
    port: int, view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "_is_loopback", lambda _address: False)

    answer = await ask(port, "GET", "/api/v1/overview", token=TOKENS["editor"])

    assert (answer.status, answer.body["code"]) == (403, "token-over-plain-http")
