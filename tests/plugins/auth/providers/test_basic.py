from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import argon2
import bcrypt
import pytest
from gateway_plugin_auth import passwords
from gateway_plugin_auth.documents import FetchError

FAST = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
ALICE = FAST.hash("wonderland")
BOB = bcrypt.hashpw(b"builder", bcrypt.gensalt(4)).decode()


def credentials(name: str, password: str | bytes) -> dict[str, str]:
    encoded = password.encode() if isinstance(password, str) else password
    return {"Authorization": "Basic " + base64.b64encode(name.encode() + b":" + encoded).decode()}


@pytest.fixture
def config() -> dict[str, Any]:
    users = [
        {"name": "alice", "password_hash": ALICE, "claims": {"roles": ["admin"]}},
        {"name": "bob", "password_hash": BOB},
    ]
    return {"providers": {"people": {"scheme": "basic", "users": users}}}


async def test_argon2_and_bcrypt_passwords_pass(make_gate: Any, config: dict[str, Any]) -> None:
    gate = await make_gate(config)

    alice, bob = (
        await gate.visit(headers=credentials("alice", "wonderland")),
        await gate.visit(headers=credentials("bob", "builder")),
    )

    assert (alice.status, alice.subject, alice.request.identity.scheme) == (200, "alice", "basic")
    assert alice.request.claims == {"roles": ["admin"]}
    assert (bob.status, bob.subject) == (200, "bob")


async def test_wrong_names_and_passwords_look_the_same(make_gate: Any, config: dict[str, Any]) -> None:
    gate = await make_gate(config, realm="people")

    wrong = [
        await gate.visit(headers=credentials(name, password))
        for name, password in (("alice", "x"), ("alice", ""), ("carol", "wonderland"), ("ALICE", "wonderland"))
    ]

    assert {visit.status for visit in wrong} == {401}
    assert {visit.reason for visit in wrong} == {"password"}
    assert {visit.challenge for visit in wrong} == {'Basic realm="people", charset="UTF-8"'}
    assert len({visit.response.body for visit in wrong}) == 1


async def test_an_unknown_name_costs_a_hash_too(make_gate: Any, config: dict[str, Any]) -> None:
    gate = await make_gate(config)
    provider = gate.plugin._providers["people"]

    assert provider._decoy.startswith("$argon2id$")
    assert len(provider._decoy) == len(ALICE)
    assert not passwords.is_password(b"wonderland", provider._decoy)


async def test_a_password_is_hashed_once_for_requests_that_come_together(
    make_gate: Any, config: dict[str, Any]
) -> None:
    gate = await make_gate(config)
    provider = gate.plugin._providers["people"]

    async def count() -> int:
        await asyncio.sleep(0)
        return len(provider._pending)

    *visits, pending = await asyncio.gather(
        *(gate.visit(headers=credentials("bob", "builder")) for _ in range(20)), count()
    )

    assert [visit.status for visit in visits] == [200] * 20
    assert pending == 1
    assert not provider._pending


async def test_a_password_is_hashed_again_after_a_while(make_gate: Any, config: dict[str, Any]) -> None:
    config["providers"]["people"]["remember"] = "60s"
    gate = await make_gate(config)
    request = (await gate.visit(headers=credentials("bob", "builder"))).request

    assert not isinstance(gate.plugin.gateway_pre_proxy(request), Awaitable)
    gate.clock.advance(60)
    again = gate.plugin.gateway_pre_proxy(request)

    assert isinstance(again, Awaitable)
    assert await again is None


async def test_a_client_that_leaves_does_not_take_the_others_with_it(make_gate: Any, config: dict[str, Any]) -> None:
    gate = await make_gate(config)

    first = asyncio.ensure_future(gate.visit(headers=credentials("alice", "wonderland")))  # noqa: TID251 - is cancelled
    await asyncio.sleep(0)
    second = asyncio.ensure_future(gate.visit(headers=credentials("alice", "wonderland")))  # noqa: TID251 - is awaited
    await asyncio.sleep(0)
    first.cancel()

    assert (await second).status == 200


async def test_too_many_guesses_at_once_are_refused(make_gate: Any, config: dict[str, Any]) -> None:
    gate = await make_gate(config)

    visits = await asyncio.gather(*(gate.visit(headers=credentials("alice", str(n))) for n in range(300)))

    assert {visit.status for visit in visits} == {401, 503}
    assert {visit.reason for visit in visits} == {"busy", "password"}


