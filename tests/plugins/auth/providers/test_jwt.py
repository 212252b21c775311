from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import jwt
import pytest
from gateway_plugin_auth import Auth
from gateway_plugin_auth.credentials import Source
from gateway_plugin_sdk import Identity
from gateway_plugin_sdk.testing import (
    ManualClock,
    PluginHarness,
    RunningGateway,
    ScriptedUpstream,
    StartGateway,
    eventually,
)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_secrets(make_gate: Any, secret: str, sign: Any, algorithm: str) -> None:
    gate = await make_gate(secret=secret, algorithms=[algorithm])

    assert (await gate.visit(sign(algorithm=algorithm))).status == 200


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [("rsa", f"{kind}{size}") for kind in ("RS", "PS") for size in (256, 384, 512)]
    + [("p256", "ES256"), ("p384", "ES384"), ("p521", "ES512"), ("ed25519", "EdDSA"), ("ed448", "EdDSA")],
)
async def test_public_keys(make_gate: Any, keys: Any, sign: Any, name: str, algorithm: str) -> None:
    key = getattr(keys, name)
    pem, jwks = (
        await make_gate(public_key=keys.pem(key), algorithms=[algorithm]),
        await make_gate(jwks={"keys": [keys.jwk(key, kid="k")]}, algorithms=[algorithm]),
    )

    assert (await pem.visit(sign(key, algorithm))).status == 200
    assert (await jwks.visit(sign(key, algorithm, {"kid": "k"}))).status == 200
    assert (await jwks.visit(sign(key, algorithm, {"kid": "z"}))).status == 401


@pytest.mark.parametrize(
    ("options", "good", "bad", "reason"),
    [
        ({"issuer": "i"}, {"iss": "i"}, {"iss": "j"}, "issuer"),
        ({"issuer": ["i", "j"]}, {"iss": "j"}, {}, "issuer"),
        ({"audience": "a"}, {"aud": ["b", "a"]}, {"aud": "b"}, "audience"),
        ({"required_claims": ["exp"]}, {"exp": 2_000_000_000}, {}, "claim-missing"),
        ({"forbidden_claims": ["x"]}, {}, {"x": 1}, "claim-forbidden"),
        ({}, {"exp": 1_699_999_941}, {"exp": 1_699_999_940}, "expired"),
        ({}, {"nbf": 1_700_000_060}, {"nbf": 1_700_000_061}, "not-yet-valid"),
        ({}, {"iat": 1_700_000_060}, {"iat": 1_700_000_061}, "issued-in-the-future"),
        ({"max_age": "1h"}, {"iat": 1_699_996_340}, {"iat": 1_699_996_339}, "too-old"),
        ({"leeway": 0}, {"exp": 1_700_000_001}, {"exp": 1_700_000_000}, "expired"),
        ({"leeway": 0}, {"iat": 1_700_000_000}, {"iat": 1_700_000_001}, "issued-in-the-future"),
        ({"leeway": "10s"}, {"exp": 1_699_999_991}, {"exp": 1_699_999_990}, "expired"),
        ({"leeway": 0}, {"nbf": 1_700_000_000}, {"nbf": 1_700_000_001}, "not-yet-valid"),
        ({"leeway": 0, "max_age": "1h"}, {"iat": 1_699_996_400}, {"iat": 1_699_996_399}, "too-old"),
        ({"leeway": 0, "max_lifetime": "1h"}, {"exp": 1_700_003_600}, {"exp": 1_700_003_601}, "lives-too-long"),
        ({"claims": [{"claim": "a.b", "equals": 1}]}, {"a": {"b": 1}}, {"a": {"b": 2}}, "claim"),
        ({"roles": {"any": ["x"]}}, {"roles": ["x"]}, {}, "role"),
        ({"identity_claim": "uid"}, {"uid": 7}, {}, "identity"),
        ({"identity_claim": "uid"}, {"uid": "u"}, {"uid": [1]}, "identity"),
    ],
)  # fmt: skip
async def test_claims_are_judged(
    make_gate: Any, secret: str, sign: Any, options: Any, good: Any, bad: Any, reason: str
) -> None:
    gate = await make_gate(secret=secret, **options)

    assert (await gate.visit(sign(**good))).status == 200
    refused = await gate.visit(sign(**bad))

    assert refused.reason == reason
    assert refused.status == (403 if reason in {"claim", "role", "scope"} else 401)
    assert (await gate.visit(sign(**bad))).reason == reason


