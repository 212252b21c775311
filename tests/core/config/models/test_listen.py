from __future__ import annotations

import ssl

import pytest
from gateway_core.config import ClientAddressConfig, GatewayConfig, ListenConfig, ListenTlsConfig
from gateway_core.config.address import ListenAddress
from gateway_core.config.models.listen import openssl_ciphers
from pydantic import ValidationError


def test_text_mapping_or_list_of_either() -> None:
    for written in (":1", {"address": ":1"}, [":1"], [{"address": ":1"}]):
        config = GatewayConfig.model_validate({"listen": written})

        assert [listener.parsed for listener in config.listen] == [ListenAddress("", 1)]


def test_one_listener_is_the_default() -> None:
    assert [listener.address for listener in GatewayConfig().listen] == ["127.0.0.1:8080"]


def test_client_certificates_are_required_when_an_authority_is_given() -> None:
    assert ListenTlsConfig(cert="c", key="k").verifies_clients == "none"
    assert ListenTlsConfig(cert="c", key="k", client_ca="ca").verifies_clients == "required"
    assert ListenTlsConfig(cert="c", key="k", client_ca="ca", client_auth="optional").verifies_clients == "optional"


@pytest.mark.parametrize(
    "tls",
    [
        {},
        {"cert": "c"},
        {"key": "k"},
        {"cert": "c", "key": "k", "client_auth": "required"},
        {"certificates": [{"cert": "c"}]},
    ],
)
def test_incomplete_tls_is_refused(tls: object) -> None:
    with pytest.raises(ValidationError):
        ListenTlsConfig.model_validate(tls)


def test_server_names_may_select_among_certificates() -> None:
    tls = ListenTlsConfig.model_validate({"certificates": [{"cert": "c", "key": "k"}]})

    assert tls.certificates[0].cert == "c"


@pytest.mark.parametrize(
    "value", [{"hops": 1, "header": "x-real-ip"}, {}, {"hops": 0}, {"hops": 65}, {"header": "a b"}]
)
def test_a_clients_address_is_found_in_exactly_one_way(value: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ClientAddressConfig.model_validate(value)


@pytest.mark.parametrize("mode", ["660", "0660", "0777", "0002"])
@pytest.mark.parametrize("owner", ["www-data", "33", "www-data:www-data", "0:33"])
def test_the_mode_of_a_socket_is_octal_and_its_owner_a_name_or_number(mode: str, owner: str) -> None:
    listener = ListenConfig(address="unix:/run/a.sock", mode=mode, owner=owner)

    assert (listener.mode, listener.owner) == (mode, owner)


@pytest.mark.parametrize(
    "change",
    [
        {"mode": 660}, {"mode": "0o660"}, {"mode": "rw"}, {"mode": "0888"}, {"mode": "6"}, {"mode": "00660"},
        {"mode": "000"}, {"mode": "0444"}, {"mode": "0111"}, {"mode": "7777"}, {"mode": "4660"}, {"mode": "1777"},
        {"owner": "4294967295"}, {"owner": "0:99999999999"}, {"owner": "²"}, {"owner": "9" * 5000},
        {"owner": ""}, {"owner": "a:"}, {"owner": ":a"}, {"owner": "a b"}, {"owner": "a:b:c"}, {"owner": 33},
        {"hosts": ["a.test:80"]}, {"hosts": ["http://a.test"]}, {"hosts": ["*"]}, {"default": "no"},
        {"address": "unix:/" + "a" * 107}, {"proxy_protocol": "v1"},
    ],
)  # fmt: skip
def test_listeners_that_cannot_be_opened_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ListenConfig.model_validate({"address": "unix:/run/a.sock", **change})


def test_a_listener_without_trusted_proxies_is_not_one_that_trusts_no_peer() -> None:
    assert ListenConfig(address=":80").trusted_proxies is None
    assert ListenConfig.model_validate({"address": ":80", "trusted_proxies": []}).trusted_proxies == ()


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
