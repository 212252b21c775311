"""Proofs that are right, and every way in which one can be wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from gateway_tokens.dpop import Expected, Proof, ProofError, ProofVerifier, key_thumbprint
from hypothesis import given
from hypothesis import strategies as st

from tests.plugins.tokens.proofs import NOW, Prover, b64, jwk_of

URI = "https://api.example.com/orders"
TOKEN = "head.claims.signature"
ALGORITHMS = ["ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA"]
PROVER = Prover()
OTHER = Prover()
CODES = {"", *(f"dpop-{what}" for what in (
    "malformed", "type", "algorithm", "key", "thumbprint", "signature", "claims", "method", "uri", "token", "expired",
    "early",
))}  # fmt: skip
ONE_PROOF = PROVER.proof(TOKEN, URI)


def verify(text: str, prover: Prover = PROVER, **changes: Any) -> Proof:
    values = {"method": "GET", "uri": URI, "token": TOKEN, "thumbprint": prover.jkt, **changes}
    return ProofVerifier(ALGORITHMS, 60, 5).verify(text, Expected(**values), NOW)


def code_of(text: str, **changes: Any) -> str:
    with pytest.raises(ProofError) as error:
        verify(text, **changes)
    return error.value.code


def test_the_example_of_the_rfc_is_right() -> None:
    proof = (  # RFC 9449 section 7.1, figure 13
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0Rsc"
        "EJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
        ".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0Z"
        "WRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9"
        ".2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
    )
    uri, token = "https://resource.example.org/protectedresource", "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    expected = Expected("GET", uri, token, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")

    found = ProofVerifier(["ES256"], 60, 5).verify(proof, expected, 1562262620)

    assert found == Proof("e1j3V_bKic8-LAEB", 1562262618.0, None)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ES256"), (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (ec.generate_private_key(ec.SECP521R1()), "ES512"), (rsa.generate_private_key(65537, 2048), "RS256"),
        (rsa.generate_private_key(65537, 2048), "PS256"), (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
        (ed448.Ed448PrivateKey.generate(), "EdDSA"),
    ],
)  # fmt: skip
def test_every_kind_of_key_proves(key: Any, algorithm: str) -> None:
    prover = Prover(key, algorithm)

    assert verify(prover.proof(TOKEN, URI, nonce="n"), prover).nonce == "n"


def test_a_key_that_proved_before_proves_again_and_no_other_in_its_place() -> None:
    verifier, expected = ProofVerifier(ALGORITHMS, 60, 5), Expected("GET", URI, TOKEN, PROVER.jkt)
    verifier.verify(PROVER.proof(TOKEN, URI), expected, NOW)

    assert verifier.verify(PROVER.proof(TOKEN, URI, jti="again"), expected, NOW).id == "again"
    with pytest.raises(ProofError, match="not the one"):
        verifier.verify(PROVER.proof(TOKEN, URI), Expected("GET", URI, TOKEN, OTHER.jkt), NOW)
    head, claims, _ = PROVER.proof(TOKEN, URI).split(".")
    with pytest.raises(ProofError) as error:
        verifier.verify(f"{head}.{claims}.{OTHER.proof(TOKEN, URI).split('.')[2]}", expected, NOW)
    assert error.value.code == "dpop-signature"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"jti": None}, "dpop-claims"), ({"jti": ""}, "dpop-claims"), ({"jti": 7}, "dpop-claims"),
        ({"jti": "x" * 513}, "dpop-claims"), ({"htm": None}, "dpop-claims"), ({"htm": "POST"}, "dpop-method"),
        ({"htm": "get"}, "dpop-method"), ({"htm": ["GET"]}, "dpop-method"), ({"htu": None}, "dpop-claims"),
        ({"htu": 1}, "dpop-claims"), ({"htu": ""}, "dpop-uri"), ({"htu": "/orders"}, "dpop-uri"),
        ({"htu": "http://api.example.com/orders"}, "dpop-uri"), ({"htu": URI + "/"}, "dpop-uri"),
        ({"htu": "https://api.example.com.evil.example/orders"}, "dpop-uri"), ({"htu": URI + "%2F"}, "dpop-uri"),
        ({"htu": "https://api.example.com@evil.example/orders"}, "dpop-uri"), ({"htu": URI + "\n"}, "dpop-uri"),
        ({"htu": "https://api.example.com:444/orders"}, "dpop-uri"), ({"iat": None}, "dpop-claims"),
        ({"iat": "now"}, "dpop-claims"), ({"iat": True}, "dpop-claims"), ({"iat": NOW - 66}, "dpop-expired"),
        ({"iat": NOW + 6}, "dpop-early"), ({"iat": -1e300}, "dpop-claims"), ({"exp": NOW - 6}, "dpop-expired"),
        ({"nbf": NOW + 6}, "dpop-early"), ({"ath": None}, "dpop-claims"), ({"ath": ""}, "dpop-token"),
        ({"ath": b64(b"0" * 32)}, "dpop-token"), ({"ath": ["x"]}, "dpop-claims"), ({"ath": "ü"}, "dpop-token"),
    ],
)  # fmt: skip
def test_a_proof_of_something_else_is_refused(changes: dict[str, Any], code: str) -> None:
    assert code_of(PROVER.proof(TOKEN, URI, **changes)) == code


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({"typ": None}, "dpop-type"), ({"typ": "JWT"}, "dpop-type"), ({"typ": "at+jwt"}, "dpop-type"),
        ({"typ": ["dpop+jwt"]}, "dpop-type"), ({"alg": None}, "dpop-malformed"), ({"alg": "none"}, "dpop-algorithm"),
        ({"alg": "HS256"}, "dpop-algorithm"), ({"alg": "ES256K"}, "dpop-algorithm"),
        ({"alg": "RS512"}, "dpop-algorithm"),
        ({"alg": "ES384"}, "dpop-key"), ({"alg": "RS256"}, "dpop-key"), ({"jwk": None}, "dpop-key"),
        ({"jwk": "x"}, "dpop-key"), ({"jwk": {}}, "dpop-key"), ({"jwk": {"kty": "oct", "k": "c2VjcmV0"}}, "dpop-key"),
        ({"jwk": {"kty": ["EC"]}}, "dpop-key"), ({"jwk": {**jwk_of(PROVER.key), "d": "AQ"}}, "dpop-key"),
        ({"jwk": {**jwk_of(PROVER.key), "x": 1}}, "dpop-key"), ({"jwk": {**jwk_of(PROVER.key), "k": ""}}, "dpop-key"),
        ({"jwk": jwk_of(OTHER.key)}, "dpop-thumbprint"), ({"jwk": {**jwk_of(PROVER.key), "x": ""}}, "dpop-thumbprint"),
        ({"crit": ["exp"]}, "dpop-malformed"), ({"b64": False}, "dpop-malformed"), ({"kid": 1}, "dpop-malformed"),
    ],
)  # fmt: skip
def test_a_header_that_no_proof_has_is_refused(header: dict[str, Any], code: str) -> None:
    assert code_of(PROVER.proof(TOKEN, URI, header=header)) == code


def test_every_private_member_is_refused() -> None:
    for name in ("d", "p", "q", "dp", "dq", "qi", "oth", "k"):
        assert code_of(PROVER.proof(TOKEN, URI, header={"jwk": {**jwk_of(PROVER.key), name: "AQ"}})) == "dpop-key"


@pytest.mark.parametrize("text", ["", ".", "..", "a.b", "a.b.c.d", "ü.b.c", "=.=.=", "e30.e30.", "x" * 9000])
def test_what_is_no_jws_is_malformed(text: str) -> None:
    assert code_of(text) == "dpop-malformed"


def test_a_key_that_is_too_weak_or_on_another_curve_is_refused_although_the_token_names_it() -> None:
    small = Prover(rsa.generate_private_key(65537, 1024), "RS256")
    other_curve = Prover(ec.generate_private_key(ec.SECP256K1()), "ES256")

    assert code_of(small.proof(TOKEN, URI), thumbprint=small.jkt) == "dpop-key"
    assert code_of(other_curve.proof(TOKEN, URI), thumbprint=other_curve.jkt) == "dpop-key"


def test_another_spelling_of_the_uri_is_the_same_one() -> None:
    for uri in ("HTTPS://API.example.com:443/%6frders", URI + "?a=b#c", "https://api.example.com/x/../orders"):
        verify(PROVER.proof(TOKEN, uri))
    verify(PROVER.proof(TOKEN, URI), uri="https://API.example.com:443/orders")


def test_a_request_whose_uri_is_none_has_no_proof() -> None:
    assert code_of(PROVER.proof(TOKEN, "https://a b/"), uri="https://a c/") == "dpop-uri"


def test_a_proof_is_accepted_for_its_time_and_the_difference_of_clocks() -> None:
    for iat in (NOW - 65, NOW, NOW + 5, NOW - 0.5):
        assert verify(PROVER.proof(TOKEN, URI, iat=iat)).issued == iat


@given(st.data())
def test_no_change_of_any_character_leaves_a_proof_right(data: st.DataObject) -> None:
    text = ONE_PROOF
    place = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.characters(min_codepoint=0, max_codepoint=255).filter(lambda each: each != text[place]))

    assert code_of(text[:place] + character + text[place + 1 :]).startswith("dpop-")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
_names = st.sampled_from(["jti", "htm", "htu", "iat", "ath", "exp", "nbf", "typ", "alg", "jwk", "kid", "crit"])


@given(st.dictionaries(_names, _json, max_size=4), st.dictionaries(_names, _json, max_size=4))
def test_whatever_a_proof_has_in_it_the_verdict_is_a_proof_or_a_code(header: Any, claims: Any) -> None:
    head, body = {**PROVER.header(), **header}, {**PROVER.claims(TOKEN, URI), **claims}
    text = PROVER.signed(json.dumps(head).encode(), json.dumps(body).encode())

    verdict = ""
    try:
        verify(text)
    except ProofError as error:
        verdict = error.code
    assert verdict in CODES


def test_thumbprints_are_those_of_rfc_7638_and_rfc_8037() -> None:
    rsa_key = {
        "kty": "RSA", "alg": "RS256", "kid": "2011-04-29", "e": "AQAB",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjB"
             "ZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8"
             "KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_"
             "xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    }  # fmt: skip
    ed_key = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}

    assert key_thumbprint(rsa_key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert key_thumbprint(ed_key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