async def test_the_type_of_a_token_can_be_asked_for(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret, types=["at+jwt"])

    assert (await gate.visit(sign(headers={"typ": "at+JWT"}))).status == 200
    assert (await gate.visit(sign())).reason == "type"


@pytest.mark.parametrize(
    ("claims", "subject"),
    [
        ({"sub": "a"}, "a"),
        ({"client_id": "c", "azp": "d"}, "c"),
        ({"azp": "d"}, "d"),
        ({"x": 1}, ""),
        ({"sub": ""}, ""),
    ],
)
async def test_the_caller_is_named(make_gate: Any, secret: str, claims: dict[str, Any], subject: str) -> None:
    gate = await make_gate(secret=secret, identity_prefix="x:")

    visit = await gate.visit(jwt.encode(claims, secret, "HS256"))

    assert visit.subject == f"x:{subject}"


async def test_tokens_are_found_in_each_configured_place(make_gate: Any, secret: str, sign: Any) -> None:
    places = [{"header": "Authorization", "scheme": "Bearer"}, {"cookie": "session"}, {"query": "access_token"}]
    gate = await make_gate(secret=secret, token_from=places, hide_credentials=True)
    token = sign()

    visits = [
        await gate.visit(token),
        await gate.visit(headers={"Cookie": f"session={token}"}),
        await gate.visit(target=f"/?a=1&access_token={token}"),
        await gate.visit(headers={"Cookie": f"session={token}", "Authorization": "Basic eDp5"}),
    ]

    assert [visit.status for visit in visits] == [200] * 4
    assert token not in str([(visit.request.headers.items(), visit.request.query_string) for visit in visits])
    assert visits[2].request.query_string == "a=1"
    assert visits[3].request.headers["authorization"] == "Basic eDp5"


async def test_a_cached_token_ends_with_its_time(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret, leeway="5s", max_age="1h")
    token = sign(exp=1_700_000_060, iat=1_700_000_000)

    for passed, status in ((0, 200), (64, 200), (1, 401)):
        gate.clock.advance(passed)
        assert (await gate.visit(token)).status == status


async def test_the_cache_is_bounded_and_can_be_switched_off(make_gate: Any, secret: str, sign: Any) -> None:
    small, none = await make_gate(secret=secret, cache={"size": 3}), await make_gate(secret=secret, cache={"size": 0})

    for number in range(10):
        for gate in (small, none):
            assert (await gate.visit(sign(n=number))).status == 200
            assert (await gate.visit(sign(key="x" * 32, n=number))).status == 401

    for gate, size in ((small, 3), (none, 0)):
        provider = gate.plugin._providers["jwt"]
        assert (len(provider._cache), len(provider._refused)) == (size, size)


async def test_a_token_in_the_cache_is_not_verified_again(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret)
    token = sign()
    first, second = await gate.visit(token), await gate.visit(token)

    assert first.request.identity is second.request.identity
    gate.clock.advance(300)
    assert (await gate.visit(token)).request.identity is not first.request.identity


@dataclass
class Repeating:
    """A gateway, and a client that sends its token again and again on one connection."""

    gateway: RunningGateway
    connection: HTTPConnection

    def status(self, token: str, path: str = "/") -> int:
        self.connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = self.connection.getresponse()
        response.read()
        return response.status

    @property
    def identities(self) -> list[Identity | None]:
        return [call.request.identity for call in self.gateway.calls_of("auth")]


@pytest.fixture
def repeating(gateway: StartGateway, upstream: ScriptedUpstream) -> Iterator[Callable[..., Repeating]]:
    """A function that starts a gateway with configurations of auth by the path of a route."""
    with ExitStack() as open_connections:

        def start(**configs: dict[str, Any]) -> Repeating:
            route = {"target": upstream.url}
            routes = [
                {**route, "path": "/" + path.removeprefix("root"), "plugins": [{"name": "auth", "config": config}]}
                for path, config in configs.items()
            ]
            running = gateway({"routes": routes})
            connection = HTTPConnection("127.0.0.1", running.port, timeout=20)
            open_connections.callback(connection.close)
            return Repeating(running, connection)

        yield start


