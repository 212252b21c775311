"""Tokens that must not pass, whatever they try; each is refused with 401 or 403, never with an error of ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CLAIMS = {"sub": "alice"}


def segment(data: Any) -> str:
    if isinstance(data, dict | list):
        data = json.dumps(data, separators=(",", ":"))
    raw = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forge(header: Any, claims: Any, key: bytes = b"", digest: str = "sha256") -> str:
    """Return a token with an HMAC over exactly these texts."""
    signing_input = f"{segment(header)}.{segment(claims)}"
    return f"{signing_input}.{segment(hmac.new(key, signing_input.encode(), digest).digest())}"


def unsigned(header: Any, claims: Any, signature: bytes = b"") -> str:
    return f"{segment(header)}.{segment(claims)}.{segment(signature)}"


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", " ", "none\0", "HS256 ", "hs256", "HS255", "HS1"])
async def test_algorithms_that_are_none_or_unknown(make_gate: Any, secret: str, name: str) -> None:
    gate = await make_gate(secret=secret)

    for token in (
        unsigned({"alg": name}, CLAIMS),
        unsigned({"alg": name}, CLAIMS, b"x"),
        forge({"alg": name}, CLAIMS, secret.encode()),
    ):
        assert (await gate.visit(token)).status == 401


@pytest.mark.parametrize("value", [None, 5, True, [], ["HS256"], {}, {"HS256": 1}])
async def test_algorithms_that_are_no_text(make_gate: Any, secret: str, value: object) -> None:
    gate = await make_gate(secret=secret)

    assert (await gate.visit(forge({"alg": value}, CLAIMS, secret.encode()))).reason == "malformed"
    assert (await gate.visit(forge({}, CLAIMS, secret.encode()))).reason == "malformed"


async def test_a_public_key_is_not_taken_for_a_secret(make_gate: Any, keys: Any) -> None:
    pem = keys.pem(keys.rsa)
    gates = [
        await make_gate(public_key=pem),
        await make_gate(public_key=pem, algorithms=["RS256", "HS256"]),
        await make_gate(jwks={"keys": [keys.jwk(keys.rsa)]}),
        await make_gate(jwks={"keys": [keys.jwk(keys.rsa, alg="RS256")]}, algorithms=["RS256", "HS256"]),
    ]
    texts = [pem, pem.strip(), pem + "\n", pem.replace("\n", "\r\n"), json.dumps(keys.jwk(keys.rsa))]

    for gate in gates:
        for text in texts:
            for digest, name in (("sha256", "HS256"), ("sha512", "HS512")):
                assert (await gate.visit(forge({"alg": name}, CLAIMS, text.encode(), digest))).reason == "algorithm"


async def test_a_key_that_the_token_brings_is_not_used(make_gate: Any, secret: str, keys: Any) -> None:
    attacker = keys.other_rsa
    gates = [await make_gate(secret=secret), await make_gate(public_key=keys.pem(keys.rsa))]
    gates.append(await make_gate(jwks={"keys": [keys.jwk(keys.rsa, kid="k")]}))
    headers: list[dict[str, Any]] = [
        {"jwk": keys.jwk(attacker)},
        {"jwk": keys.jwk(attacker, kid="k"), "kid": "k"},
        {"jku": "http://127.0.0.1:1/jwks"},
        {"x5u": "http://127.0.0.1:1/cert"},
        {"x5c": ["MIIB"]},
        {"x5t": "a"},
    ]

    for gate in gates:
        for header in headers:
            assert (await gate.visit(jwt.encode(CLAIMS, attacker, "RS256", header))).status == 401


@pytest.mark.parametrize(
    "kid",
    ["../../../../dev/null", "' OR 1=1 --", "k\0", "", "K", "k ", "/etc/passwd", "http://127.0.0.1:1/", "k" * 5000],
)
async def test_key_ids_are_only_compared(make_gate: Any, keys: Any, kid: str) -> None:
    gate = await make_gate(jwks={"keys": [keys.jwk(keys.rsa, kid="k")]})

    assert (await gate.visit(jwt.encode(CLAIMS, keys.rsa, "RS256", {"kid": kid}))).reason == "unknown-key"
    assert (await gate.visit(forge({"alg": "HS256", "kid": kid}, CLAIMS, b""))).status == 401


@pytest.mark.parametrize("kid", [5, None, True, ["k"], {"k": 1}])
async def test_key_ids_that_are_no_text(make_gate: Any, secret: str, kid: object) -> None:
    gate = await make_gate(secret=secret)

    visit = await gate.visit(forge({"alg": "HS256", "kid": kid}, CLAIMS, secret.encode()))

    assert visit.status == (200 if kid is None else 401)


@pytest.mark.parametrize(
    "members",
    [
        {"crit": ["exp"]}, {"crit": []}, {"crit": None}, {"crit": "b64"}, {"crit": [5]}, {"crit": ["b64"], "b64": True},
        {"crit": ["b64"], "b64": False}, {"b64": False}, {"b64": True}, {"crit": ["http://example.com/UNDEFINED"]},
    ],
)  # fmt: skip
async def test_extensions_that_must_be_understood(make_gate: Any, secret: str, members: dict[str, Any]) -> None:
    gate = await make_gate(secret=secret)

    assert (await gate.visit(forge({"alg": "HS256", **members}, CLAIMS, secret.encode()))).reason == "malformed"


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
async def test_psychic_signatures(make_gate: Any, keys: Any, algorithm: str) -> None:
    key, size = {"ES256": (keys.p256, 32), "ES384": (keys.p384, 48), "ES512": (keys.p521, 66)}[algorithm]
    gate = await make_gate(public_key=keys.pem(key))
    numbers = key.private_numbers().public_numbers
    order = {
        32: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        48: 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
        66: int("1FF" + "F" * 63 + "A51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409", 16),
    }[size]
    values = [0, 1, order - 1, order, order + 1, numbers.x, (1 << 8 * size) - 1]

    assert (await gate.visit(jwt.encode(CLAIMS, key, algorithm))).status == 200
    for r in values:
        for s in values:
            raw = (r % (1 << 8 * size)).to_bytes(size, "big") + (s % (1 << 8 * size)).to_bytes(size, "big")
            assert (await gate.visit(unsigned({"alg": algorithm}, CLAIMS, raw))).reason == "signature"


async def test_ecdsa_signatures_of_another_form(make_gate: Any, keys: Any) -> None:
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    gate = await make_gate(public_key=keys.pem(keys.p256))
    signing_input, _, encoded = jwt.encode(CLAIMS, keys.p256, "ES256").rpartition(".")
    raw = base64.urlsafe_b64decode(encoded + "==")
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    forms = [encode_dss_signature(r, s), raw[:63], raw + b"\0", b"\0" + raw, raw[:32], raw * 2, b"\0" * 64, b"x"]

    for form in forms:
        assert (await gate.visit(f"{signing_input}.{segment(form)}")).reason == "signature"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "EdDSA", "HS256"])
async def test_signatures_that_are_changed_cut_or_extended(
    make_gate: Any, keys: Any, secret: str, sign: Any, algorithm: str
) -> None:
    key = {"RS256": keys.rsa, "PS256": keys.rsa, "EdDSA": keys.ed25519, "HS256": secret}[algorithm]
    source = {"secret": secret} if algorithm == "HS256" else {"public_key": keys.pem(key)}
    gate = await make_gate(algorithms=[algorithm], **source)
    signing_input, _, encoded = sign(key, algorithm).rpartition(".")
    raw = base64.urlsafe_b64decode(encoded + "==")
    changed = [bytes([raw[0] ^ 1]) + raw[1:], raw[:-1] + bytes([raw[-1] ^ 1]), raw[:-1], raw + b"\0", b"\0" * len(raw)]

    assert (await gate.visit(f"{signing_input}.{encoded}")).status == 200
    for form in changed:
        assert (await gate.visit(f"{signing_input}.{segment(form)}")).reason == "signature"


async def test_one_algorithm_is_not_taken_for_another_of_the_same_key(make_gate: Any, keys: Any) -> None:
    gate = await make_gate(public_key=keys.pem(keys.rsa), algorithms=["RS256"])
    good = jwt.encode(CLAIMS, keys.rsa, "RS256")
    _, claims, signature = good.split(".")

    for name in ("RS384", "RS512", "PS256", "PS384", "PS512"):
        assert (await gate.visit(jwt.encode(CLAIMS, keys.rsa, name))).reason == "algorithm"
        assert (await gate.visit(f"{segment({'alg': name})}.{claims}.{signature}")).reason == "algorithm"


def odd_texts(token: str) -> list[str]:
    """Other spellings of a token that a lenient decoder reads as the same."""
    head, claims, signature = token.split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    stray = signature[:-1] + last[last.index(signature[-1]) ^ 1]
    return [
        f"{head}.{claims}.{signature}=", f"{head}==.{claims}.{signature}", f"{head}.{claims}=.{signature}",
        f"{head}.{claims}.{stray}", f"{head}.{claims}.{signature}\n", f"{head}.{claims}.{signature} ",
        f"{head}.{claims}.{signature[:5]} {signature[5:]}", f"{head}.{claims}.{signature[:5]}\t{signature[5:]}",
        f"{head}.{claims}.{signature[:5]}!{signature[5:]}", f"{head}.{claims}.{signature}.",
        f".{head}.{claims}.{signature}",
        f"{head}.{claims}.{signature}.{signature}", f"{head}.{claims}.", f"{head}..{signature}",
        f".{claims}.{signature}",
        f"{head}.{claims}", head, ".", "..", "...", f"{head}.{claims}.{signature},{token}",
        f"{head}%2E{claims}.{signature}",
        f"{head}.{claims}.{signature.replace('-', '+').replace('_', '/')}+", f"{head}.{claims}.é", f"\ufeff{token}",
        f"{head}.{claims}.{signature}A", f"{head}.{claims}.{signature[:-1]}", '"' + token + '"',
    ]  # fmt: skip


@pytest.mark.parametrize("index", range(28))
async def test_odd_spellings_of_a_good_token(make_gate: Any, secret: str, sign: Any, index: int) -> None:
    gate = await make_gate(secret=secret, token_from=[{"query": "t"}])
    token = sign()
    import urllib.parse

    good = await gate.visit(target=f"/?t={token}")
    odd = await gate.visit(target="/?t=" + urllib.parse.quote(odd_texts(token)[index], safe=""))

    assert good.status == 200
    assert odd.status == 401


HEADER = '{"alg":"HS256"}'


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ('{"alg":"HS256","alg":"HS256"}', '{"sub":"a"}'),
        ('{"alg":"none","alg":"HS256"}', '{"sub":"a"}'),
        (HEADER, '{"sub":"a","sub":"b"}'),
        (HEADER, '{"sub":"a","x":{"y":1,"y":2}}'),
        (HEADER, '{"sub":"a","\\u0073ub":"b"}'),
        (HEADER, '{"exp":1e999}'), (HEADER, '{"exp":NaN}'), (HEADER, '{"exp":Infinity}'), (HEADER, '{"x":-Infinity}'),
        (HEADER, '{"exp":"9999999999"}'), (HEADER, '{"exp":true}'), (HEADER, '{"exp":null}'), (HEADER,
        '{"exp":[9999999999]}'),
        (HEADER, '{"exp":-1}'), (HEADER, '{"exp":1%s}' % ("0" * 400)), (HEADER, '{"iat":-1%s}' % ("0" * 400)),
        (HEADER, '{"exp":0}'), (HEADER, '{"exp":-1e300}'), (HEADER, '{"nbf":1e300}'),
        (HEADER, '{"nbf":"0"}'), (HEADER, '{"nbf":false}'), (HEADER, '{"iat":"x"}'), (HEADER, '{"iat":99999999999}'),
        (HEADER, '{"sub":5}'), (HEADER, '{"sub":null}'), (HEADER, '{"sub":["a"]}'), (HEADER, '{"iss":[]}'),
        (HEADER, '{"iss":{"a":1}}'), (HEADER, '{"aud":5}'), (HEADER, '{"aud":[5]}'), (HEADER, '{"aud":{}}'),
        (HEADER, '{"aud":null}'), (HEADER, '{"jti":5}'), (HEADER, '{"sub":"\\ud800"}'), (HEADER, '{"x":"\\udfff"}'),
        (HEADER, '{"\\ud800":1}'), (HEADER, "[]"), (HEADER, '"x"'), (HEADER, "5"), (HEADER, "null"), (HEADER, ""),
        (HEADER, "{"), (HEADER, "{}{}"), (HEADER, '{"a":1,}'), (HEADER, "{'a':1}"), (HEADER,
        '{"x":' + "9" * 5000 + "}"),
        (HEADER, '{"x":' + "[" * 5000 + "]" * 5000 + "}"),
        ('{"alg":"HS256","x":' + '{"a":' * 900 + "1" + "}" * 901, "{}"),
        ("[]", "{}"), ('"HS256"', "{}"), ("null", "{}"), ("{", "{}"), ('{"alg":"HS256"}\0', "{}"),
        ('\ufeff{"alg":"HS256"}', "{}"), (HEADER.encode("utf-16"), "{}"), (HEADER, '{"sub":"a"}'.encode("utf-16")),
        (b'{"alg":"HS256","x":"\xff"}', "{}"), (HEADER, b'{"sub":"\xc3\x28"}'), (HEADER, b'{"sub":"\xed\xa0\x80"}'),
    ],
)  # fmt: skip
async def test_documents_that_are_signed_well_but_odd(
    make_gate: Any, secret: str, header: str | bytes, claims: str | bytes
) -> None:
    gate = await make_gate(secret=secret)

    assert (await gate.visit(forge(header, claims, secret.encode()))).status == 401


async def test_very_long_tokens_are_refused_unread(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret)

    for token in ("a" * 1_000_000, "." * 1_000_000, "a." * 500_000, sign(x="y" * 1_000_000)):
        assert (await gate.visit(token)).reason in {"too-large", "malformed"}
    assert (await gate.visit(sign(x="y" * 5_000))).status == 200


async def test_a_token_that_is_there_twice_is_refused(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret, token_from=[{"cookie": "t"}, {"query": "t"}, {"header": "X-T"}])
    good = sign()

    twice: list[dict[str, Any]] = [
        {"headers": {"Cookie": f"t={good}; t={good}"}},
        {"headers": [("Cookie", f"t={good}"), ("Cookie", "t=x")]},
        {"target": f"/?t={good}&t=x"},
        {"target": f"/?t={good}&%74={good}"},
        {"headers": [("X-T", good), ("x-t", good)]},
        {"target": "/?" + "a&" * 2000 + f"t={good}"},
    ]
    for request in twice:
        assert (await gate.visit(**request)).reason == "ambiguous"
    bearer = await make_gate(secret=secret)
    assert (await bearer.visit(good, headers={"authorization": "Basic eDp5"})).reason == "ambiguous"


async def test_a_token_that_is_encrypted_or_nested_is_refused(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret)
    inner = sign()

    assert (await gate.visit(f"{inner}.a.b")).status == 401
    assert (await gate.visit(forge({"alg": "HS256", "cty": "JWT"}, inner, secret.encode()))).status == 401
    assert (await gate.visit(json.dumps({"payload": inner, "signatures": []}))).status == 401


async def test_a_good_token_does_not_open_the_door_for_a_bad_one(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret, leeway=0)
    good = sign(sub="alice", exp=int(gate.clock.wall()) + 60)
    head, _, signature = good.split(".")
    other = segment({"sub": "root", "exp": int(gate.clock.wall()) + 60})

    assert (await gate.visit(good)).status == 200
    assert (await gate.visit(f"{head}.{other}.{signature}")).reason == "signature"
    assert (await gate.visit(f"{head}.{other}.{signature}")).reason == "signature"
    assert (await gate.visit(good)).status == 200
    gate.clock.advance(60)
    assert (await gate.visit(good)).reason == "expired"


SENT = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200).map(lambda data: data.decode("latin-1")),
    st.lists(st.binary(max_size=60).map(segment), min_size=1, max_size=5).map(".".join),
    st.tuples(
        st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "x"]), st.sampled_from(
            ["HS256", "none", "RS256", 5, None, True, [], {}, "", "\ud800"])),
        st.dictionaries(st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "iss", "jti", "scope"]), st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
            st.lists(st.text(max_size=3), max_size=2))),
    ).map(lambda pair: forge(pair[0], pair[1], b"k")),
)  # fmt: skip


def test_nothing_that_is_sent_raises_or_passes(sync_gate: Callable[..., Any]) -> None:
    gate = sync_gate(secret=hashlib.sha256(b"secret").hexdigest(), scopes={"all": ["x"]})

    @given(SENT)
    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    def check(text: str) -> None:
        assert gate("Bearer " + text.encode("utf-8", "surrogatepass").decode("latin-1")) in {401, 403}

    check()


def test_whatever_is_signed_is_judged_and_never_raises(sync_gate: Callable[..., Any]) -> None:
    gate = sync_gate(
        secret="k" * 32, issuer="i", audience=["a", "b"], audience_match="all", max_age="1h", roles={"any": ["r"]}
    )
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    )
    names = st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "iss", "jti", "roles", "x"]) | st.text(max_size=4)

    @given(st.dictionaries(names, values, max_size=8))
    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    def check(claims: dict[str, Any]) -> None:
        assert gate("Bearer " + forge({"alg": "HS256"}, claims, b"k" * 32)) in {200, 401, 403}

    check()
