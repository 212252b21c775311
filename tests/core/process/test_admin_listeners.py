"""The admin listener over TLS, and who is let in by what the configuration and the state directory say."""

from __future__ import annotations

import asyncio
import http.client
import ssl
from pathlib import Path

import pytest
from gateway_core.admin import Access
from gateway_core.admin.tokens import TokenFile, make_token
from gateway_core.cli.control_client import client_of
from gateway_core.config import AdminConfig, GatewayConfig
from gateway_core.errors import GatewayError, RefusedError
from gateway_core.process.admin_listeners import AdminAccess, AdminListeners, files_of

from tests.core.admin.kit import send
from tests.core.admin.test_listener import View
from tests.core.process.certificates import Pair, encrypted, make

HASH = f"sha256:{'a' * 64}"


def admin(**keys: object) -> AdminConfig:
    config = GatewayConfig.model_validate({"admin": keys}).admin
    assert config is not None
    return config


async def test_tokens_of_the_configuration_and_of_the_state_directory_are_taken(tmp_path: Path) -> None:
    _, kept = make_token("ci", "viewer", 1.0, lifetime=None)
    TokenFile(tmp_path).change(lambda _: [kept])
    access = AdminAccess(tmp_path)

    assert (await access.of(None, None)).tokens == [kept.token]
    config = admin(listen=":1", tokens=[{"name": "ops", "hash": HASH, "expires": "2030-01-01T00:00:00Z"}])
    found = await access.of(config, config)
    assert [(each.name, each.expires) for each in found.tokens] == [("ci", None), ("ops", 1893456000.0)]


async def test_revoking_the_last_token_does_not_open_the_api_to_anonymous_callers(tmp_path: Path) -> None:
    access, file = AdminAccess(tmp_path), TokenFile(tmp_path)
    assert (await access.of(None, None)).takes_anonymous

    file.change(lambda _: [make_token("ops", "viewer", 1.0, lifetime=None)[1]])
    assert not (await access.of(None, None)).takes_anonymous
    file.change(lambda _: [])

    for config in (None, admin(listen=":1")):
        assert not (await access.of(config, config)).takes_anonymous


async def test_a_file_of_tokens_that_cannot_be_used_lets_in_nobody(tmp_path: Path) -> None:
    TokenFile(tmp_path).path.write_text("{")

    with pytest.raises(RefusedError) as refused:
        await AdminAccess(tmp_path).of(None, None)

    assert refused.value.status == 503


async def ask(port: int, ca: Pair, client: Pair | None, method: str = "GET", path: str = "/api/v1/overview") -> int:
    context = ssl.create_default_context(cafile=str(ca.cert))
    if client is not None:
        context.load_cert_chain(client.cert, client.key)

    def talk() -> int:
        connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=20)
        try:
            return send(connection, method, path, None if method == "GET" else {}).status
        finally:
            connection.close()

    return await asyncio.to_thread(talk)


