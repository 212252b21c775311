from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote

import pytest
from gateway_plugin_auth.client_certificates import presented_thumbprint
from gateway_plugin_sdk import Request, TlsInfo
from gateway_tokens.confirmation import certificate_thumbprint

DER = b"\x30\x82certificate" * 20
MINE = certificate_thumbprint(DER)
TEXT = base64.b64encode(DER).decode()
LINES = "\n".join(TEXT[start : start + 64] for start in range(0, len(TEXT), 64))
PEM = f"-----BEGIN CERTIFICATE-----\n{LINES}\n-----END CERTIFICATE-----\n"
HASH = hashlib.sha256(DER).hexdigest()


def in_field(value: str, header: str = "Client-Cert") -> str | None:
    return presented_thumbprint(Request("GET", "/", {header: value}), header)


@pytest.mark.parametrize(
    "value", [TEXT, f":{TEXT}:", quote(TEXT, safe=""), quote(PEM), quote(PEM.strip()), PEM.replace("\n", " ")]
)
def test_a_certificate_is_read_as_proxies_write_it(value: str) -> None:
    assert in_field(value) == MINE


@pytest.mark.parametrize(
    "value", ["", ":", "::", ":x:", "-----BEGIN CERTIFICATE-----", "x" * 40000, f"{TEXT}, {TEXT}", "%"]
)
def test_what_is_no_certificate_is_none(value: str) -> None:
    assert in_field(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"Hash={HASH}", MINE), (f'By=spiffe://a;Hash={HASH.upper()};Subject="CN=a,O=b";URI=x', MINE),
        (f'Hash={HASH};Subject="CN=\\"a\\", b"', MINE), (f"Hash={HASH},Hash={HASH}", None), ("By=x", None),
        (f'By=x;Subject="CN=a;Hash={HASH};"', None), (f'Subject="CN=a;Hash={"0" * 64}";Hash={HASH}', MINE),
        (f'Subject="CN=\\";Hash={HASH};"', None), (f'Hash={HASH};Subject="CN=a', None),
        (f"Hash={HASH};Hash={'0' * 64}", None), (f"Hash={HASH[1:]}", None), ("", None), ("Hash=", None),
    ],
)  # fmt: skip
def test_envoys_field_has_one_element_with_a_hash(value: str, expected: str | None) -> None:
    assert in_field(value, "X-Forwarded-Client-Cert") == expected


def test_two_fields_are_none() -> None:
    request = Request("GET", "/", [("Client-Cert", TEXT), ("client-cert", TEXT)])

    assert presented_thumbprint(request, "Client-Cert") is None


def test_with_a_field_the_certificate_of_the_connection_does_not_count() -> None:
    tls = TlsInfo("TLSv1.3", "x", {"subject": ()}, DER)
    request = Request("GET", "/", {}, tls=tls)

    assert presented_thumbprint(request, None) == MINE
    assert presented_thumbprint(request, "Client-Cert") is None
    assert presented_thumbprint(Request("GET", "/"), None) is None
