"""Tokens of AWS's Application Load Balancers, with keys from a real server."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from gateway_core.config import Document
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load
from gateway_plugin_auth.alb import is_key_id
from gateway_plugin_sdk.testing import InvalidConfigError, one_route
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_700_000_000.0
ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/shop/50dc6c495c0c9188"
OTHER_ARN = ARN.replace("123456789012", "210987654321")
KID = "c2f80c8b-c05c-4068-af14-17299f7896b1"
ISSUER = "https://login.example.com"


def padded(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).decode()


def sign_padded(key: ec.EllipticCurvePrivateKey, header: Any = None, claims: Any = None) -> str:
    """Sign as an Application Load Balancer does: base64url, and the padding is signed."""
    fields = {"typ": "JWT", "kid": KID, "alg": "ES256", "iss": ISSUER, "client": "c", "signer": ARN, "exp": NOW + 120}
    text = f"{padded({**fields, **(header or {})})}.{padded({'sub': 'alice', **(claims or {})})}"
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{padded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


@pytest.fixture
def make_alb(make_gate: Any, key_server: Any, keys: Any) -> Any:
    key_server.documents[f"/{KID}"] = keys.pem(keys.p256)

    async def make(**options: Any) -> Any:
        return await make_gate(aws_alb={"signer": ARN, "keys_url": key_server.url}, issuer=ISSUER, **options)

    return make


async def send(gate: Any, token: str, **options: Any) -> Any:
    return await gate.visit(headers={"x-amzn-oidc-data": token}, **options)


async def test_a_padded_token_of_the_signer_passes_and_its_key_is_fetched_once(
    make_alb: Any, key_server: Any, keys: Any
) -> None:
    gate = await make_alb()
    tokens = [sign_padded(keys.p256, claims={"sub": name, "email": "a" * index}) for index, name in enumerate("abcd")]

    visits = [await send(gate, token) for token in tokens * 2]

    assert [visit.subject for visit in visits] == [*"abcd"] * 2
    assert [request.path for request in key_server.requests] == [f"/{KID}"]


@pytest.mark.parametrize("signer", [OTHER_ARN, ARN.lower().replace("shop", "Shop"), "", None, [ARN]])
async def test_a_token_of_any_other_signer_is_refused_before_a_key_is_looked_up(
    make_alb: Any, key_server: Any, keys: Any, signer: Any
) -> None:
    gate = await make_alb()

    visit = await send(gate, sign_padded(keys.p256, {"signer": signer}))

    assert (visit.status, visit.reason) == (401, "signer")
    assert not key_server.requests


@pytest.mark.parametrize("signer", [None, "", "shop", "arn:aws:elasticloadbalancing:*:*:loadbalancer/app/*", []])
async def test_the_signer_must_be_configured(make_gate: Any, signer: Any) -> None:
    with pytest.raises(InvalidConfigError, match="signer"):
        await make_gate(aws_alb={} if signer is None else {"signer": signer})


@pytest.mark.parametrize(
    "key_id", ["../secret", "a/b", "a%2fb", "a?b", "a#b", "", "-a", "a.b", "é", "a b", "a\n", "k" * 65, None, "@host"]
)
async def test_a_kid_with_other_characters_never_enters_a_url(
    make_alb: Any, key_server: Any, keys: Any, key_id: str | None
) -> None:
    gate = await make_alb()

    visit = await send(gate, sign_padded(keys.p256, {"kid": key_id}))

    assert (visit.status, visit.reason) == (401, "unknown-key")
    assert not key_server.requests


@given(st.text())
def test_what_may_enter_a_url_is_itself_there(text: str) -> None:
    if is_key_id(text):
        assert text.isascii()
        assert text.replace("-", "").isalnum()
        assert len(text) <= 64


async def test_the_padding_is_part_of_what_is_signed_and_there_is_one_spelling(make_alb: Any, keys: Any) -> None:
    gate = await make_alb()
    token = sign_padded(keys.p256, claims={"sub": "abc"})
    head, payload, signature = token.split(".")
    assert signature.endswith("==")

    for other in (
        ".".join([head, payload, signature.rstrip("=")]),
        ".".join([head, payload, signature[:-1]]),
        ".".join([head, payload, signature + "=="]),
        ".".join(["=" + head, payload, signature]),
        ".".join([head, payload + "====", signature]),
    ):
        assert (await send(gate, other)).reason == "malformed"
    assert (await send(gate, token)).status == 200


async def test_tokens_without_padding_keep_to_the_standard_elsewhere(make_gate: Any, keys: Any) -> None:
    gate = await make_gate(public_key=keys.pem(keys.p256))

    assert (await gate.visit(sign_padded(keys.p256))).reason == "malformed"


async def test_another_key_or_algorithm_is_refused(make_alb: Any, keys: Any) -> None:
    gate = await make_alb()
    other = ec.generate_private_key(ec.SECP256R1())

    assert (await send(gate, sign_padded(other))).reason == "signature"
    assert (await send(gate, sign_padded(keys.p256, {"alg": "HS256"}))).reason == "algorithm"
    assert (await send(gate, sign_padded(keys.p256, {"alg": "none"}))).reason == "algorithm"


@pytest.mark.parametrize(
    ("header", "claims", "reason"),
    [
        ({"exp": NOW - 61}, {}, "expired"),
        ({"exp": NOW - 61}, {"exp": NOW + 1000}, "expired"),
        ({}, {"exp": NOW - 61}, "expired"),
        ({"exp": "soon"}, {}, "malformed-claim"),
        ({"exp": True}, {"exp": NOW + 100}, "malformed-claim"),
        ({"iss": "https://other.example"}, {"iss": ISSUER}, "issuer"),
        ({"iss": None}, {"iss": ISSUER}, "malformed-claim"),
    ],
)
async def test_issuer_and_end_are_those_of_the_header(
    make_alb: Any, keys: Any, header: Any, claims: Any, reason: str
) -> None:
    gate = await make_alb()

    assert (await send(gate, sign_padded(keys.p256, header, claims))).reason == reason


async def test_a_token_without_an_end_is_refused(make_alb: Any, keys: Any) -> None:
    gate = await make_alb()
    text = f"{padded({'alg': 'ES256', 'kid': KID, 'signer': ARN, 'iss': ISSUER})}.{padded({'sub': 'a'})}"
    r, s = decode_dss_signature(keys.p256.sign(text.encode(), ec.ECDSA(hashes.SHA256())))

    visit = await send(gate, f"{text}.{padded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}")

    assert visit.reason == "claim-missing"


async def test_a_kid_without_a_key_is_asked_for_once_in_a_while(make_alb: Any, key_server: Any, keys: Any) -> None:
    gate = await make_alb()
    tokens = [sign_padded(keys.p256, {"kid": "unpublished"}, {"sub": str(number)}) for number in range(5)]

    visits = await asyncio.gather(*(send(gate, token) for token in tokens))

    assert {visit.reason for visit in visits} == {"unknown-key"}
    assert len(key_server.requests) == 1
    gate.clock.advance(31)
    key_server.documents["/unpublished"] = keys.pem(keys.p256)
    assert (await send(gate, tokens[0])).status == 200


@pytest.mark.parametrize("failure", [500, "this is no key", "-----BEGIN PRIVATE KEY-----"])
async def test_a_key_that_cannot_be_read_now_is_no_fault_of_the_client(
    make_alb: Any, key_server: Any, keys: Any, failure: Any
) -> None:
    if isinstance(failure, int):
        key_server.status = failure
    else:
        key_server.documents[f"/{KID}"] = failure
    gate = await make_alb()

    visit = await send(gate, sign_padded(keys.p256))

    assert (visit.status, visit.reason) == (503, "no-keys")
    assert visit.response.headers["retry-after"] == "5"


async def test_a_key_stays_in_force_while_its_server_is_away_and_ends_when_it_is_gone(
    make_alb: Any, key_server: Any, keys: Any, until: Any
) -> None:
    gate = await make_alb()
    assert (await send(gate, sign_padded(keys.p256))).status == 200
    alb = gate.plugin._providers["jwt"]._keyring._keys

    key_server.status = 500
    gate.clock.advance(1000)
    fresh = {"exp": NOW + 9000}
    assert (await send(gate, sign_padded(keys.p256, fresh, {"sub": "b"}))).status == 200
    await until(lambda: len(key_server.requests) == 2 and not alb._flights._by_key)

    key_server.status, key_server.documents = 200, {}
    gate.clock.advance(31)
    await send(gate, sign_padded(keys.p256, fresh, {"sub": "c"}))
    await until(lambda: not alb._held)
    assert (await send(gate, sign_padded(keys.p256, fresh, {"sub": "d"}))).reason == "unknown-key"


async def test_strangers_kids_take_no_memory_without_bound(make_alb: Any, key_server: Any, keys: Any) -> None:
    gate = await make_alb()
    tokens = [sign_padded(keys.p256, {"kid": f"k{number}"}) for number in range(40)]
    for number in range(40):
        key_server.documents[f"/k{number}"] = keys.pem(keys.p256)
    alb = gate.plugin._providers["jwt"]._keyring._keys

    visits = await asyncio.gather(*(send(gate, token, client_ip=f"192.0.2.{n}") for n, token in enumerate(tokens)))

    assert {visit.status for visit in visits} == {200}
    assert len(alb._held) <= 64
    assert alb._absent.size == 1000


async def test_only_es256_goes_with_it(make_gate: Any) -> None:
    with pytest.raises(InvalidConfigError, match="ES256"):
        await make_gate(aws_alb={"signer": ARN}, algorithms=["RS256"])
    with pytest.raises(InvalidConfigError, match="exactly one"):
        await make_gate(aws_alb={"signer": ARN}, jwks_url="https://a.example/keys")


async def test_the_header_is_hidden_from_the_upstream_if_so_configured(make_alb: Any, keys: Any) -> None:
    gate = await make_alb(hide_credentials=True, claims_to_headers={"X-User": "sub"})

    visit = await send(gate, sign_padded(keys.p256))

    assert "x-amzn-oidc-data" not in visit.request.headers
    assert visit.request.headers["x-user"] == "alice"


@pytest.mark.parametrize("trusted", [True, False])
def test_a_gateway_takes_the_field_of_peers_in_trusted_proxies_only(
    gateway: Any, upstream: Any, clock: Any, keys: Any, trusted: bool
) -> None:
    upstream.answer_with(body=keys.pem(keys.p256))
    options = {"issuer": ISSUER, "aws_alb": {"signer": ARN, "keys_url": upstream.url}}
    config = one_route(upstream.url, {"name": "auth", "config": options})
    running = gateway({**config, "trusted_proxies": ["127.0.0.0/8"] if trusted else []})

    status = running.get("/app", headers={"x-amzn-oidc-data": sign_padded(keys.p256)}).status

    assert status == (200 if trusted else 401)
    assert [request.target for request in upstream.requests] == ([f"/{KID}", "/app"] if trusted else [])


@pytest.mark.parametrize("peers", [[], ["10.0.0.0/16"]])
@pytest.mark.parametrize(
    "options",
    [
        {"issuer": ISSUER, "aws_alb": {"signer": ARN}},
        {"issuer": ISSUER, "aws_alb": {"signer": [ARN]}},
        {"secret": "a secret of 32 characters or more", "mtls": {"certificate_header": "X-SSL-Client-Cert"}},
    ],
)
def test_a_field_of_a_proxy_is_a_warning_where_no_proxy_is_trusted(peers: list[str], options: dict[str, Any]) -> None:
    document = {**one_route("http://127.0.0.1:1", {"name": "auth", "config": options}), "trusted_proxies": peers}

    text = Document("gateway.yaml", json.dumps(document))
    found = load([], registry=PluginRegistry(), environ={}, documents=[text]).warnings

    assert [each.code for each in found] == ([] if peers else ["trust.no-effect"])
