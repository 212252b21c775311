from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gateway_core.messages.headers import headers_of_block
from gateway_plugin_auth.heads import LONGEST_HEAD, KnownHeads
from gateway_plugin_auth.outcomes import Verified
from gateway_plugin_sdk import HeadersKey, Identity, Request

CALLER = Verified(Identity("alice", claims={"sub": "alice"}), proof=object())


def test_heads_are_bounded_and_the_first_goes_first() -> None:
    heads = KnownHeads(3)

    for number in range(10):
        heads.put(HeadersKey(b"\r\nA: %d" % number), CALLER, Request("GET", "/", {"A": str(number)}))

    assert len(heads) == 3
    assert heads.get(HeadersKey(b"\r\nA: 6")) is None
    assert heads.get(HeadersKey(b"\r\nA: 9")) is not None


def test_long_heads_and_callers_without_a_proof_are_not_remembered() -> None:
    heads = KnownHeads()
    long = HeadersKey(b"\r\nA: " + b"x" * LONGEST_HEAD)

    heads.put(long, CALLER, Request("GET", "/", headers_of_block(long)))
    heads.put(HeadersKey(b"\r\nA: 1"), Verified(Identity("alice")), Request("GET", "/", {"A": "1"}))

    assert len(heads) == 0


async def test_a_head_that_comes_again_has_the_same_outcome(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(
        secret=secret, claims_to_headers={"X-User": "sub"}, payload_header="X-Payload", hide_credentials=True
    )
    token = sign()

    visits = [await gate.visit(token, headers={"x-user": "root", "X-Other": "1"}) for _ in range(3)]

    assert len(gate.plugin._heads) == 1
    assert len({visit.request.headers_key for visit in visits}) == 1
    for visit in visits:
        assert visit.request.headers.get_all("x-user") == ["alice"]
        assert "authorization" not in visit.request.headers
        assert visit.subject == "alice"
        assert visit.request.identity.claims["sub"] == "alice"


async def test_what_one_request_does_with_its_fields_is_not_seen_by_the_next(
    make_gate: Any, secret: str, sign: Any
) -> None:
    gate = await make_gate(secret=secret, hide_credentials=True)
    token = sign()

    for _ in range(3):
        visit = await gate.visit(token)
        assert "x-added" not in visit.request.headers
        visit.request.headers["X-Added"] = "1"


async def test_a_head_ends_with_its_token(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret, leeway="5s")
    token = sign(exp=1_700_000_060)

    for passed, status in ((0, 200), (0, 200), (64, 200), (1, 401), (0, 401)):
        gate.clock.advance(passed)
        assert (await gate.visit(token)).status == status
    assert len(gate.plugin._heads) == 0


async def test_a_head_ends_when_its_token_is_revoked(
    make_gate: Any, secret: str, sign: Any, tmp_path: Path, until: Any
) -> None:
    file = tmp_path / "revoked"
    file.write_text("")
    gate = await make_gate(secret=secret, revocation={"file": str(file), "refresh": "1s"})
    token = sign(jti="4711")
    assert [(await gate.visit(token)).status for _ in range(2)] == [200, 200]
    assert len(gate.plugin._heads) == 1

    file.write_text("jti:4711\n")
    gate.clock.advance(2)
    await gate.visit(token)
    await until(lambda: gate.plugin._providers["jwt"]._revocations.current().has({"jti": "4711"}, token))

    assert (await gate.visit(token)).reason == "revoked"


async def test_a_head_ends_with_the_keys_of_its_token(
    make_gate: Any, keys: Any, sign: Any, tmp_path: Path, until: Any
) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [keys.jwk(keys.rsa, kid="k")]}))
    gate = await make_gate(jwks_file=str(file))
    token = sign(keys.rsa, "RS256", {"kid": "k"})
    assert [(await gate.visit(token)).status for _ in range(2)] == [200, 200]

    file.write_text(json.dumps({"keys": [keys.jwk(keys.other_rsa, kid="k")]}))
    gate.clock.advance(3600)
    await gate.visit(token)
    await until(lambda: gate.plugin._providers["jwt"]._keyring._document._flight is None)

    assert (await gate.visit(token)).reason == "signature"


@pytest.mark.parametrize(
    "options",
    [
        {"token_from": [{"header": "Authorization", "scheme": "Bearer"}, {"query": "t"}]},
        {"cache": {"size": 0}},
        {"secret": None, "providers": {name: {"scheme": "jwt", "secret": name * 32} for name in "st"}},
    ],
)
async def test_heads_that_do_not_tell_everything_are_not_remembered(make_gate: Any, sign: Any, options: Any) -> None:
    config = {key: value for key, value in {"secret": "s" * 32, **options}.items() if value is not None}
    gate = await make_gate(config)

    visits = [await gate.visit(sign("s" * 32)) for _ in range(2)]

    assert [visit.status for visit in visits] == [200, 200]
    assert len(gate.plugin._heads) == 0