@pytest.mark.parametrize(
    "value",
    ["Basic !!!", "Basic YWxpY2U", "Basic YWxpY2U=", "Basic OnBhc3M=", "Basic /////w==",
     "Basic " + "YTph" * 5000, "Basic YWxpY2U6d29uZGVybGFuZA", "Basic YWxpY2U6d29u ZGVybGFuZA==", "Basic \xe9",
     "Basic YTpi=YTpi"],
)  # fmt: skip
async def test_malformed_credentials(make_gate: Any, config: dict[str, Any], value: str) -> None:
    gate = await make_gate(config)

    assert (await gate.visit(headers={"Authorization": value})).reason == "malformed"


@pytest.mark.parametrize("password", ["x" * 73, "x" * 2000, "a\0b", "\udc80", ""])
async def test_passwords_that_no_hash_takes(make_gate: Any, config: dict[str, Any], password: str) -> None:
    gate = await make_gate(config)
    encoded = password.encode("utf-8", "surrogateescape")

    for name in ("alice", "bob"):
        assert (await gate.visit(headers=credentials(name, encoded))).status == 401


async def test_bcrypt_passwords_do_not_match_by_their_first_72_bytes(make_gate: Any) -> None:
    text = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    users = [{"name": "bob", "password_hash": text}]
    gate = await make_gate(providers={"people": {"scheme": "basic", "users": users}})

    assert (await gate.visit(headers=credentials("bob", "x" * 72))).status == 200
    assert (await gate.visit(headers=credentials("bob", "x" * 72 + "y"))).status == 401


async def test_rules_apply_to_users(make_gate: Any, config: dict[str, Any]) -> None:
    config["providers"]["people"] |= {"roles": {"any": ["admin"]}, "claims_to_headers": {"X-User": "sub"}}
    gate = await make_gate(config)

    alice = await gate.visit(headers=credentials("alice", "wonderland"))
    bob = await gate.visit(headers=credentials("bob", "builder"))

    assert alice.request.headers["x-user"] == "alice"
    assert (bob.status, bob.reason) == (403, "role")


async def test_credentials_are_hidden_if_asked_and_others_stay(make_gate: Any, config: dict[str, Any]) -> None:
    config["providers"]["people"]["hide_credentials"] = True
    gate = await make_gate(config, require={"optional": "people"})

    hidden = await gate.visit(headers=credentials("alice", "wonderland"))
    other = await gate.visit(headers={"Authorization": "Bearer x"})

    assert "authorization" not in hidden.request.headers
    assert other.request.headers["authorization"] == "Bearer x"


async def test_a_file_of_users_is_read_again(make_gate: Any, tmp_path: Path, until: Any) -> None:
    path = tmp_path / "htpasswd"
    path.write_text(f"# people\n\nalice:{ALICE}\n")
    gate = await make_gate(providers={"people": {"scheme": "basic", "users_file": str(path)}})
    provider = gate.plugin._providers["people"]
    assert (await gate.visit(headers=credentials("alice", "wonderland"))).status == 200
    assert (await gate.visit(headers=credentials("bob", "builder"))).status == 401

    path.write_text(f"bob:{BOB}\n")
    gate.clock.advance(10)
    await gate.visit(headers=credentials("x", "y"))
    await until(lambda: provider._document.loads == 2 and provider._document._flight is None)

    assert (await gate.visit(headers=credentials("bob", "builder"))).status == 200
    assert (await gate.visit(headers=credentials("alice", "wonderland"))).status == 401


@pytest.mark.parametrize(
    "text", [None, "alice", "alice:secret", ":x", f"alice:{ALICE}\nalice:{ALICE}", "alice:$apr1$x"]
)
async def test_a_file_that_is_not_of_users_rejects_the_configuration(
    make_gate: Any, tmp_path: Path, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "htpasswd"
    if text is not None:
        path.write_text(text)

    with pytest.raises(FetchError, match="users_file"):
        await make_gate(providers={"people": {"scheme": "basic", "users_file": str(path)}})
    assert "secret" not in caplog.text
    assert ALICE not in caplog.text


async def test_it_can_be_started_again(make_gate: Any, config: dict[str, Any]) -> None:
    gate = await make_gate(config)
    assert (await gate.visit(headers=credentials("alice", "wonderland"))).status == 200

    await gate.plugin.stop()
    await gate.plugin.stop()
    await gate.plugin.start()

    assert (await gate.visit(headers=credentials("bob", "builder"))).status == 200