async def test_a_client_certificate_stands_for_a_role(
    tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, viewer, operator, other = (make(tmp_path, name) for name in ("localhost", "viewer", "operator", "other"))
    authorities = tmp_path / "ca.pem"
    authorities.write_text("".join(each.cert.read_text() for each in (viewer, operator, other)))
    config = admin(
        listen=f"127.0.0.1:{unused_tcp_port}",
        tls={**server.config(), "client_ca": str(authorities)},
        clients=[{"name": "viewer"}, {"name": "operator", "role": "operator"}],
    )
    view = View()
    view.let_in = await AdminAccess(tmp_path).of(config, config)
    listeners = AdminListeners()
    await listeners.follow(config, view)
    try:
        asked = [await ask(unused_tcp_port, server, each) for each in (None, other, viewer, operator)]
        assert asked == [401, 401, 200, 200]
        assert await ask(unused_tcp_port, server, None, path="/healthz") == 200
        # As commands with --admin do.
        monkeypatch.setenv("SSL_CERT_FILE", str(server.cert))
        client = client_of((), None, f"https://localhost:{unused_tcp_port}")
        with pytest.raises(GatewayError, match="responded 401"):
            await asyncio.to_thread(client.get, "/api/v1/overview", 20.0)
        monkeypatch.setenv("GATEWAY_CLIENT_CERT", str(viewer.cert))
        with pytest.raises(GatewayError, match=r"GATEWAY_CLIENT_KEY.* cannot be used"):
            await asyncio.to_thread(client.get, "/api/v1/overview", 20.0)
        monkeypatch.setenv("GATEWAY_CLIENT_KEY", str(viewer.key))
        assert (await asyncio.to_thread(client.get, "/api/v1/overview", 20.0))["version"] == "v1"
        assert await ask(unused_tcp_port, server, viewer, "POST", "/api/v1/reload") == 403
        assert await ask(unused_tcp_port, server, operator, "POST", "/api/v1/reload") == 200
    finally:
        await listeners.aclose()
    assert view.reloads == 1


async def test_a_new_certificate_is_served_after_a_reload(tmp_path: Path, unused_tcp_port: int) -> None:
    server = make(tmp_path, "localhost")
    config = admin(listen=f"127.0.0.1:{unused_tcp_port}", tls=server.config())
    assert {path.name for path in files_of(config).files} == {"localhost.crt", "localhost.key"}
    view = View()
    view.let_in = Access()
    listeners = AdminListeners()
    await listeners.follow(config, view)
    try:
        make(tmp_path, "localhost")
        with pytest.raises(ssl.SSLError):
            await ask(unused_tcp_port, server, None)

        await listeners.follow(config, view)

        assert await ask(unused_tcp_port, server, None) == 200
    finally:
        await listeners.aclose()


async def test_a_certificate_that_cannot_be_used_is_an_error(tmp_path: Path, unused_tcp_port: int) -> None:
    (tmp_path / "a").write_text("no certificate")
    listeners = AdminListeners()

    for name in ("a", "missing"):
        tls = {"cert": str(tmp_path / name), "key": str(tmp_path / name)}
        with pytest.raises(GatewayError, match=r"admin\.tls cannot be used"):
            await listeners.follow(admin(listen=f"127.0.0.1:{unused_tcp_port}", tls=tls), View())


async def test_a_key_with_a_password_is_an_error_and_asks_no_terminal(tmp_path: Path, unused_tcp_port: int) -> None:
    server = make(tmp_path, "localhost")
    tls = {"cert": str(server.cert), "key": str(encrypted(server))}

    with pytest.raises(GatewayError, match=r"admin\.tls cannot be used: .* the key is encrypted: give PEM files"):
        await AdminListeners().follow(admin(listen=f"127.0.0.1:{unused_tcp_port}", tls=tls), View())


async def test_health_has_a_listener_of_its_own(tmp_path: Path, unused_tcp_port: int) -> None:
    listeners = AdminListeners()
    await listeners.follow(admin(health_listen=f"127.0.0.1:{unused_tcp_port}"), View())

    def ask(path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", unused_tcp_port, timeout=20)
        try:
            return send(connection, "GET", path).status
        finally:
            connection.close()

    try:
        statuses = [
            await asyncio.to_thread(ask, path) for path in ("/ready", "/metrics", "/config", "/api/v1/overview")
        ]
        assert statuses == [200, 200, 404, 404]
        listeners.drain()
        assert await asyncio.to_thread(ask, "/ready") == 503
    finally:
        await listeners.aclose()


async def test_where_it_is_not_known_who_is_let_in_only_tokens_of_the_state_directory_are(tmp_path: Path) -> None:
    _, kept = make_token("ops", "viewer", 1.0, lifetime=None)
    TokenFile(tmp_path).change(lambda _: [kept])

    found = await AdminAccess(tmp_path).of(None, None, is_known=False)
    assert found.tokens == [kept.token]
    assert not (await AdminAccess(tmp_path / "none").of(None, None, is_known=False)).takes_anonymous