def test_a_token_that_was_seen_before_is_not_searched_for_again(
    repeating: Any, secret: str, sign: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, token = repeating(root={"secret": secret}), sign()
    assert [client.status(token) for _ in range(3)] == [200] * 3
    monkeypatch.setattr(Source, "find", None)

    assert client.status(token) == 200
    assert client.identities[-1] is client.identities[0]


@pytest.mark.http1_upstream  # a stream whose end is still on its way would time out when the clock is set forward
def test_a_token_that_was_seen_before_ends_with_its_time(
    repeating: Any, secret: str, sign: Any, clock: ManualClock
) -> None:
    client, token = repeating(root={"secret": secret, "leeway": "5s"}), sign(exp=1_700_000_060)
    assert [client.status(token) for _ in range(3)] == [200] * 3

    clock.advance(64)
    before = client.status(token)
    clock.advance(1)

    assert (before, client.status(token)) == (200, 401)


def test_a_token_that_was_seen_before_is_refused_once_it_is_revoked(
    repeating: Any, secret: str, sign: Any, clock: ManualClock, tmp_path: Path
) -> None:
    path, token = tmp_path / "revoked", sign(jti="4711")
    path.write_text("jti:1\n")
    client = repeating(root={"secret": secret, "revocation": {"file": str(path), "refresh": "5s"}})
    assert [client.status(token) for _ in range(3)] == [200] * 3

    path.write_text("jti:4711\n")
    clock.advance(5)
    client.gateway.get("/", headers={"Authorization": f"Bearer {sign(jti='2')}"})

    eventually(lambda: client.status(token) == 401)


def test_a_token_that_was_seen_before_is_verified_again_with_other_keys(
    repeating: Any, keys: Any, clock: ManualClock, tmp_path: Path
) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [keys.jwk(keys.rsa, kid="k1")]}))
    client = repeating(root={"jwks_file": str(path)})
    token = jwt.encode({"sub": "alice"}, keys.rsa, "RS256", {"kid": "k1"})
    assert [client.status(token) for _ in range(3)] == [200] * 3

    path.write_text(json.dumps({"keys": [keys.jwk(keys.other_rsa, kid="k1")]}))
    clock.advance(10)

    eventually(lambda: client.status(token) == 401)


def test_what_one_binding_knows_of_a_token_is_not_what_another_does(repeating: Any, secret: str, sign: Any) -> None:
    client, token = repeating(root={"secret": secret}, strict={"secret": secret, "issuer": "someone-else"}), sign()

    statuses = [client.status(token, path) for path in ("/", "/", "/", "/strict", "/strict", "/strict", "/")]

    assert statuses == [200] * 3 + [401] * 3 + [200]


def test_nothing_is_remembered_of_a_token_without_a_cache(repeating: Any, secret: str, sign: Any) -> None:
    client, token = repeating(root={"secret": secret, "cache": {"size": 0}}), sign()

    assert [client.status(token) for _ in range(3)] == [200] * 3
    assert len(set(map(id, client.identities))) == 3


@pytest.mark.parametrize(
    "spelled", ["bearer {}", "BEARER {}", "Bearer  {}", "Bearer {} ", "\tBearer {}", "Bearer {}\t"]
)
async def test_a_token_has_one_entry_however_its_scheme_is_spelled(
    make_gate: Any, secret: str, sign: Any, spelled: str
) -> None:
    gate, token = await make_gate(secret=secret, cache={"size": 1}), sign()
    first = await gate.visit(token)

    second = await gate.visit(headers={"Authorization": spelled.format(token)})
    third = await gate.visit(token)

    assert second.request.identity is first.request.identity is third.request.identity


