from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from gateway_tokens.algorithms import is_signature
from gateway_tokens.jws import (
    MalformedTokenError,
    decode_object,
    decode_segment,
    described,
    parse_token,
    spellings,
)
from hypothesis import given
from hypothesis import strategies as st


@given(st.binary(max_size=80))
def test_what_an_encoder_writes_is_decoded(data: bytes) -> None:
    assert decode_segment(base64.urlsafe_b64encode(data).rstrip(b"=")) == data


@given(st.binary(max_size=12))
def test_every_text_is_refused_or_the_only_one_of_its_bytes(segment: bytes) -> None:
    try:
        decoded = decode_segment(segment)
    except MalformedTokenError:
        return
    assert base64.urlsafe_b64encode(decoded).rstrip(b"=") == segment


@given(st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text(max_size=5)))
def test_json_objects_are_read_as_json_does(value: dict[str, Any]) -> None:
    assert decode_object(json.dumps(value, ensure_ascii=True).encode()) == value


def test_a_surrogate_pair_is_one_character() -> None:
    assert decode_object(b'{"a":"\\ud83d\\ude00"}') == {"a": "\N{GRINNING FACE}"}
    with pytest.raises(MalformedTokenError):
        decode_object(b'{"a":"\\ude00\\ud83d"}')


def test_a_token_is_taken_apart(b64: Any) -> None:
    head, payload, signature = b64({"alg": "HS256", "kid": "k", "x": 1}), b64({"sub": "a"}), b64(b"\x01\x02")

    token = parse_token(f"{head}.{payload}.{signature}")

    assert (token.algorithm, token.key_id, token.header["x"]) == ("HS256", "k", 1)
    assert token.claims == {"sub": "a"}
    assert token.signing_input == f"{head}.{payload}".encode()
    assert (token.signature, token.payload) == (b"\x01\x02", payload.encode())


@given(st.text(max_size=60) | st.lists(st.text("ABCx_-=.", max_size=8), max_size=6).map(".".join))
def test_nothing_but_a_malformed_token_is_raised(text: str) -> None:
    with pytest.raises(MalformedTokenError):
        parse_token(text)


@pytest.mark.parametrize("opening", ['{"a":', "["])
def test_nesting_is_bounded_below_what_any_reader_takes(opening: str) -> None:
    closing = {"[": "]"}.get(opening, "}")

    for depth in (10, 63, 64, 200, 900, 5000):
        text = ('{"x":' + opening * (depth - 1) + "1" + closing * (depth - 1) + "}").encode()
        if depth <= 64:
            assert decode_object(text)
        else:
            with pytest.raises(MalformedTokenError):
                decode_object(text)


def test_a_token_is_described_in_one_bounded_line(b64: Any) -> None:
    claims = {"iss": "a\r\nb", "aud": ["x" * 1000], "exp": 5, "sub": "hush"}
    token = parse_token(f"{b64({'alg': 'HS256', 'kid': '../k'})}.{b64(claims)}.{b64(b'x')}")

    text = described(token)

    assert text.startswith("alg='HS256' kid='../k' iss='a\\r\\nb' aud=['xxx")
    assert text.endswith(" exp=5")
    assert len(text) < 200
    assert "hush" not in text


@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=3), st.binary(min_size=1, max_size=40))
def test_a_padded_token_has_one_spelling_and_its_padding_is_signed(claims: dict[str, int], signature: bytes) -> None:
    parts = [json.dumps({"alg": "ES256"}).encode(), json.dumps(claims).encode(), signature]
    segments = [base64.urlsafe_b64encode(part) for part in parts]
    text = b".".join(segments).decode()

    token = parse_token(text, is_padded=True)

    assert (token.claims, token.signature) == (claims, signature)
    assert token.signing_input == b".".join(segments[:2])
    for index, segment in enumerate(segments):
        others = [segment + b"=", b"=" + segment, *([segment.rstrip(b"=")] if segment.endswith(b"=") else [])]
        for other in others:
            changed = b".".join([*segments[:index], other, *segments[index + 1 :]]).decode()
            with pytest.raises(MalformedTokenError):
                parse_token(changed, is_padded=True)


@pytest.mark.parametrize(
    ("name", "algorithm"), [("p256", "ES256"), ("p384", "ES384"), ("p521", "ES512")], ids=["p256", "p384", "p521"]
)
@pytest.mark.parametrize("is_padded", [False, True])
def test_a_signature_of_ecdsa_has_another_spelling(keys: Any, name: str, algorithm: str, is_padded: bool) -> None:
    key = getattr(keys, name)
    text = jwt.encode({"sub": "alice"}, key, algorithm)
    if is_padded:
        text = ".".join(part + "=" * (-len(part) % 4) for part in text.split("."))
        signed = text.rpartition(".")[0]
        made = jwt.algorithms.get_default_algorithms()[algorithm].sign(signed.encode(), key)
        text = f"{signed}.{base64.urlsafe_b64encode(made).decode()}"
    token = parse_token(text, is_padded=is_padded)

    mine, other = spellings(token, text)

    assert mine == text != other
    again = parse_token(other, is_padded=is_padded)
    assert is_signature(algorithm, key.public_key(), again.signing_input, again.signature)
    assert set(spellings(again, other)) == {text, other}


def test_other_signatures_have_one_spelling(keys: Any) -> None:
    for key, algorithm in ((keys.rsa, "RS256"), (keys.ed25519, "EdDSA"), ("s" * 32, "HS256")):
        text = jwt.encode({"sub": "alice"}, key, algorithm)

        assert spellings(parse_token(text), text) == (text,)
