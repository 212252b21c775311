from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.kit import PATIENCE, Client, Gateway, Upstream, get
from tests.end_to_end.test_workers import pids

pytestmark = pytest.mark.slow

Start = Callable[..., Gateway]


def certificate(folder: Path, name: str, files: str) -> None:
    """Write a self-signed certificate for a name to ``files``.crt and .key."""
    target = folder / files
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    out = ["-keyout", f"{target}.key.new", "-out", f"{target}.crt.new"]
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run(["openssl", "req", "-x509", *kind, *out, *subject], check=True, capture_output=True)
    Path(f"{target}.key.new").replace(f"{target}.key")
    Path(f"{target}.crt.new").replace(f"{target}.crt")


async def connect(url: str, folder: Path, name: str) -> tuple[Client, bytes]:
    """Open a connection without trusting anybody; returns it with the certificate that was shown."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    return Client(reader, writer), writer.get_extra_info("ssl_object").getpeercert(binary_form=True)


def der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text())


async def test_new_certificate_files_are_used_without_dropping_connections(
    start: Start, upstream: Upstream, tmp_path: Path
) -> None:
    certificate(tmp_path, "a.test", "a")
    certificate(tmp_path, "b.test", "b")
    gateway = start(
        f"listen: {{address: '127.0.0.1:0', tls: {{cert: {tmp_path}/a.crt, key: {tmp_path}/a.key,"
        f" certificates: [{{cert: {tmp_path}/b.crt, key: {tmp_path}/b.key}}]}}}}\n"
        f"routes:\n  - {{id: all, path_prefix: /, target: '{upstream.url}'}}\n"
    )
    url = await gateway.ready()
    assert url.startswith("https://127.0.0.1:")
    old, shown = await connect(url, tmp_path, "a.test")
    assert shown == der(tmp_path / "a.crt")
    other, shown = await connect(url, tmp_path, "b.test")
    assert shown == der(tmp_path / "b.crt")
    await old.send("/one")
    assert (await old.answer())[0] == 200

    after = len(gateway.lines)
    certificate(tmp_path, "a.test", "a")
    await gateway.says("configuration in force", after=after)
    for _ in range(100):
        fresh, shown = await connect(url, tmp_path, "a.test")
        fresh.close()
        if shown == der(tmp_path / "a.crt"):
            break
        await asyncio.sleep(0.1)

    assert shown == der(tmp_path / "a.crt")
    await old.send("/two")
    assert await old.answer() == (200, "one GET /two HTTP/1.1")
    for client in (old, other):
        client.close()
    await gateway.stops()


async def test_new_files_for_upstreams_are_used(start: Start, tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        writer.close()

    certificate(tmp_path, "a.test", "a")
    certificate(tmp_path, "a.test", "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "a.crt", tmp_path / "a.key")
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    ca = tmp_path / "ca.crt"
    ca.write_bytes((tmp_path / "other.crt").read_bytes())
    gateway = start(
        "listen: '127.0.0.1:0'\nroutes: [{id: all, path_prefix: /, target: u}]\nupstreams:\n"
        f"  - {{name: u, endpoints: [{{url: 'https://127.0.0.1:{server.sockets[0].getsockname()[1]}'}}],"
        f" tls: {{ca: {ca}, server_name: a.test}}}}\n"
    )
    url = await gateway.ready()
    assert (await get(url, "/"))[0] == 502

    after = len(gateway.lines)
    (tmp_path / "new").write_bytes((tmp_path / "a.crt").read_bytes())
    (tmp_path / "new").replace(ca)
    await gateway.says("ca.crt changed: configuration in force", after=after)

    assert (await get(url, "/"))[0] == 200
    server.close()
    await gateway.stops()


async def test_a_broken_certificate_file_keeps_the_old_one(start: Start, upstream: Upstream, tmp_path: Path) -> None:
    certificate(tmp_path, "a.test", "a")
    gateway = start(
        f"listen: {{address: '127.0.0.1:0', tls: {{cert: {tmp_path}/a.crt, key: {tmp_path}/a.key}}}}\n"
        f"routes:\n  - {{id: all, path_prefix: /, target: '{upstream.url}'}}\n"
    )
    url = await gateway.ready()
    before = der(tmp_path / "a.crt")

    after = len(gateway.lines)
    (tmp_path / "a.key").write_text("nonsense")
    line = await gateway.says("stays in force", after=after)

    assert "a.key" in line
    client, shown = await connect(url, tmp_path, "a.test")
    assert shown == before
    client.close()
    await gateway.stops()


async def test_a_missing_certificate_is_one_line_and_status_1(start: Start, upstream: Upstream, tmp_path: Path) -> None:
    gateway = start("listen: {address: '127.0.0.1:0', tls: {cert: /nowhere.crt, key: /nowhere.key}}\n")

    assert await gateway.ends() == 1
    assert "/nowhere.crt" in gateway.text
    assert "Traceback" not in gateway.text


def visit(
    url: str, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[bytes, ssl.SSLSession | None]:
    """Send one request; returns its status line, empty if there is none, and the session."""
    host, _, port = url.removeprefix("https://").partition(":")
    try:
        with (
            socket.create_connection((host, int(port))) as plain,
            context.wrap_socket(plain, server_hostname="a.test", session=session) as secure,
        ):
            secure.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
            return secure.recv(100).partition(b"\r\n")[0], secure.session
    except OSError:
        return b"", None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_client_certificates_count_for_old_sessions_once_they_are_asked_for(
    start: Start, upstream: Upstream, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    certificate(tmp_path, "a.test", "a")
    certificate(tmp_path, "client", "client")
    config = (
        "workers: 2\nlisten: {{address: '127.0.0.1:0', tls: {{cert: {0}/a.crt, key: {0}/a.key,"
        " client_ca: {0}/client.crt, client_auth: {1}}}}}\n"
        "routes:\n  - {{id: all, path_prefix: /, target: '{2}'}}\n"
    )
    gateway = start(config.format(tmp_path, "none", upstream.url))
    url = await gateway.ready()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = version
    status, session = await asyncio.to_thread(visit, url, context)
    assert status == b"HTTP/1.1 200 OK"

    after = len(gateway.lines)
    gateway.config.write_text(config.format(tmp_path, "required", upstream.url))
    await gateway.says("configuration in force", after=after)

    for _ in range(10):  # both workers get some
        assert (await asyncio.to_thread(visit, url, context, session))[0] == b""
    known = ssl.create_default_context()
    known.check_hostname = False
    known.verify_mode = ssl.CERT_NONE
    known.load_cert_chain(tmp_path / "client.crt", tmp_path / "client.key")
    assert (await asyncio.to_thread(visit, url, known))[0] == b"HTTP/1.1 200 OK"
    await gateway.stops()


async def test_sessions_are_resumed_by_whichever_worker_takes_the_connection_also_after_a_reload_and_a_crash(
    start: Start, upstream: Upstream, tmp_path: Path
) -> None:
    certificate(tmp_path, "a.test", "a")
    admin = f"unix:{tmp_path}/admin.sock"
    gateway = start(
        f"admin: {{listen: '{admin}'}}\nworkers: 2\n"
        f"listen: {{address: '127.0.0.1:0', tls: {{cert: {tmp_path}/a.crt, key: {tmp_path}/a.key}}}}\n"
        f"routes:\n  - {{id: all, path_prefix: /, target: '{upstream.url}'}}\n"
    )
    port = int((await gateway.ready()).rpartition(":")[2])
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def connect(session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession | None]:
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        with context.wrap_socket(plain, server_hostname="a.test", session=session) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
            while sock.recv(65536):
                pass
            return bool(sock.session_reused), sock.session

    async def all_resumed(session: ssl.SSLSession | None) -> bool:
        resumed = []
        for _ in range(40):
            # Some at once, so that both workers take connections.
            found = await asyncio.gather(*[asyncio.to_thread(connect, session) for _ in range(4)])
            resumed += [each for each, _ in found]
        return all(resumed)

    _, session = await asyncio.to_thread(connect, None)
    assert await all_resumed(session)

    after = len(gateway.lines)
    gateway.config.write_text(gateway.config.read_text().replace("id: all", "id: other"))
    await gateway.says("configuration in force", after=after)
    assert await all_resumed(session)

    after = len(gateway.lines)
    [worker, *_] = await pids(admin)
    os.kill(worker, signal.SIGKILL)
    await gateway.says(r"ended unexpectedly \(signal 9", after=after)
    while worker in (serving := await pids(admin)) or len(serving) < 2:  # noqa: ASYNC110  # no event
        await asyncio.sleep(0.05)
    assert await all_resumed(session)
