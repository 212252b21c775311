"""Tokens that are bound to a key or a certificate: in the plugin alone, and in gateways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_sdk.testing import one_route

from tests.plugins.auth.conftest import NOW, SECRET, AuthHarness
from tests.plugins.ratelimit.stores.conftest import Valkey
from tests.plugins.tokens.proofs import Prover

URI = "http://a.example/"
DPOP: dict[str, Any] = {"secret": SECRET, "dpop": {}}
PROVER = Prover()


def bound(sign: Any, prover: Prover = PROVER, **claims: Any) -> str:
    token: str = sign(cnf={"jkt": prover.jkt}, **claims)
    return token


def fields(token: str, proof: str, scheme: str = "DPoP") -> list[tuple[str, str]]:
    return [("Authorization", f"{scheme} {token}"), ("DPoP", proof)]


# -- which tokens need a proof


@pytest.mark.parametrize("cnf", [{"kid": "1"}, {"jwk": {}}, {}, None, "x", {"jkt": "short"}, {"x5t#S256": 1}])
@pytest.mark.parametrize("options", [{}, {"dpop": {}}])
async def test_a_token_that_is_bound_to_something_unknown_is_refused(
    make_gate: Any, sign: Any, cnf: Any, options: Any
) -> None:
    gate = await make_gate(secret=SECRET, **options)

    for _ in range(2):
        visit = await gate.visit(sign(cnf=cnf))
        assert (visit.status, visit.reason) == (401, "confirmation")


async def test_a_bound_token_is_refused_where_nothing_can_check_it(make_gate: Any, sign: Any) -> None:
    gate = await make_gate(secret=SECRET)

    for _ in range(2):
        assert (await gate.visit(bound(sign))).reason == "dpop-off"
    assert (await gate.visit(headers={"Authorization": f"DPoP {bound(sign)}"})).reason == "missing"


async def test_a_proof_lets_a_bound_token_in(make_gate: Any, sign: Any) -> None:
    gate = await make_gate(DPOP)
    token = bound(sign)

    for scheme in ("DPoP", "dpop", "DPOP "):
        visit = await gate.visit(headers=fields(token, PROVER.proof(token, URI), scheme))
        assert (visit.status, visit.subject) == (200, "alice")


async def test_schemes_and_kinds_of_tokens_belong_together(make_gate: Any, sign: Any) -> None:
    gate = await make_gate(DPOP)
    token, plain = bound(sign), sign()

    for _ in range(2):  # a token that was seen before is no exception
        as_bearer = await gate.visit(headers=fields(token, PROVER.proof(token, URI), "Bearer"))
        unbound = await gate.visit(headers=fields(plain, PROVER.proof(plain, URI)))
        assert (as_bearer.status, as_bearer.reason) == (401, "dpop-scheme")
        assert (unbound.status, unbound.reason) == (401, "dpop-unbound")
        assert (await gate.visit(plain)).status == 200


@pytest.mark.parametrize("options", [{}, {"dpop": {}}])
async def test_a_place_with_the_scheme_dpop_takes_no_plain_token(make_gate: Any, sign: Any, options: Any) -> None:
    places = [{"header": "Authorization", "scheme": scheme} for scheme in ("DPoP", "Bearer")]
    gate = await make_gate(secret=SECRET, token_from=places, **options)

    assert (await gate.visit(sign())).status == 200
    assert (await gate.visit(headers={"Authorization": f"DPoP {sign()}"})).reason == "dpop-unbound"


async def test_a_bound_token_in_a_cookie_is_refused(make_gate: Any, sign: Any) -> None:
    gate = await make_gate(DPOP, token_from=[{"cookie": "t"}])
    token = bound(sign)

    visit = await gate.visit(headers=[("Cookie", f"t={token}"), ("DPoP", PROVER.proof(token, URI))])

    assert visit.reason == "dpop-scheme"
    assert (await gate.visit(headers=fields(token, PROVER.proof(token, URI)))).status == 200


async def test_required_refuses_tokens_that_are_bound_to_nothing(make_gate: Any, sign: Any) -> None:
    gate = await make_gate(secret=SECRET, dpop={"required": True, "algorithms": ["ES256"]})

    for _ in range(2):
        visit = await gate.visit(sign())
        assert visit.reason == "dpop-unbound"
    assert visit.challenge == 'DPoP realm="gateway", error="invalid_token", algs="ES256"'


# -- proofs


@pytest.mark.parametrize(
    ("headers", "reason"),
    [([], "dpop-missing"), ([("DPoP", "")], "dpop-malformed"), ([("DPoP", "x")], "dpop-malformed"),
     ([("DPoP", "x"), ("dpop", "x")], "dpop-ambiguous")],
)  # fmt: skip
async def test_a_request_has_one_proof(make_gate: Any, sign: Any, headers: Any, reason: str) -> None:
    gate = await make_gate(DPOP, dpop={"algorithms": ["ES256", "EdDSA"]})

    visit = await gate.visit(headers=[("Authorization", f"DPoP {bound(sign)}"), *headers])

    assert (visit.status, visit.reason) == (401, reason)
    assert visit.response.headers.get_all("www-authenticate") == [
        'Bearer realm="gateway"', 'DPoP realm="gateway", error="invalid_dpop_proof", algs="ES256 EdDSA"',
    ]  # fmt: skip


async def test_a_proof_is_for_one_token_key_method_and_uri(make_gate: Any, sign: Any) -> None:
    gate = await make_gate(DPOP)
    token, other = bound(sign), bound(sign, jti="other")

    async def reason(proof: str, target: str = "/", method: str = "GET") -> str | None:
        visit = await gate.visit(headers=fields(token, proof), target=target, method=method)
        reason: str | None = visit.reason
        return reason

    assert await reason(PROVER.proof(other, URI)) == "dpop-token"
    assert await reason(Prover().proof(token, URI)) == "dpop-thumbprint"
    assert await reason(PROVER.proof(token, URI), method="PUT") == "dpop-method"
    assert await reason(PROVER.proof(token, URI), target="/b") == "dpop-uri"
    assert await reason(PROVER.proof(token, URI + "b"), target="/b?c=d") is None
    assert await reason(PROVER.proof(token, URI, method="PUT"), method="PUT") is None


async def test_a_proof_is_accepted_once(make_gate: Any, sign: Any, clock: Any) -> None:
    gate = await make_gate(DPOP)
    token, again = bound(sign), bound(sign, jti="again")
    proof = PROVER.proof(token, URI, jti="one")

    assert (await gate.visit(headers=fields(token, proof))).status == 200
    visit = await gate.visit(headers=fields(token, proof))
    assert (visit.status, visit.reason) == (401, "dpop-replayed")
    # With another token, another time, another request: the id was used.
    assert (await gate.visit(headers=fields(again, PROVER.proof(again, URI, jti="one")))).reason == "dpop-replayed"
    clock.advance(64)
    assert (await gate.visit(headers=fields(token, proof))).reason == "dpop-replayed"
    clock.advance(2)
    assert (await gate.visit(headers=fields(token, proof))).reason == "dpop-expired"


async def test_a_proof_is_judged_once_for_several_providers(make_gate: Any, sign: Any) -> None:
    one = {"scheme": "jwt", "secret": SECRET, "dpop": {}}
    gate = await make_gate(providers={"a": one, "b": one}, require={"all": ["a", "b"]})
    token = bound(sign)

    assert (await gate.visit(headers=fields(token, PROVER.proof(token, URI)))).status == 200


@pytest.mark.parametrize(
    ("stricter", "reason"),
    [
        ({"algorithms": ["ES512"]}, "dpop-algorithm"), ({"origin": "https://b.example"}, "dpop-uri"),
        ({"nonce": True}, "dpop-nonce"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
async def test_each_of_several_providers_judges_a_proof_by_its_own_options(
    make_gate: Any, sign: Any, stricter: Any, reason: str, order: Any
) -> None:
    providers = {
        "a": {"scheme": "jwt", "secret": SECRET, "dpop": {}},
        "b": {"scheme": "jwt", "secret": SECRET, "dpop": stricter},
    }
    gate = await make_gate(providers=providers, require={"all": list(order)})
    token = bound(sign)

    visit = await gate.visit(headers=fields(token, PROVER.proof(token, URI)))

    assert (visit.status, visit.reason) == (401, reason)


async def test_the_ids_of_two_keys_are_two(make_gate: Any, sign: Any) -> None:
    gate = await make_gate(DPOP)
    other = Prover()

    for prover in (PROVER, other):
        token = bound(sign, prover)
        assert (await gate.visit(headers=fields(token, prover.proof(token, URI, jti="same")))).status == 200


async def test_the_proof_stays_with_the_gateway_if_so_configured(make_gate: Any, sign: Any) -> None:
    token = bound(sign)
    for options, left in (
        ({}, {"authorization", "dpop"}), ({"hide_proof": True}, {"authorization"}),
    ):  # fmt: skip
        gate = await make_gate(DPOP, dpop=options)
        visit = await gate.visit(headers=fields(token, PROVER.proof(token, URI)))
        assert {name.lower() for name in visit.request.headers} & {"authorization", "dpop"} == left
    hidden = await make_gate(DPOP, dpop={"hide_proof": True}, hide_credentials=True)
    visit = await hidden.visit(headers=fields(token, PROVER.proof(token, URI)))
    assert not {name.lower() for name in visit.request.headers} & {"authorization", "dpop"}


async def test_no_part_of_a_credential_is_logged(make_gate: Any, sign: Any) -> None:
    gate: AuthHarness = await make_gate(DPOP)
    token = bound(sign)
    proof = PROVER.proof(token, URI + "elsewhere?secret=1")

    visit = await gate.visit(headers=fields(token, proof))

    shown = " ".join([record.getMessage() for record in gate.logs] + [str(visit.request.state)])
    assert "dpop-uri" in shown
    for secret in (token, proof, *proof.split("."), "secret=1", PROVER.jkt):
        assert secret not in shown


# -- nonces


async def test_a_proof_without_our_nonce_is_refused_and_the_response_has_one(
    make_gate: Any, sign: Any, clock: Any
) -> None:
    gate = await make_gate(DPOP, dpop={"nonce": True, "nonce_lifetime": "10s", "algorithms": ["ES256"]})
    token = bound(sign)

    async def visit(nonce: Any) -> Any:
        proof = PROVER.proof(token, URI, clock.wall(), nonce=nonce)
        return await gate.visit(headers=fields(token, proof))

    for wrong in (None, "", 7, ["x"], "ü", "x" * 24):
        refused = await visit(wrong)
        assert (refused.status, refused.reason) == (401, "dpop-nonce")
        assert refused.response.headers.get_all("www-authenticate")[1] == (
            'DPoP realm="gateway", error="use_dpop_nonce", algs="ES256"'
        )
    nonce = refused.response.headers["dpop-nonce"]

    accepted = await visit(nonce)
    assert (accepted.status, accepted.response.headers.get("dpop-nonce")) == (200, None)
    clock.advance(10)
    old = await visit(nonce)
    assert old.status == 200
    assert old.response.headers["dpop-nonce"] != nonce, "the client learns the next one before this one ends"
    clock.advance(10)
    assert (await visit(nonce)).reason == "dpop-nonce"


async def test_a_proof_that_is_refused_for_its_nonce_is_not_used_up(make_gate: Any, sign: Any) -> None:
    gate = await make_gate(DPOP, dpop={"nonce": True})
    token = bound(sign)
    refused = await gate.visit(headers=fields(token, PROVER.proof(token, URI, jti="n")))

    proof = PROVER.proof(token, URI, jti="n", nonce=refused.response.headers["dpop-nonce"])

    assert (await gate.visit(headers=fields(token, proof))).status == 200


# -- the store


async def test_without_the_store_bound_tokens_get_503_and_others_pass(
    make_gate: Any, sign: Any, tmp_path: Path
) -> None:
    server = Valkey(tmp_path)
    gate = await make_gate(DPOP, dpop={"valkey": {"url": server.url, "timeout": "20s"}})
    token = bound(sign)
    assert (await gate.visit(headers=fields(token, PROVER.proof(token, URI)))).status == 200
    server.kill()

    visit = await gate.visit(headers=fields(token, PROVER.proof(token, URI)))

    assert (visit.status, visit.reason, visit.response.headers["retry-after"]) == (503, "dpop-store", "1")
    assert (await gate.visit(sign())).status == 200
    server.start()
    assert (await gate.visit(headers=fields(token, PROVER.proof(token, URI)))).status == 200
    server.kill()


async def test_a_gateway_starts_without_the_store(make_gate: Any, sign: Any) -> None:
    valkey = {"url": "valkey://:hush@127.0.0.1:1/0", "timeout": "100ms"}
    gate = await make_gate(DPOP, dpop={"nonce": True, "valkey": valkey})
    token = bound(sign)

    visit = await gate.visit(headers=fields(token, PROVER.proof(token, URI)))

    assert (visit.status, visit.reason) == (503, "dpop-store")
    assert "hush" not in " ".join(record.getMessage() for record in gate.logs)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(Path(tmp_path_factory.mktemp("valkey")))
    yield server
    server.kill()


def test_a_proof_and_a_nonce_are_known_to_every_gateway(
    gateway: Any, upstream: Any, clock: Any, sign: Any, valkey: Valkey
) -> None:
    valkey.command("FLUSHALL")
    options = {"nonce": True, "origin": "https://api.example.com", "valkey": {"url": valkey.url, "timeout": "20s"}}
    config = one_route(upstream.url, {"name": "auth", "config": {"secret": SECRET, "dpop": options}})
    pair = [gateway(config), gateway(config)]
    token, uri = bound(sign), "https://api.example.com/"

    def visit(number: int, **changes: Any) -> Any:
        proof = PROVER.proof(token, uri, clock.wall(), **changes)
        return pair[number].get("/", headers=dict(fields(token, proof)))

    nonce = visit(0).headers["dpop-nonce"]
    assert visit(1).headers["dpop-nonce"] == nonce
    assert [visit(0, jti="x", nonce=nonce).status, visit(1, jti="x", nonce=nonce).status] == [200, 401]
    assert [visit(1, jti="y", nonce=nonce).status, visit(0, jti="y", nonce=nonce).status] == [200, 401]
    assert 'reason="dpop-replayed"' in pair[0].metrics()


# -- the URI of a request


@pytest.mark.one_protocol(reason="heads over HTTP/1")
@pytest.mark.parametrize(
    ("trusted", "head", "uri"),
    [
        (False, b"", "http://a.example/b"),
        (False, b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n", "http://a.example/b"),
        (True, b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: b.example\r\n", "https://b.example/b"),
        (True, b"X-Forwarded-Proto: https\r\n", "https://a.example/b"),
        (True, b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: b.example, c.example\r\n", "https://a.example/b"),
    ],
)
def test_the_uri_is_what_the_client_used(
    gateway: Any, upstream: Any, clock: Any, sign: Any, trusted: bool, head: bytes, uri: str
) -> None:
    config = one_route(upstream.url, {"name": "auth", "config": DPOP}, strip_path=False)
    running = gateway({**config, "trusted_proxies": ["127.0.0.0/8"] if trusted else []})
    token = bound(sign)

    def status(proof: str) -> bytes:
        sent = (
            b"GET /b?c HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nAuthorization: DPoP %b\r\nDPoP: %b\r\n%b\r\n"
        )
        answer: bytes = running.raw(sent % (token.encode(), proof.encode(), head))
        return answer[9:12]

    assert status(PROVER.proof(token, uri, clock.wall())) == b"200"
    assert status(PROVER.proof(token, uri.replace("example", "evil"), clock.wall())) == b"401"
    assert status(PROVER.proof(token, "http://evil.example/b", clock.wall())) == b"401"


def test_the_origin_of_the_configuration_counts_and_no_host(gateway: Any, upstream: Any, clock: Any, sign: Any) -> None:
    auth = {"secret": SECRET, "dpop": {"origin": "HTTPS://API.example.com:443/base"}}
    running = gateway(one_route(upstream.url, {"name": "auth", "config": auth}))
    token = bound(sign)

    def status(uri: str) -> int:
        proof = PROVER.proof(token, uri, clock.wall())
        found: int = running.get("/b", headers={**dict(fields(token, proof)), "Host": "a.example"}).status
        return found

    assert status("https://api.example.com/base/b") == 200
    assert status("http://a.example/b") == 401


def test_beside_other_plugins_a_caller_with_a_proof_is_a_caller(
    gateway: Any, upstream: Any, clock: Any, sign: Any
) -> None:
    auth = {"secret": SECRET, "dpop": {"origin": "https://a.example", "hide_proof": True}}
    bindings: list[dict[str, Any]] = [
        {"name": "auth", "config": auth},
        {"name": "ratelimit", "config": {"quota": 1, "window": "1d", "key": "identity"}},
        {"name": "logger"},
    ]  # fmt: skip
    running = gateway(one_route(upstream.url, *bindings))
    token = bound(sign)

    def status() -> int:
        proof = PROVER.proof(token, "https://a.example/", clock.wall())
        found: int = running.get("/", headers=dict(fields(token, proof))).status
        return found

    assert [status(), status()] == [200, 429]
    assert "dpop" not in upstream.last.headers


async def test_both_must_hold_if_a_token_is_bound_to_both(make_gate: Any, sign: Any) -> None:
    gate = await make_gate(DPOP)
    token = sign(cnf={"jkt": PROVER.jkt, "x5t#S256": "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"})

    visit = await gate.visit(headers=fields(token, PROVER.proof(token, URI, NOW)))

    assert visit.reason == "certificate-missing"
