from __future__ import annotations

import ssl

import pytest
from gateway_core.config.ciphers import openssl_ciphers


@pytest.mark.parametrize(
    "value",
    ["HIGH", "ALL", "DEFAULT", "ECDHE+AESGCM:ECDHE+CHACHA20", "HIGH:!aNULL:!MD5", "ECDHE-RSA-AES128-GCM-SHA256",
     "aNULL:HIGH", "ALL:@SECLEVEL=0", "HIGH:!NoSuchCipherToExclude"],
)  # fmt: skip
def test_no_list_selects_ciphers_without_authentication_or_encryption(value: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    context.set_ciphers(openssl_ciphers(value))

    for cipher in context.get_ciphers():
        assert cipher["auth"] != "auth-null"
        assert cipher["strength_bits"] > 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("HIGH:BOGUS", '"BOGUS" is no cipher of TLS 1.2: use names'),
        ("ECDHE-RSA-AES128-GCM-SHA265", '"ECDHE-RSA-AES128-GCM-SHA265" is no cipher'),
        ("HIGH:TLS_AES_128_GCM_SHA256", "TLS 1.3 has suites of its own"),
        ("aNULL", "leaves no cipher"),
        ("HIGH:!ALL", "leaves no cipher"),
        ("@STRENGTH", "leaves no cipher"),
        (" : ", "leaves no cipher"),
    ],
)
def test_a_list_that_names_what_is_none_is_refused(value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        openssl_ciphers(value)
