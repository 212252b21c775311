"""Which contexts read the session tickets of which others."""

from __future__ import annotations

import _ssl
import ssl
from pathlib import Path

import pytest
from gateway_core.process.certificates import load_certificates
from gateway_core.process.ticket_keys import share_ticket_keys
from gateway_core.process.tls import ListenerTls

from tests.core.process.certificates import Pair, listener, make, trusting_all

SECRET = b"s" * 32
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return make(tmp_path, "own", "own.test")


def worker(pair: Pair, secret: bytes = SECRET, **settings: object) -> ssl.SSLContext:
    """Return what a worker of its own would begin a handshake with."""
    config = listener(pair, **settings)
    assert config.tls is not None
    return ListenerTls(config, load_certificates(config.tls), secret).base_context()


def connect(
    server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[bool, ssl.SSLSession | None]:
    """Shake hands without sockets; return whether the session was resumed, and the one for next time."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = client.wrap_bio(to_client, to_server, server_hostname="own.test", session=session)
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [theirs, ours]
    for side in waiting * 4:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    ours.write(b"x")
    assert theirs.read(1) == b"x"
    return bool(theirs.session_reused), theirs.session


def client_of(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = trusting_all()
    context.maximum_version = version
    return context


@pytest.mark.parametrize("version", VERSIONS)
def test_a_ticket_of_one_worker_is_good_in_another(pair: Pair, version: ssl.TLSVersion) -> None:
    client = client_of(version)
    _, session = connect(worker(pair), client)

    assert connect(worker(pair), client, session)[0]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("secret", "settings"), [(b"another", {}), (b"", {}), (SECRET, {"strict_sni": True}), (SECRET, {"ciphers": "HIGH"})]
)
def test_a_ticket_is_good_only_with_the_same_secret_and_settings(
    pair: Pair, version: ssl.TLSVersion, secret: bytes, settings: dict[str, object]
) -> None:
    client = client_of(version)
    _, session = connect(worker(pair), client)

    assert not connect(worker(pair, secret, **settings), client, session)[0]


def test_keys_are_shared_where_python_is_linked_with_the_library() -> None:
    linked = bool(getattr(_ssl, "__file__", ""))

    assert share_ticket_keys(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), SECRET, "digest") is linked
