"""Streams and tunnels end with the session that they belong to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import BinaryIO

import pytest
from gateway_plugin_oidc.config import OidcConfig
from gateway_plugin_oidc.cookies import CookieWriter, read_cookies
from gateway_plugin_oidc.renewal import Renewals
from gateway_plugin_oidc.sealing import Sealer
from gateway_plugin_oidc.session import Session
from gateway_plugin_oidc.sessions import Entry, Sessions
from gateway_plugin_sdk.testing import ManualClock

from tests.plugins.oidc.conftest import HOST, KEY, Browser, StartOidc
from tests.plugins.oidc.provider import Provider
from tests.plugins.oidc.test_config import made
from tests.plugins.oidc.test_logouts import logout_by_provider
from tests.plugins.oidc.test_renewal import Memory

pytestmark = pytest.mark.in_turn

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\nfirst"
TUNNEL = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst"
CHUNK = b"\r\n5\r\nmore!"
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n"


class Endless:
    """An upstream that begins a response that lasts, and leaves it open: events, or a tunnel if one is asked for."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._respond, args=(connection,), daemon=True).start()

    def _respond(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = connection.recv(65536).lower()
            self._connections.append(connection)
            connection.sendall(TUNNEL if b"upgrade: websocket" in head else EVENTS)
            while connection.recv(65536):  # until the gateway closes it
                pass

    def go_on(self) -> None:
        """Send more to each connection that is open."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.sendall(b"more!")

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)


@pytest.fixture
def endless() -> Iterator[Endless]:
    upstream = Endless()
    yield upstream
    upstream.close()


@contextlib.contextmanager
def opened(browser: Browser, kind: str) -> Iterator[BinaryIO]:
    """Open events or a tunnel in a browser's session, and yield what comes after the first five bytes."""
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    head = f"GET /{kind} HTTP/1.1\r\nHost: {HOST}\r\n{UPGRADE if kind == 'tunnel' else ''}"
    with socket.create_connection(("127.0.0.1", browser.gateway.port), 30) as client:
        client.sendall(f"{head}Origin: http://{HOST}\r\nCookie: {cookie}\r\n\r\n".encode())
        stream = client.makefile("rb")
        assert stream.readline().split()[1] == (b"101" if kind == "tunnel" else b"200")
        while stream.readline().strip():
            pass
        if kind == "events":
            stream.readline()  # the length of the chunk
        assert stream.read(5) == b"first"
        yield stream


def is_aborted(stream: BinaryIO) -> bool:
    """Wait for the end of a stream, and return whether it is none that the upstream made."""
    with contextlib.suppress(ConnectionResetError):
        return b"0\r\n\r\n" not in stream.read()
    return True


@pytest.mark.parametrize("kind", ["events", "tunnel"])
@pytest.mark.parametrize("end", ["provider", "user", "operator", "max_age", "idle_timeout"])
def test_streams_and_tunnels_are_aborted_when_their_session_ends(
    start: StartOidc, provider: Provider, clock: ManualClock, endless: Endless, end: str, kind: str
) -> None:
    session = {"recheck": "1s", "max_age": "8h", "idle_timeout": "30m"}
    browser = Browser(start(target=endless.url, backchannel_logout_path="/backchannel", session=session))
    browser.follow(browser.to_provider())
    provider.user = "bob"
    other = Browser(browser.gateway)
    other.follow(other.to_provider())

    with opened(browser, kind) as stream, opened(other, kind) as another:
        if end == "provider":
            assert logout_by_provider(browser, provider.logout_token(sub="alice")) == 200
        elif end == "user":
            assert browser.send("POST", "/oauth2/logout", {"Origin": f"http://{HOST}"}).status == 303
        elif end == "operator":
            browser.gateway.call("oidc", "end_sessions", subject="alice")
        else:
            clock.advance(8 * 3600 if end == "max_age" else 1800)

        assert is_aborted(stream)
        if end in {"provider", "user", "operator"}:
            endless.go_on()
            assert another.read(5 if kind == "tunnel" else len(CHUNK)) == (b"more!" if kind == "tunnel" else CHUNK)


def sessions_of(values: Memory, clock: ManualClock, config: OidcConfig) -> Sessions:
    """Make what one of several workers has, which share values."""
    writer, sealer = CookieWriter("s", secure=True, domain=None, same_site="lax"), Sealer([KEY], ())
    return Sessions(config, sealer, values, writer, Renewals.__new__(Renewals), clock, ())


async def test_a_session_that_is_used_at_another_worker_keeps_its_streams() -> None:
    values, clock = Memory(), ManualClock(wall=1000.0)
    config = made(session={"idle_timeout": "10m"})
    here, there = sessions_of(values, clock, config), sessions_of(values, clock, config)
    session = Session("id", "i", "s", began=1000.0, seen=1000.0)
    assert not await here.is_gone(session)
    cookies = read_cookies(f"__Host-s=1.{await there.kept(session, 'host')}", "__Host-s")

    clock.advance(500)
    assert isinstance(await there.find(cookies, "host"), Entry)
    clock.advance(599)
    assert not await here.is_gone(session)

    clock.advance(1)
    assert await here.is_gone(session)


async def test_the_use_of_a_session_without_streams_is_not_kept() -> None:
    values, clock = Memory(), ManualClock(wall=1000.0)
    sessions = sessions_of(values, clock, made(session={"idle_timeout": "10m"}))
    session = Session("id", "i", "s", began=1000.0, seen=1000.0)
    cookies = read_cookies(f"__Host-s=1.{await sessions.kept(session, 'host')}", "__Host-s")

    clock.advance(500)
    assert isinstance(await sessions.find(cookies, "host"), Entry)

    assert values.values == {}