async def test_a_token_that_was_seen_before_is_refused_beside_another_one(
    make_gate: Any, secret: str, sign: Any
) -> None:
    gate, token, other = await make_gate(secret=secret), sign(), sign(sub="mallory")
    for each in (token, other):
        assert (await gate.visit(each)).status == 200

    for values in ((token, other), (token, token), (other, "")):
        fields = [("Authorization", f"Bearer {value}") for value in values]
        assert (await gate.visit(headers=fields)).reason == "ambiguous"


async def test_the_first_place_counts_also_for_a_token_that_was_seen_before(
    make_gate: Any, secret: str, sign: Any
) -> None:
    places = [{"cookie": "session"}, {"header": "Authorization", "scheme": "Bearer"}]
    gate, cookie, bearer = await make_gate(secret=secret, token_from=places), sign(sub="c"), sign(sub="b")
    assert (await gate.visit(bearer)).subject == "b"

    both = await gate.visit(bearer, headers={"Cookie": f"session={cookie}"})

    assert both.subject == "c"


class SteppedClock:
    """A clock whose wall time is set while it runs."""

    step = 0.0

    def monotonic(self) -> float:
        return 1000.0

    def wall(self) -> float:
        return 1_700_000_000.0 + self.step


def test_a_token_ends_by_the_wall_clock_wherever_that_is_set(secret: str, sign: Any) -> None:
    clock = SteppedClock()
    with PluginHarness(Auth, {"secret": secret, "leeway": "5s"}, clock=clock) as auth:
        token, statuses = sign(exp=1_700_000_060), []

        for clock.step in (0, 64, 3600, -60, 64, 66, 0):
            statuses.append(auth.request(headers={"Authorization": f"Bearer {token}"}).response.status)

    assert statuses == [200, 200, 401, 200, 200, 401, 200]


async def test_several_providers_each_with_their_issuer(make_gate: Any, keys: Any, sign: Any) -> None:
    gate = await make_gate(
        providers={
            "staff": {"scheme": "jwt", "issuer": "staff", "secret": "s" * 32, "identity_prefix": "staff:"},
            "customers": {"scheme": "jwt", "issuer": "shop", "public_key": keys.pem(keys.rsa)},
        }
    )

    staff, customer = (
        await gate.visit(sign("s" * 32, iss="staff")),
        await gate.visit(sign(keys.rsa, "RS256", iss="shop")),
    )
    crossed = [await gate.visit(sign("s" * 32, iss="shop")), await gate.visit(sign(keys.rsa, "RS256", iss="staff"))]

    assert (staff.subject, customer.subject) == ("staff:alice", "alice")
    assert [visit.status for visit in crossed] == [401, 401]


async def test_a_provider_whose_keys_are_away_does_not_stop_another(
    make_gate: Any, key_server: Any, sign: Any, keys: Any, until: Any
) -> None:
    gate = await make_gate(
        providers={
            "away": {"scheme": "jwt", "jwks_url": f"{key_server.url}/jwks"},
            "here": {"scheme": "jwt", "public_key": keys.pem(keys.rsa)},
        }
    )
    gate.clock.advance(60)
    fetched = len(key_server.requests)

    visit = await gate.visit(sign(keys.rsa, "RS256"))

    assert visit.status == 200
    await until(lambda: len(key_server.requests) == fetched + 1)


async def test_a_cached_token_is_accepted_as_long_as_a_new_one(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret, cache={"max_age": 0})
    token = sign(exp=int(gate.clock.wall()) + 10)
    assert (await gate.visit(token)).status == 200

    gate.clock.advance(69)
    assert [(await gate.visit(each)).status for each in (token, sign(exp=int(gate.clock.wall()) - 59))] == [200, 200]
    gate.clock.advance(1)
    assert [(await gate.visit(each)).reason for each in (token, sign(exp=int(gate.clock.wall()) - 60))] == [
        "expired"
    ] * 2


async def test_spellings_of_the_scheme_take_no_places_in_the_cache(make_gate: Any, secret: str, sign: Any) -> None:
    gate = await make_gate(secret=secret)
    token = sign()

    for scheme in ("Bearer ", "bearer ", "BEARER ", "bEaReR  ", "Bearer     "):
        assert (await gate.visit(headers={"Authorization": scheme + token})).status == 200

    assert len(gate.plugin._providers["jwt"]._cache) == 1
