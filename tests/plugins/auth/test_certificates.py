"""Keys from an object of X.509 certificates by kid, as Google and Firebase publish."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from gateway_plugin_sdk.testing import InvalidConfigError

NOW = 1_700_000_000
FIREBASE = {"issuer": "https://securetoken.google.com/shop", "audience": "shop", "algorithms": ["RS256"]}


def certificate(key: Any) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "securetoken.system.gserviceaccount.com")])
    day = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, day, day + datetime.timedelta(10000))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def claims(**more: Any) -> dict[str, Any]:
    return {"iss": FIREBASE["issuer"], "aud": "shop", "exp": NOW + 3600, "iat": NOW, **more}


async def test_a_token_is_verified_with_the_certificate_of_its_kid(
    make_gate: Any, key_server: Any, keys: Any, sign: Any
) -> None:
    key_server.documents["/x509"] = json.dumps({"a": certificate(keys.rsa), "b": certificate(keys.other_rsa)})
    gate = await make_gate(FIREBASE, certificates_url=f"{key_server.url}/x509")

    right = await gate.visit(sign(keys.rsa, "RS256", {"kid": "a"}, **claims()))
    swapped = await gate.visit(sign(keys.rsa, "RS256", {"kid": "b"}, **claims()))
    unknown = await gate.visit(sign(keys.rsa, "RS256", {"kid": "c"}, **claims()))

    assert (right.status, right.subject) == (200, "alice")
    assert (swapped.reason, unknown.reason) == ("signature", "unknown-key")


async def test_the_certificates_are_fetched_again_as_cache_control_says(
    make_gate: Any, key_server: Any, keys: Any, sign: Any, until: Any
) -> None:
    key_server.headers = {"Cache-Control": "public, max-age=60, must-revalidate"}
    key_server.documents["/x509"] = json.dumps({"a": certificate(keys.rsa)})
    gate = await make_gate(FIREBASE, certificates_url=f"{key_server.url}/x509")
    old = sign(keys.rsa, "RS256", {"kid": "a"}, **claims())
    assert (await gate.visit(old)).status == 200

    key_server.documents["/x509"] = json.dumps({"b": certificate(keys.other_rsa)})
    gate.clock.advance(59)
    assert (await gate.visit(old)).status == 200
    assert len(key_server.requests) == 1
    gate.clock.advance(2)
    await gate.visit(sign(keys.rsa, "RS256", {"kid": "a"}, **claims(jti="2")))
    document = gate.plugin._providers["jwt"]._keyring._document
    await until(lambda: document.loads == 2 and document._flight is None)

    assert (await gate.visit(sign(keys.other_rsa, "RS256", {"kid": "b"}, **claims()))).status == 200
    assert (await gate.visit(old)).reason == "unknown-key"


async def test_what_is_no_object_of_certificates_does_not_replace_those_that_work(
    make_gate: Any, key_server: Any, keys: Any, sign: Any, until: Any
) -> None:
    key_server.documents["/x509"] = json.dumps({"a": certificate(keys.rsa), "broken": "x"})
    gate = await make_gate(FIREBASE, certificates_url=f"{key_server.url}/x509")
    document = gate.plugin._providers["jwt"]._keyring._document

    for number, text in enumerate(['{"error": {"code": 500}}', "[]", "{}", "<html>", '{"a": 1}', '{"a": "x"}'], 2):
        key_server.documents["/x509"] = text
        gate.clock.advance(901)
        await gate.visit(sign(keys.rsa, "RS256", {"kid": "a"}, **claims(jti=str(number), exp=NOW + 90000)))
        await until(lambda count=number: document.loads >= count and document._flight is None)
        fresh = claims(jti=f"x{number}", exp=NOW + 90000)
        assert (await gate.visit(sign(keys.rsa, "RS256", {"kid": "a"}, **fresh))).status == 200


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"certificates_url": "http://keys.example/x509"}, "not encrypted"),
        ({"certificates_url": "https://keys.example/x509", "algorithms": ["HS256"]}, "needs a secret"),
        ({"certificates_url": "https://keys.example/x509", "jwks_url": "https://keys.example/"}, "exactly one"),
    ],
)
async def test_the_url_is_held_to_what_that_of_a_key_set_is(make_gate: Any, options: Any, problem: str) -> None:
    with pytest.raises(InvalidConfigError, match=problem):
        await make_gate(options)
