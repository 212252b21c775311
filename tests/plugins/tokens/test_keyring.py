"""Keys from servers, issuers and files, against a real key server."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from gateway_plugin_sdk.testing import InvalidConfigError, ScriptedUpstream, StartGateway


@pytest.fixture
def token(keys: Any) -> Callable[..., str]:
    def make(kid: str | None = "k1", key: Any = None, **claims: Any) -> str:
        headers = {"kid": kid} if kid is not None else {}
        return jwt.encode({"sub": "alice", **claims}, key or keys.rsa, "RS256", headers)

    return make


async def test_keys_are_fetched_before_the_first_request(
    make_gate: Any, key_server: Any, keys: Any, token: Any
) -> None:
    key_server.set_jwks(keys.jwk(keys.rsa, kid="k1"))

    gate = await make_gate(jwks_url=f"{key_server.url}/jwks")

    assert len(key_server.requests) == 1
    assert [(await gate.visit(token())).status for _ in range(3)] == [200] * 3
    assert (await gate.visit(token(None))).status == 200
    assert len(key_server.requests) == 1


async def test_an_unknown_key_is_asked_for_once_in_a_while(
    make_gate: Any, key_server: Any, keys: Any, token: Any
) -> None:
    key_server.set_jwks(keys.jwk(keys.rsa, kid="k1"))
    gate = await make_gate(jwks_url=f"{key_server.url}/jwks", fetch={"cooldown": "30s"})

    # Just fetched: the key cannot be there yet.
    assert (await gate.visit(token("k2"))).reason == "unknown-key"
    assert len(key_server.requests) == 1
    key_server.set_jwks(keys.jwk(keys.rsa, kid="k1"), keys.jwk(keys.other_rsa, kid="k2"))
    gate.clock.advance(30)
    rotated = await asyncio.gather(*(gate.visit(token("k2", keys.other_rsa, n=n)) for n in range(20)))
    assert [visit.status for visit in rotated] == [200] * 20
    assert len(key_server.requests) == 2

    strangers = [(await gate.visit(token(f"x{n}"))).reason for n in range(20)]
    assert strangers == ["unknown-key"] * 20
    assert len(key_server.requests) == 2
    assert (await gate.visit(token("k1"))).status == 200


async def test_a_token_of_another_issuer_makes_nobody_fetch(
    make_gate: Any, key_server: Any, keys: Any, token: Any
) -> None:
    key_server.set_jwks(keys.jwk(keys.rsa, kid="k1"))
    gate = await make_gate(jwks_url=f"{key_server.url}/jwks", issuer="https://here.example")
    gate.clock.advance(60)

    visits = [
        await gate.visit(token("x", iss="https://there.example")),
        await gate.visit(token("x", exp=1, iss="https://here.example")),
    ]

    assert [visit.reason for visit in visits] == ["issuer", "expired"]
    assert len(key_server.requests) == 1


async def test_old_keys_serve_while_the_server_is_away_but_not_forever(
    make_gate: Any, key_server: Any, keys: Any, token: Any, caplog: pytest.LogCaptureFixture, until: Any
) -> None:
    key_server.set_jwks(keys.jwk(keys.rsa, kid="k1"))
    gate = await make_gate(jwks_url=f"{key_server.url}/jwks", fetch={"refresh": "10m", "stale_for": "1h"})
    key_server.status = 503

    gate.clock.advance(600)
    assert (await gate.visit(token(n=1))).status == 200
    await until(lambda: len(key_server.requests) == 2)
    await until(lambda: "responds 503; the last one stays in use" in caplog.text)
    gate.clock.advance(3600)
    assert (await gate.visit(token(n=2))).reason == "no-keys"

    key_server.status = 200
    gate.clock.advance(120)
    assert (await gate.visit(token(n=2))).status == 200


def loads(gate: Any, result: str) -> float:
    """How many loads of the key set ended in that way."""
    registry: Any = gate.metrics.registry
    found = [
        sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "gateway_auth_document_loads_total" and sample.labels["result"] == result
    ]
    return float(sum(found))


@pytest.mark.parametrize(
    "page",
    [
        "<html>maintenance</html>", '{"keys":[]}', "[]", "null", '{"keys":"x"}', "", b"\xff", '{"keys":[{"kty":"x"}]}',
        '{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"k1"}]}', "[" * 100_000, '{"keys":[{"kty":"RSA"', b"\xef\xbb\xbf",
        '{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"k1"}]}', '{"keys":{"k1":{}}}', b"\xff\xfe{",
    ],
)  # fmt: skip
async def test_a_page_that_is_no_key_set_does_not_replace_keys(
    make_gate: Any, key_server: Any, keys: Any, token: Any, until: Any, caplog: pytest.LogCaptureFixture, page: Any
) -> None:
    key_server.set_jwks(keys.jwk(keys.rsa, kid="k1"))
    gate = await make_gate(jwks_url=f"{key_server.url}/jwks", cache={"size": 0})

    key_server.documents["/jwks"] = page
    for failures in (1, 2, 3):
        gate.clock.advance(1000)
        assert (await gate.visit(token())).status == 200
        await until(lambda so_far=failures: loads(gate, "failed") == so_far)
    assert (await gate.visit(token())).status == 200

    assert loads(gate, "loaded") == 1
    assert caplog.text.count("the last one stays in use") == 1


async def test_keys_that_do_not_fit_the_algorithms_do_not_replace_those_that_do(
    make_gate: Any, key_server: Any, keys: Any, token: Any, until: Any
) -> None:
    key_server.set_jwks(keys.jwk(keys.rsa, kid="k1"))
    url = f"{key_server.url}/jwks"
    rsa_only, any_kind = await make_gate(jwks_url=url, algorithms=["RS256"]), await make_gate(jwks_url=url)
    assert [(await gate.visit(token())).status for gate in (rsa_only, any_kind)] == [200, 200]

    key_server.set_jwks(keys.jwk(keys.p256, kid="k1"))
    rsa_only.clock.advance(1000)
    await rsa_only.visit(token())
    await any_kind.visit(token())
    await until(lambda: loads(rsa_only, "failed") and loads(any_kind, "loaded") == 2)

    assert [(await gate.visit(token())).status for gate in (rsa_only, any_kind)] == [200, 401]


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_key_set_is_read_in_every_encoding_of_json(
    make_gate: Any, key_server: Any, keys: Any, token: Any, tmp_path: Path, encoding: str
) -> None:
    text = json.dumps({"keys": [keys.jwk(keys.rsa, kid="k1")]}).encode(encoding)
    key_server.documents["/jwks"] = text
    (tmp_path / "jwks.json").write_bytes(text)

    for source in ({"jwks_url": f"{key_server.url}/jwks"}, {"jwks_file": str(tmp_path / "jwks.json")}):
        gate = await make_gate(source)
        assert (await gate.visit(token())).status == 200


async def test_a_key_that_cannot_be_used_is_left_out_and_told_of_once(
    make_gate: Any, key_server: Any, keys: Any, token: Any, caplog: pytest.LogCaptureFixture
) -> None:
    odd = {"kty": "RSA", "kid": "odd", "n": "AQAB", "e": "AQAB"}
    key_server.set_jwks({"kty": "x"}, keys.jwk(keys.rsa, kid="k1"), odd, "odd")
    gate = await make_gate(jwks_url=f"{key_server.url}/jwks", fetch={"refresh": "10s", "cooldown": 0})

    for _ in range(3):
        gate.clock.advance(20)
        assert (await gate.visit(token())).status == 200
        assert (await gate.visit(token("k9"))).status == 401

    assert len(key_server.requests) > 2
    assert [caplog.text.count(f"left out keys[{index}]") for index in range(4)] == [1, 0, 1, 1]
    assert "gateway_auth_unusable_keys{" in (text := gate.metrics.exposition().decode())
    assert '/jwks"} 3.0' in text


async def test_a_url_is_shown_without_its_credentials(
    make_gate: Any, key_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    place = key_server.url.removeprefix("http://")
    gate = await make_gate(jwks_url=f"http://user:hush@{place}/jwks?token=hush")

    assert "Authorization" in key_server.requests[0].headers
    assert f"cannot load http://{place}/jwks: the server responds 404; there is no earlier one" in caplog.text
    assert "hush" not in caplog.text + gate.metrics.exposition().decode()


async def test_a_key_that_is_withdrawn_ends_the_tokens_that_were_cached(
    make_gate: Any, key_server: Any, keys: Any, token: Any
) -> None:
    key_server.set_jwks(keys.jwk(keys.rsa, kid="k1"))
    gate = await make_gate(jwks_url=f"{key_server.url}/jwks")
    assert (await gate.visit(token())).status == 200

    key_server.set_jwks(keys.jwk(keys.other_rsa, kid="k2"))
    gate.clock.advance(30)
    assert (await gate.visit(token("k2", keys.other_rsa))).status == 200

    assert (await gate.visit(token())).reason == "unknown-key"


async def test_without_keys_everything_is_refused_until_they_come(
    make_gate: Any, key_server: Any, keys: Any, token: Any
) -> None:
    gate = await make_gate(jwks_url=f"{key_server.url}/jwks")

    assert (await gate.visit(token())).status == 503
    key_server.set_jwks(keys.jwk(keys.rsa, kid="k1"))
    gate.clock.advance(30)

    assert (await gate.visit(token())).status == 200


async def test_a_server_that_hangs_is_waited_for_no_longer_than_the_timeout(
    make_gate: Any, token: Any, stalling_server: Any
) -> None:
    gate = await make_gate(jwks_url=await stalling_server(b""), fetch={"timeout": "50ms"})

    assert (await gate.visit(token())).status == 503


async def test_documents_that_are_too_large_and_redirects_are_not_followed(
    make_gate: Any, key_server: Any, keys: Any, token: Any, caplog: pytest.LogCaptureFixture
) -> None:
    key_server.set_jwks(keys.jwk(keys.rsa, kid="k1"))
    small = await make_gate(jwks_url=f"{key_server.url}/jwks", fetch={"max_bytes": 100})
    assert (await small.visit(token())).status == 503
    assert "sends more than 100 bytes" in caplog.text

    key_server.status, key_server.headers = 302, {"Location": f"{key_server.url}/jwks"}
    moved = await make_gate(jwks_url=f"{key_server.url}/moved")
    assert (await moved.visit(token())).status == 503
    assert "responds 302" in caplog.text


async def test_a_servers_max_age_is_respected(
    make_gate: Any, key_server: Any, keys: Any, token: Any, until: Any
) -> None:
    key_server.set_jwks(keys.jwk(keys.rsa, kid="k1"))
    key_server.headers = {"Cache-Control": "public, max-age=60"}
    gate = await make_gate(jwks_url=f"{key_server.url}/jwks")

    gate.clock.advance(59)
    await gate.visit(token(n=1))
    assert len(key_server.requests) == 1
    gate.clock.advance(1)
    await gate.visit(token(n=2))
    await until(lambda: len(key_server.requests) == 2)


async def test_the_clients_own_headers_are_sent(make_gate: Any, key_server: Any, keys: Any) -> None:
    key_server.set_jwks(keys.jwk(keys.rsa))

    await make_gate(jwks_url=f"{key_server.url}/jwks", fetch={"headers": {"Authorization": "Basic eDp5"}})

    assert key_server.requests[0].headers["Authorization"] == "Basic eDp5"


def test_bindings_with_one_url_share_one_fetch_also_over_a_reload(
    gateway: StartGateway, upstream: ScriptedUpstream, keys: Any, token: Any
) -> None:
    with ScriptedUpstream() as key_server:
        key_server.answer_with(json={"keys": [keys.jwk(keys.rsa, kid="k1")]})

        def config(*audiences: str) -> dict[str, Any]:
            auth = {"jwks_url": f"{key_server.url}/jwks"}
            plugins = {each: [{"name": "auth", "config": {**auth, "audience": each}}] for each in audiences}
            return {
                "routes": [{"path": f"/{each}", "target": upstream.url, "plugins": plugins[each]} for each in audiences]
            }

        def statuses(*audiences: str) -> list[int]:
            fields = [{"Authorization": f"Bearer {token(aud=each)}"} for each in audiences]
            return [running.get(f"/{each}", headers=sent).status for each, sent in zip(audiences, fields, strict=True)]

        running = gateway(config("a", "b", "c"))
        assert statuses("a", "b", "c") == [200] * 3
        running.reload(config("c", "d"))  # the keys stay for the new binding

        assert statuses("c", "d") == [200] * 2
        assert len(key_server.requests) == 1


async def test_when_the_last_binding_is_gone_nothing_is_kept(make_gate: Any, key_server: Any, keys: Any) -> None:
    key_server.set_jwks(keys.jwk(keys.rsa))
    first = await make_gate(jwks_url=f"{key_server.url}/jwks")
    await asyncio.to_thread(first.stop)

    await make_gate(jwks_url=f"{key_server.url}/jwks")

    assert len(key_server.requests) == 2


@pytest.mark.parametrize("path", ["", "/tenant", "/tenant/"])
@pytest.mark.parametrize("place", ["openid", "oauth"])
async def test_an_issuers_metadata_names_the_keys(
    make_gate: Any, key_server: Any, keys: Any, token: Any, path: str, place: str
) -> None:
    issuer = key_server.url + path
    where = {
        "openid": f"{path.rstrip('/')}/.well-known/openid-configuration",
        "oauth": f"/.well-known/oauth-authorization-server{path.rstrip('/')}",
    }[place]
    key_server.documents[where] = json.dumps({"issuer": issuer, "jwks_uri": f"{key_server.url}/jwks"})
    key_server.set_jwks(keys.jwk(keys.rsa, kid="k1"))

    gate = await make_gate(issuer=issuer, discovery=True)

    assert (await gate.visit(token(iss=issuer))).status == 200
    assert (await gate.visit(token(iss="https://other.example"))).reason == "issuer"


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (
            {"issuer": "https://evil.example", "jwks_uri": "http://127.0.0.1:1/"},
            "is the metadata of 'https://evil.example'",
        ),
        ({"issuer": "ISSUER"}, "there is no jwks_uri"),
        ({"issuer": "ISSUER", "jwks_uri": "http://keys.example/jwks"}, "is not encrypted"),
        ({"issuer": "ISSUER", "jwks_uri": "file:///etc/passwd"}, "is not a URL"),
        ([], "is not the metadata of an issuer"),
    ],
)
async def test_metadata_that_cannot_be_trusted_is_not_used(
    make_gate: Any, key_server: Any, token: Any, caplog: pytest.LogCaptureFixture, metadata: Any, reason: str
) -> None:
    text = json.dumps(metadata).replace("ISSUER", key_server.url)
    key_server.documents["/.well-known/openid-configuration"] = text

    gate = await make_gate(issuer=key_server.url, discovery=True)

    assert (await gate.visit(token(iss=key_server.url))).status == 503
    assert reason in caplog.text


async def test_a_published_secret_is_not_used(make_gate: Any, key_server: Any, b64: Any) -> None:
    key_server.set_jwks({"kty": "oct", "k": b64(b"k" * 32), "kid": "k1"})
    gate = await make_gate(jwks_url=f"{key_server.url}/jwks")

    visit = await gate.visit(jwt.encode({"sub": "a"}, b"k" * 32, "HS256", {"kid": "k1"}))

    assert visit.status == 503


async def test_keys_that_fit_no_configured_algorithm_are_named(
    make_gate: Any, key_server: Any, keys: Any, token: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    key_server.set_jwks(keys.jwk(keys.rsa, kid="k1"), keys.jwk(keys.p256, kid="k2"))
    gate = await make_gate(jwks_url=f"{key_server.url}/jwks", algorithms=["ES256"])

    assert (await gate.visit(token("k2", keys.rsa))).reason == "algorithm"
    assert (await gate.visit(jwt.encode({"sub": "a"}, keys.p256, "ES256", {"kid": "k2"}))).status == 200
    assert "left out keys[0]: ES256 does not fit this key" in caplog.text


async def test_a_file_of_keys_is_read_again(make_gate: Any, keys: Any, token: Any, tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [keys.jwk(keys.rsa, kid="k1")]}))
    gate = await make_gate(jwks_file=str(path))
    assert (await gate.visit(token())).status == 200

    path.write_text(json.dumps({"keys": [keys.jwk(keys.other_rsa, kid="k2")]}))
    gate.clock.advance(1)

    assert (await gate.visit(token("k2", keys.other_rsa))).status == 200
    assert (await gate.visit(token())).status == 401


@pytest.mark.parametrize("text", [None, "", "{}", '{"keys":[]}'])
async def test_a_file_without_keys_rejects_the_configuration(make_gate: Any, tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "jwks.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(InvalidConfigError, match=r"jwks_file"):
        await make_gate(jwks_file=str(path))


async def test_stopping_ends_every_task(make_gate: Any, key_server: Any, keys: Any, token: Any) -> None:
    key_server.set_jwks(keys.jwk(keys.rsa, kid="k1"))
    gate = await make_gate(jwks_url=f"{key_server.url}/jwks")
    assert (await gate.visit(token("k1"))).status == 200
    document = gate.plugin._providers["jwt"]._keyring._document
    assert len(document._tasks) == 1

    await asyncio.to_thread(gate.stop)

    assert not len(document._tasks)
    # A request that began before is still answered.
    assert document.current() is not None
    await document.refetch()
