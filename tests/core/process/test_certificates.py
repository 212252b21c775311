from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ListenTlsConfig
from gateway_core.hooks import Certificate
from gateway_core.process.certificates import (
    CertificateError,
    files_of,
    key_kind,
    load_certificates,
)

from tests.core.process.certificates import Pair, make


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


BY_EXTENSION = {"certificates": [{"name": "some"}]}


def provided(*pairs: Pair) -> list[Certificate]:
    return [Certificate([pair.cert.stem + ".test"], pair.cert.read_bytes(), pair.key.read_bytes()) for pair in pairs]


def test_provided_certificates_that_stay_are_not_read_again(tmp_path: Path, a: Pair, b: Pair) -> None:
    before = load_certificates(config(**BY_EXTENSION), provided(a, b))
    renewed = make(tmp_path, "b", "b.test")

    now = load_certificates(config(**BY_EXTENSION), provided(a, renewed), before)

    assert now.choose("a.test") is before.choose("a.test")
    assert now.choose("b.test") is not before.choose("b.test")
    assert now.digest != before.digest
    assert [each.name for each in now.validities] == ["a.test", "b.test"]


def test_what_was_read_with_other_settings_is_read_again(a: Pair, b: Pair) -> None:
    certificates = provided(a)
    before = load_certificates(config(**BY_EXTENSION, client_ca=str(b.cert)), certificates)
    other = load_certificates(config(**BY_EXTENSION, client_ca=str(b.cert), min_version="1.3"), certificates, before)
    b.cert.write_bytes(b.cert.read_bytes() + a.cert.read_bytes())
    wider = load_certificates(config(**BY_EXTENSION, client_ca=str(b.cert)), certificates, before)

    assert other.choose("a.test") is not before.choose("a.test")
    assert wider.choose("a.test") is not before.choose("a.test")


def test_provided_certificates_with_other_kinds_of_keys_share_a_context_also_when_one_stays(tmp_path: Path) -> None:
    ec, rsa = make(tmp_path, "c", "c.test"), make(tmp_path, "rsa", "c.test", key="rsa")
    both = [Certificate(["c.test"], each.cert.read_bytes(), each.key.read_bytes()) for each in (ec, rsa)]
    before = load_certificates(config(**BY_EXTENSION), both[:1])

    now = load_certificates(config(**BY_EXTENSION), both, before)

    assert now.choose("c.test") is not before.choose("c.test")
    assert now.choose("c.test") is now.default
