"""Which contexts read the session tickets of which others."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from gateway_core.process.certificates import load_certificates
from gateway_core.process.tls import BaseContexts, ListenerTls

from tests.core.process.certificates import Pair, listener, make, trusting_all

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
ONE, TWO, THREE = (sha256(text).hexdigest() for text in (b"one", b"two", b"three"))


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return make(tmp_path, "own", "own.test")


def in_a_child(work: Callable[[], bool]) -> bool:
    """Do something in a fork of this process."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in {0, 2}
    return status == 0


def worker(pair: Pair, contexts: BaseContexts | None, **settings: object) -> ssl.SSLContext:
    """Return what a worker would begin a handshake with."""
    config = listener(pair, **settings)
    assert config.tls is not None
    return ListenerTls(config, load_certificates(config.tls), contexts).base_context()


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
    contexts, client = BaseContexts(2), client_of(version)
    _, session = connect(worker(pair, contexts), client)

    assert in_a_child(lambda: connect(worker(pair, contexts), client, session)[0])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("settings", [{"strict_sni": True}, {"ciphers": "HIGH"}])
def test_a_ticket_is_good_only_with_the_same_settings(
    pair: Pair, version: ssl.TLSVersion, settings: dict[str, object]
) -> None:
    contexts, client = BaseContexts(2), client_of(version)
    _, session = connect(worker(pair, contexts), client)

    assert not in_a_child(lambda: connect(worker(pair, contexts, **settings), client, session)[0])


@pytest.mark.parametrize("version", VERSIONS)
def test_where_client_certificates_are_asked_for_no_context_is_shared(pair: Pair, version: ssl.TLSVersion) -> None:
    contexts, client = BaseContexts(1), client_of(version)
    asking = {"client_ca": str(pair.cert), "client_auth": "optional"}
    _, session = connect(worker(pair, contexts, **asking), client)

    assert not connect(worker(pair, contexts, **asking), client, session)[0]
    assert contexts.claim(ONE) is not None


def test_processes_claim_one_context_for_one_digest_and_another_for_another() -> None:
    contexts = BaseContexts(2)
    first = contexts.claim(ONE)

    assert in_a_child(lambda: contexts.claim(TWO) is not first and contexts.claim(ONE) is first)
    assert contexts.claim(TWO) is not first
    assert contexts.claim(ONE) is first


def test_a_context_is_never_given_to_another_digest() -> None:
    contexts = BaseContexts(2)

    assert in_a_child(lambda: contexts.claim(ONE) is not None and contexts.claim(TWO) is not None)

    assert contexts.claim(THREE) is None
    assert contexts.claim(ONE) is not None
