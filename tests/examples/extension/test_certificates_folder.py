from __future__ import annotations

import shutil
import socket
import ssl
from pathlib import Path

import pytest
from gateway_plugin_sdk.testing import InvalidConfigError, RunningGateway, ScriptedUpstream, StartGateway, eventually

from tests.core.process import certificates

pytestmark = pytest.mark.usefixtures("installed")


def configuration(folder: Path, upstream: ScriptedUpstream, more: dict[str, str] | None = None) -> dict[str, object]:
    entry = {"name": "certificates-folder", "config": {"folder": str(folder)} | (more or {})}
    listen = {"address": "127.0.0.1:0", "tls": {"certificates": [entry]}}
    return {"listen": [listen], "routes": [{"id": "all", "path_prefix": "/", "target": upstream.url}]}


def shown(running: RunningGateway, name: str) -> bytes | None:
    """Return the certificate that a client is shown for a name; None if the handshake is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=name) as secure:
                return secure.getpeercert(binary_form=True)
        except (ssl.SSLError, ConnectionError):
            return None


def der(pair: certificates.Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.cert.read_text())


def put(pair: certificates.Pair, folder: Path) -> None:
    # The key first: a certificate without one is left out.
    shutil.copy(pair.key, folder / pair.key.name)
    shutil.copy(pair.cert, folder / pair.cert.name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "live"
    folder.mkdir()
    return folder


def test_certificates_are_served_as_they_come_and_are_renewed(
    gateway: StartGateway, upstream: ScriptedUpstream, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old = certificates.make(tmp_path / "old", "a.test")
    new = certificates.make(tmp_path / "new", "a.test")
    other = certificates.make(tmp_path, "b.test", key="rsa")
    put(old, folder)

    running = gateway(configuration(folder, upstream))
    assert [shown(running, name) for name in ("a.test", "b.test")] == [der(old)] * 2

    put(other, folder)
    eventually(lambda: shown(running, "b.test") == der(other))
    put(new, folder)
    eventually(lambda: shown(running, "a.test") == der(new))
    (folder / "a.test.key").write_text("no key")
    (folder / "a.test.crt").write_text("no certificate")
    eventually(lambda: any("keeps the certificates that it has" in record.getMessage() for record in running.logs))
    assert shown(running, "a.test") == der(new)


def test_handshakes_are_refused_until_there_is_a_certificate(
    gateway: StartGateway, upstream: ScriptedUpstream, folder: Path, tmp_path: Path
) -> None:
    running = gateway(configuration(folder, upstream))
    assert shown(running, "a.test") is None

    pair = certificates.make(tmp_path, "a.test")
    put(pair, folder)

    eventually(lambda: shown(running, "a.test") == der(pair))


def test_a_reload_that_changes_nothing_about_them_keeps_them(
    gateway: StartGateway, upstream: ScriptedUpstream, folder: Path, tmp_path: Path
) -> None:
    pair = certificates.make(tmp_path, "a.test")
    put(pair, folder)
    running = gateway(configuration(folder, upstream))

    running.reload({**configuration(folder, upstream), "server_timing": True})

    assert shown(running, "a.test") == der(pair)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"fodler": "x"}, 'unknown key "fodler": did you mean "folder"?'),
        ({"folder": "/nowhere"}, "no directory '/nowhere'"),
    ],
)
def test_a_configuration_that_it_refuses_is_a_problem_with_a_place(
    gateway: StartGateway, upstream: ScriptedUpstream, folder: Path, more: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidConfigError, match=r"listen\[0\]\.tls\.certificates\[0\]\.config") as refused:
        gateway(configuration(folder, upstream, more))

    assert message in str(refused.value)


def test_a_name_that_nothing_offers_is_a_problem(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    listen = {"address": "127.0.0.1:0", "tls": {"certificates": [{"name": "vault"}]}}

    with pytest.raises(InvalidConfigError, match='no installed extension offers certificates called "vault"'):
        gateway({"listen": [listen], "routes": [{"id": "all", "path_prefix": "/", "target": upstream.url}]})
