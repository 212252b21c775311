from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import jwt
import pytest
from gateway_plugin_sdk.testing import InvalidConfigError
from gateway_tokens.jws import parse_token, spellings


async def test_revoked_tokens_are_refused(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret, revocation={"entries": ["jti:4711", "sub:bob"]})

    assert (await gate.visit(sign(jti="4711"))).reason == "revoked"
    assert (await gate.visit(sign(sub="bob"))).reason == "revoked"
    assert (await gate.visit(sign(jti="4712"))).status == 200


async def test_a_token_that_was_cached_is_refused_once_it_is_revoked(
    make_gate: Any, secret: str, sign: Any, key_server: Any, until: Any
) -> None:
    key_server.documents["/revoked"] = "sub:bob\n"
    gate = await make_gate(secret=secret, revocation={"url": f"{key_server.url}/revoked", "refresh": "30s"})
    assert (await gate.visit(sign(jti="1"))).status == 200
    assert (await gate.visit(sign(sub="bob"))).status == 401

    key_server.documents["/revoked"] = "jti:1\n"
    gate.clock.advance(30)
    await gate.visit(sign(jti="1"))
    document = gate.plugin._providers["jwt"]._revocations._documents[0]
    await until(lambda: document.loads == 2 and document._flight is None)

    assert (await gate.visit(sign(jti="1"))).reason == "revoked"
    assert (await gate.visit(sign(sub="bob"))).status == 200


async def test_without_the_list_nobody_is_let_in(make_gate: Any, secret: str, sign: Any, key_server: Any) -> None:
    gate = await make_gate(secret=secret, revocation={"url": f"{key_server.url}/revoked"})

    assert (await gate.visit(sign())).reason == "no-revocations"


async def test_a_list_that_is_too_old_counts_as_missing(
    make_gate: Any, secret: str, sign: Any, key_server: Any
) -> None:
    key_server.documents["/revoked"] = ""
    gate = await make_gate(
        secret=secret, revocation={"url": f"{key_server.url}/revoked", "refresh": "30s"}, fetch={"stale_for": "1h"}
    )
    assert (await gate.visit(sign())).status == 200

    key_server.status = 500
    gate.clock.advance(3629)
    assert (await gate.visit(sign())).status == 200
    gate.clock.advance(1)
    assert (await gate.visit(sign())).reason == "no-revocations"


async def test_a_half_readable_list_does_not_replace_a_good_one(
    make_gate: Any, secret: str, sign: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, until: Any
) -> None:
    path = tmp_path / "revoked"
    path.write_text("jti:1\n")
    gate = await make_gate(secret=secret, revocation={"file": str(path), "refresh": "5s"})

    path.write_text("jti")
    gate.clock.advance(5)
    await gate.visit(sign())
    await until(lambda: "is not CLAIM:VALUE" in caplog.text)

    assert (await gate.visit(sign(jti="1"))).reason == "revoked"
    assert (await gate.visit(sign())).status == 200


@pytest.mark.parametrize("text", [None, "jti", b"\xff:x"])
async def test_a_file_that_cannot_be_read_rejects_the_configuration(
    make_gate: Any, secret: str, tmp_path: Path, text: Any
) -> None:
    path = tmp_path / "revoked"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(InvalidConfigError, match=r"revocation\.file"):
        await make_gate(secret=secret, revocation={"file": str(path)})


async def test_a_token_that_is_revoked_by_its_hash_is_so_with_its_other_signature(make_gate: Any, keys: Any) -> None:
    """Anyone can make a second valid signature of one by ECDSA."""
    text = jwt.encode({"sub": "alice"}, keys.p256, "ES256")
    _, other = spellings(parse_token(text), text)
    listed = [f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"]
    plain = await make_gate(public_key=keys.pem(keys.p256))
    gate = await make_gate(public_key=keys.pem(keys.p256), revocation={"entries": listed})

    assert [(await plain.visit(each)).status for each in (text, other)] == [200, 200]
    assert [(await gate.visit(each)).reason for each in (text, other)] == ["revoked", "revoked"]
