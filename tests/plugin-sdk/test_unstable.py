from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from gateway_plugin_sdk import DocumentFormat, SourceUrl
from gateway_plugin_sdk.unstable import (
    LineSplitter,
    LineTooLongError,
    client_tls_context,
    document_format,
    switch_option,
    with_port,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.core.process import certificates


@given(st.lists(st.binary(max_size=8).filter(lambda line: b"\n" not in line)), st.data())
def test_it_does_not_matter_where_a_stream_is_cut(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(line + b"\n" for line in lines)
    splitter, found = LineSplitter(100), []

    while whole:
        size = data.draw(st.integers(1, len(whole)))
        found += splitter.feed(whole[:size])
        whole = whole[size:]

    assert found == [line for line in lines if line.strip()]


def test_a_line_has_a_limit() -> None:
    splitter = LineSplitter(10)
    assert splitter.feed(b"0123456789\n01234567") == [b"0123456789"]
    splitter.feed(b"89")

    with pytest.raises(LineTooLongError, match="longer than 10 bytes"):
        splitter.feed(b"x")


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


def test_names_tell_formats() -> None:
    formats = [document_format(name) for name in ("a/routes", "a.yaml", "a.yml", "a.json", "a.toml", "a.pem")]

    assert formats == [DocumentFormat.YAML] * 3 + [DocumentFormat.JSON, DocumentFormat.TOML, None]


def test_options_and_ports_of_urls() -> None:
    url = SourceUrl.parse("etcd://h/x?tls=true&verify=false&odd=yes")

    assert [switch_option(url, name, default=True) for name in ("tls", "verify", "other")] == [True, False, True]
    with pytest.raises(ValueError, match="option odd: 'yes' is neither true nor false"):
        switch_option(url, "odd", default=True)
    assert [with_port(host, 7) for host in ("h", "h:1", "[::1]", "[::1]:1")] == ["h:7", "h:1", "[::1]:7", "[::1]:1"]
