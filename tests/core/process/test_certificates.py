from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ListenTlsConfig
from gateway_core.hooks import Certificate
from gateway_core.process.certificates import (
    CertificateError,
    NotARevocationListError,
    files_of,
    key_kind,
    load_certificates,
    pem_blocks,
    read_element,
    revocation_lists,
    skip_elements,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.core.process.certificates import Authority, Pair, make


@pytest.fixture
def a(tmp_path: Path) -> Pair:
    return make(tmp_path, "a", "a.test")


@pytest.fixture
def b(tmp_path: Path) -> Pair:
    return make(tmp_path, "b", "b.test", "*.b.test")


def config(**keys: Any) -> ListenTlsConfig:
    return ListenTlsConfig.model_validate(keys)


def test_a_missing_file_is_named(tmp_path: Path, a: Pair) -> None:
    with pytest.raises(CertificateError, match=r"cannot read '.*nowhere.pem': no such file"):
        load_certificates(config(cert=str(a.cert), key=str(tmp_path / "nowhere.pem")))


def test_a_key_of_another_certificate_is_refused(a: Pair, b: Pair) -> None:
    with pytest.raises(CertificateError, match="the key does not belong to the certificate"):
        load_certificates(config(cert=str(a.cert), key=str(b.key)))


def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path, a: Pair) -> None:
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")

    with pytest.raises(CertificateError, match="nonsense"):
        load_certificates(config(cert=str(nonsense), key=str(a.key)))
    with pytest.raises(CertificateError, match="client_ca"):
        load_certificates(config(**a.config(), client_ca=str(nonsense)))


def test_the_digest_follows_the_contents(a: Pair, b: Pair) -> None:
    first = load_certificates(config(**a.config()))
    again = load_certificates(config(**a.config()))
    a.cert.write_bytes(b.cert.read_bytes())
    a.key.write_bytes(b.key.read_bytes())

    assert first.digest == again.digest
    assert load_certificates(config(**a.config())).digest != first.digest


def test_names_every_file(a: Pair, b: Pair) -> None:
    named = files_of(config(**a.config(), certificates=[b.config()], client_ca=str(b.cert), client_crl="crl.pem"))

    assert set(named) == {a.cert, a.key, b.cert, b.key, Path("crl.pem")}


def test_the_digest_follows_the_settings(a: Pair, b: Pair) -> None:
    optional = config(**a.config(), client_ca=str(b.cert), client_auth="optional")
    required = config(**a.config(), client_ca=str(b.cert))

    assert load_certificates(optional).digest != load_certificates(required).digest


def test_a_revocation_list_that_is_none_is_refused(a: Pair, tmp_path: Path) -> None:
    keys = {**a.config(), "client_ca": str(a.cert)}

    with pytest.raises(CertificateError, match=r"client_crl '.*a.crt' is not a PEM file of revocation lists"):
        load_certificates(config(**keys, client_crl=str(a.cert)))
    with pytest.raises(CertificateError, match=r"cannot read '.*nowhere'"):
        load_certificates(config(**keys, client_crl=str(tmp_path / "nowhere")))


@pytest.mark.parametrize(("key", "kind"), [("ec", "ECDSA"), ("rsa", "RSA"), ("ed25519", "Ed25519")])
def test_tells_the_kind_of_key(tmp_path: Path, key: str, kind: str) -> None:
    assert key_kind(str(make(tmp_path, "c", key=key).cert)) == kind


def test_a_second_certificate_with_a_key_of_the_same_kind_for_one_name_is_refused(tmp_path: Path, a: Pair) -> None:
    again = make(tmp_path, "again", "A.test")

    with pytest.raises(
        CertificateError, match=r"again.crt' is a second ECDSA certificate for 'a.test' beside '.*a.crt'"
    ):
        load_certificates(config(**a.config(), certificates=[again.config()]))


def test_certificates_may_share_some_of_their_names(tmp_path: Path, a: Pair) -> None:
    wider = make(tmp_path, "wider", "a.test", "www.a.test")

    certificates = load_certificates(config(**a.config(), certificates=[wider.config()]))

    assert certificates.choose("a.test") is certificates.default
    assert certificates.choose("www.a.test") is not certificates.default


def test_a_provided_certificate_may_be_for_a_name_that_is_served_already(tmp_path: Path, a: Pair) -> None:
    again, rsa = make(tmp_path, "again", "a.test"), make(tmp_path, "rsa", "a.test", key="rsa")
    provided = [Certificate(["a.test"], pair.cert.read_bytes(), pair.key.read_bytes()) for pair in (again, rsa)]

    certificates = load_certificates(config(**a.config()), provided)

    assert certificates.choose("a.test") is certificates.default


def element(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=70_000)), min_size=1, max_size=3), st.binary())
def test_elements_are_read_one_after_the_other(elements: list[tuple[int, bytes]], rest: bytes) -> None:
    data = b"".join(element(tag, content) for tag, content in elements) + rest

    first = read_element(data)

    assert (first.tag, first.content) == elements[0]
    assert skip_elements(data, len(elements)) == rest


@given(st.binary(min_size=1, max_size=300), st.data())
def test_what_is_cut_off_is_refused(content: bytes, data: st.DataObject) -> None:
    whole = element(0x30, content)

    with pytest.raises(ValueError, match="cut off"):
        read_element(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_blocks_are_found_by_their_label() -> None:
    def block(label: str, content: bytes) -> bytes:
        return f"-----BEGIN {label}-----\n{base64.encodebytes(content).decode()}-----END {label}-----\n".encode()

    pem = b"text\n" + block("A KEY", b"1") + block("B", b"2") + block("A KEY", b"3" * 100)

    assert list(pem_blocks(pem, "A KEY")) == [b"1", b"3" * 100]


@pytest.mark.parametrize("year", [2020, 2049, 2050, 2099])
def test_tells_until_when_each_list_is_valid(tmp_path: Path, year: int) -> None:
    authority = Authority(tmp_path / "authority")
    authority.publish(f"{year}0102030405Z")
    pem = authority.crl.read_bytes()
    end = datetime(year, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert revocation_lists(pem) == [end]
    assert revocation_lists(pem + b"\n" + pem) == [end, end]


def test_a_text_without_a_list_is_refused() -> None:
    with pytest.raises(NotARevocationListError):
        revocation_lists(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


@given(st.text("ABCDefgh0123+/= \n", max_size=80))
def test_a_broken_list_is_refused_whatever_is_in_it(text: str) -> None:
    pem = b"-----BEGIN X509 CRL-----" + text.encode() + b"-----END X509 CRL-----"

    try:
        revocation_lists(pem)
    except NotARevocationListError:
        return
