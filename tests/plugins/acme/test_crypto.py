from __future__ import annotations

import pytest
from cryptography import x509
from gateway_plugin_acme.crypto import (
    Seal,
    UnusableCertificateError,
    certificate_request,
    check_issued,
    facts_of,
    key_pem,
    new_key,
    renewal_identifier,
    self_signed,
    validation_certificate,
)
from gateway_plugin_sdk import GatewayError

NOW = 1_700_000_000.0
KEY = new_key("ec256")


@pytest.mark.parametrize("kind", ["ec256", "ec384", "rsa2048"])
def test_a_request_has_all_names_and_is_signed(kind: str) -> None:
    request = x509.load_pem_x509_csr(certificate_request(["a.test", "*.b.test"], new_key(kind)))

    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.test", "*.b.test"]
    assert request.is_signature_valid


def test_a_certificate_that_cannot_serve_is_refused_with_the_reason() -> None:
    own = self_signed(["a.test"], KEY, NOW)

    assert check_issued(own.chain, own.key, ["a.test"], NOW).names == ("a.test",)
    with pytest.raises(UnusableCertificateError, match="does not fit its key"):
        check_issued(own.chain, key_pem(new_key("ec256")), ["a.test"], NOW)
    with pytest.raises(UnusableCertificateError, match=r"is not for b\.test"):
        check_issued(own.chain, own.key, ["a.test", "b.test"], NOW)
    with pytest.raises(UnusableCertificateError, match="is the clock right"):
        check_issued(own.chain, own.key, ["a.test"], NOW + 8 * 86400)
    with pytest.raises(UnusableCertificateError, match="is the clock right"):
        check_issued(own.chain, own.key, ["a.test"], NOW - 86400)
    with pytest.raises(UnusableCertificateError, match="is no certificate"):
        check_issued(b"garbage", own.key, ["a.test"], NOW)
    with pytest.raises(UnusableCertificateError, match="the key cannot be read"):
        check_issued(own.chain, b"garbage", ["a.test"], NOW)


def test_a_long_name_is_in_no_common_name() -> None:
    name = ".".join(["abcdefgh"] * 10)

    assert facts_of(self_signed([name], KEY, NOW).chain).names == (name,)


def test_a_validation_is_marked_critical() -> None:
    shown = x509.load_pem_x509_certificate(validation_certificate("a.test", "token.thumb", KEY, NOW).chain)

    [mark] = [each for each in shown.extensions if each.oid.dotted_string == "1.3.6.1.5.5.7.1.31"]
    assert mark.critical
    assert mark.value.public_bytes()[:2] == b"\x04\x20"


def test_a_certificate_without_an_issuers_key_has_no_identifier() -> None:
    assert renewal_identifier(self_signed(["a.test"], KEY, NOW).chain) is None


def test_what_is_sealed_is_opened_with_the_same_secret_under_the_same_name() -> None:
    seal = Seal("one secret of sixteen")
    sealed = seal.close("account/a", b"a private key")

    assert b"private" not in sealed
    assert Seal("one secret of sixteen").open("account/a", sealed) == b"a private key"
    for other, name, value in [
        (Seal("another secret of 16"), "account/a", sealed),
        (seal, "account/b", sealed),
        (seal, "account/a", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (seal, "account/a", b"a private key"),
        (seal, "account/a", b""),
    ]:
        with pytest.raises(GatewayError, match=r"was not sealed with this storage\.seal"):
            other.open(name, value)
