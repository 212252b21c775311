from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from gateway_core.client_tls import RenewedTls, client_tls_context, make_client_context, tls_reason

from tests.core.process import certificates


def test_without_files_the_library_has_a_context_already() -> None:
    assert client_tls_context() is None


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("/nowhere.pem", "", ""), "the files of ca cannot be used"),
        (("", "/nowhere.pem", ""), "the files of cert cannot be used"),
        (("", "", "/nowhere.pem"), "key is given without cert"),
    ],
)
def test_files_that_cannot_be_used_are_refused(files: tuple[str, str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        client_tls_context(*files)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ValueError, match=r"the files of ca cannot be used: .*pipe cannot be read: it is a pipe"):
        client_tls_context(str(tmp_path / "pipe"))


def test_texts_do_as_well_as_files(tmp_path: Path) -> None:
    made = certificates.make(tmp_path, "localhost")

    of_files = client_tls_context(str(made.cert), str(made.cert), str(made.key))
    of_texts = client_tls_context(
        authorities=made.cert.read_bytes(), identity=(made.cert.read_bytes(), made.key.read_bytes())
    )

    assert of_files is not None
    assert of_texts is not None
    assert of_files.get_ca_certs() == of_texts.get_ca_certs()
    with pytest.raises(ValueError, match="the certificates cannot be used"):
        client_tls_context(authorities=b"none")


def test_any_certificate_is_trusted_only_where_that_is_said() -> None:
    context = client_tls_context(verify=False)

    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_all_who_want_the_same_share_one_context_until_a_file_is_replaced(tmp_path: Path) -> None:
    made = certificates.make(tmp_path, "localhost")
    files = str(made.cert), str(made.cert), str(made.key)

    first = client_tls_context(*files)
    assert client_tls_context(*files) is first
    assert client_tls_context(str(made.cert)) is not first

    other = certificates.make(tmp_path, "example.com")
    made.cert.write_bytes(other.cert.read_bytes())
    made.key.write_bytes(other.key.read_bytes())
    replaced = client_tls_context(*files)

    assert replaced is not first
    assert replaced is not None
    assert first is not None
    assert replaced.get_ca_certs() != first.get_ca_certs()


def test_replaced_files_count_for_the_next_connection_once_they_fit_together(tmp_path: Path) -> None:
    made, other = certificates.make(tmp_path, "localhost"), certificates.make(tmp_path, "example.com")
    tls = RenewedTls(str(made.cert), str(made.cert), str(made.key))
    first = tls.context()
    assert tls.context() is first

    made.cert.write_bytes(other.cert.read_bytes())
    assert tls.context() is first
    made.key.write_bytes(other.key.read_bytes())

    assert tls.context() is not first
    assert RenewedTls().context() is True


def reason_for(cert: Path, key: Path) -> str:
    with pytest.raises((OSError, ValueError)) as caught:
        make_client_context(cert=str(cert), key=str(key))
    return tls_reason(caught.value, str(cert), str(key))


def test_what_openssl_refuses_is_said_in_plain_words(tmp_path: Path) -> None:
    made, other = (certificates.make(tmp_path, name) for name in ("one", "two"))
    notes, damaged = tmp_path / "notes.txt", tmp_path / "damaged.pem"
    notes.write_text("no certificate\n")
    damaged.write_bytes(made.cert.read_bytes()[:400])

    assert reason_for(made.cert, other.key) == "the key does not belong to the certificate"
    assert reason_for(notes, made.key) == f"there is no PEM certificate in {notes}"
    assert reason_for(made.cert, notes) == f"there is no PEM key in {notes}"
    assert reason_for(damaged, made.key) == f"the PEM text in {damaged} or {made.key} is damaged"
