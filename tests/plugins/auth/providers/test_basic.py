from __future__ import annotations

import asyncio
import base64
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import argon2
import bcrypt
import pytest
from gateway_plugin_auth import passwords
from gateway_plugin_auth.hashing import MOST_PER_CLIENT, THREADS
from gateway_plugin_auth.providers import basic
from gateway_plugin_sdk import spawn
from gateway_plugin_sdk.testing import InvalidConfigError, ScriptedUpstream, StartGateway, eventually, one_route

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


class Slow:
    """Hashing that waits until a test releases it."""

    def __init__(self) -> None:
        self._may_go_on = threading.Event()
        self.go_on = self._may_go_on.set
        self.calls = 0

    def is_password(self, password: bytes, text: str) -> bool:
        self.calls += 1
        assert self._may_go_on.wait(20)
        return passwords.is_password(password, text)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    slow = Slow()
    monkeypatch.setattr(basic, "is_password", slow.is_password)
    yield slow
    slow.go_on()


async def test_argon2_and_bcrypt_passwords_pass(make_gate: Any, config: dict[str, Any]) -> None:
    gate = await make_gate(config)

    alice, bob = (
        await gate.visit(headers=credentials("alice", "wonderland")),
        await gate.visit(headers=credentials("bob", "builder")),
    )

    assert (alice.status, alice.subject, alice.request.identity.scheme) == (200, "alice", "basic")
    assert alice.request.identity.claims == {"roles": ["admin"]}
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


async def test_a_password_is_hashed_once_for_requests_that_come_together(
    make_gate: Any, config: dict[str, Any], slow: Slow, until: Any
) -> None:
    gate = await make_gate(config)
    provider = gate.plugin._providers["people"]

    visits = [spawn(gate.visit(headers=credentials("bob", "builder")), name="login") for _ in range(20)]
    await until(lambda: gate.begun == 20)
    pending = len(provider._pending)
    slow.go_on()

    assert [visit.status for visit in await asyncio.gather(*visits)] == [200] * 20
    assert pending == 1
    assert not provider._pending


async def test_a_password_is_hashed_again_after_a_while(make_gate: Any, config: dict[str, Any], slow: Slow) -> None:
    config["providers"]["people"]["remember"] = "60s"
    gate = await make_gate(config)
    slow.go_on()

    for passed, hashes in ((0, 1), (59, 1), (1, 2)):
        gate.clock.advance(passed)
        assert (await gate.visit(headers=credentials("bob", "builder"))).status == 200
        assert slow.calls == hashes


def test_a_client_that_leaves_does_not_take_the_others_with_it(
    gateway: StartGateway, upstream: ScriptedUpstream, config: dict[str, Any], slow: Slow
) -> None:
    running = gateway(one_route(upstream.url, {"name": "auth", "config": config}))
    head = f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: {credentials('alice', 'wonderland')['Authorization']}\r\n\r\n"

    with socket.create_connection(("127.0.0.1", running.port)) as first:
        first.sendall(head.encode())
        eventually(lambda: slow.calls)
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as second:
        second.sendall(head.encode())
        slow.go_on()
        status = second.recv(65536)[:12]

    assert status == b"HTTP/1.1 200"


async def guess(gate: Any, count: int, name: str = "alice", client: str = "10.0.0.1") -> list[Any]:
    """Begin to send so many wrong passwords at once, and return when they wait."""
    before = gate.begun
    sent = [
        spawn(gate.visit(headers=credentials(name, f"{name}{n}{client}"), client_ip=client), name="guess")
        for n in range(count)
    ]
    async with asyncio.timeout(20):
        while gate.begun < before + count:  # noqa: ASYNC110 - in another thread, which has no event
            await asyncio.sleep(0.001)
    return sent


async def test_guesses_of_one_client_keep_no_other_client_out(
    make_gate: Any, config: dict[str, Any], slow: Slow
) -> None:
    gate = await make_gate(config)

    guesses = await guess(gate, 300)
    others = [
        spawn(gate.visit(headers=credentials(name, password), client_ip=client), name="login")
        for name, password, client in (
            ("alice", "wonderland", "10.0.0.2"), ("bob", "builder", "10.0.0.3"), ("bob", "builder", "10.0.0.1"),
        )
    ]  # fmt: skip
    slow.go_on()

    assert [visit.status for visit in await asyncio.gather(*others)] == [200, 200, 200]
    refused = [visit for visit in await asyncio.gather(*guesses) if visit.reason == "busy"]
    assert len(refused) >= 300 - MOST_PER_CLIENT - THREADS
    assert {visit.status for visit in refused} == {503}
    assert all(int(visit.response.headers["retry-after"]) >= 1 for visit in refused)


async def test_a_right_password_is_never_called_wrong_because_of_load(
    make_gate: Any, config: dict[str, Any], slow: Slow
) -> None:
    gate = await make_gate(config)

    guesses = [visit for n in range(30) for visit in await guess(gate, 20, f"name{n}", f"10.0.1.{n}")]
    late = spawn(gate.visit(headers=credentials("alice", "wonderland"), client_ip="10.0.1.5"), name="login")
    slow.go_on()

    assert (await late).status in {200, 503}
    assert {visit.status for visit in await asyncio.gather(*guesses)} <= {401, 503}
    assert (await gate.visit(headers=credentials("alice", "wonderland"), client_ip="10.0.1.5")).status == 200


async def test_a_flood_of_wrong_passwords_does_not_make_right_ones_be_hashed_again(
    make_gate: Any, config: dict[str, Any], slow: Slow
) -> None:
    config["providers"]["people"]["users"] = [{"name": "bob", "password_hash": BOB}]
    gate = await make_gate(config)
    slow.go_on()
    await gate.visit(headers=credentials("bob", "builder"))
    provider = gate.plugin._providers["people"]
    provider._wrong.size = 10

    for n in range(30):
        await gate.visit(headers=credentials("bob", str(n)))

    assert len(provider._wrong) == 10
    hashed = slow.calls
    assert (await gate.visit(headers=credentials("bob", "builder"))).status == 200
    assert slow.calls == hashed


@pytest.mark.parametrize("name", ["alice", "bob", "carol", "dan", "nobody", "root"])
async def test_wrong_passwords_and_unknown_names_cost_the_same(
    make_gate: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    hashed: list[str] = []

    def note(password: bytes, text: str) -> bool:
        hashed.append(passwords.hash_class(text))
        return passwords.is_password(password, text)

    monkeypatch.setattr(basic, "is_password", note)
    slower = bcrypt.hashpw(b"x", bcrypt.gensalt(5)).decode()
    apr1 = "$apr1$abcdefgh$5/sE0z.8/.Mh2VxOoKVcF1"
    hashes = {"alice": ALICE, "bob": BOB, "carol": slower, "dan": apr1}
    users = [{"name": user, "password_hash": text} for user, text in hashes.items()]
    gate = await make_gate(providers={"people": {"scheme": "basic", "users": users}})

    assert (await gate.visit(headers=credentials(name, "wrong"))).reason == "password"

    assert sorted(hashed) == sorted({passwords.hash_class(text) for text in hashes.values()})


async def test_hashing_that_fails_lets_no_client_in_and_is_no_verdict(
    make_gate: Any, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(password: bytes, text: str) -> bool:
        raise MemoryError

    monkeypatch.setattr(basic, "is_password", fail)
    gate = await make_gate(config)

    assert (await gate.visit(headers=credentials("alice", "wonderland"))).status == 503
    assert "a password cannot be verified: MemoryError()" in caplog.text


@pytest.mark.parametrize(
    "value",
    ["Basic !!!", "Basic YWxpY2U", "Basic YWxpY2U=", "Basic OnBhc3M=", "Basic /////w==",
     "Basic " + "YTph" * 5000, "Basic YWxpY2U6d29uZGVybGFuZA", "Basic YWxpY2U6d29u ZGVybGFuZA==", "Basic \xe9",
     "Basic YTpi=YTpi"],
)  # fmt: skip
async def test_malformed_credentials(make_gate: Any, config: dict[str, Any], value: str) -> None:
    gate = await make_gate(config)

    assert (await gate.visit(headers={"Authorization": value})).reason == "malformed"


@pytest.mark.parametrize("password", ["x" * 1024, "x" * 2000, "a\0b", "\udc80", ""])
async def test_passwords_that_no_hash_takes(make_gate: Any, config: dict[str, Any], password: str) -> None:
    gate = await make_gate(config)
    encoded = password.encode("utf-8", "surrogateescape")

    for name in ("alice", "bob"):
        assert (await gate.visit(headers=credentials(name, encoded))).status == 401


@pytest.mark.parametrize("extra", ["", "y", "y" * 200, "\u20ac"])
async def test_a_long_password_matches_a_bcrypt_hash_as_htpasswd_made_it(make_gate: Any, extra: str) -> None:
    # Made by: htpasswd -nbB -C 4 bob "$(printf 'x%.0s' $(seq 100))"; only 72 bytes of it are in the hash.
    text = "$2y$04$UtNWJGS1BtMAhC/gDl1kzeyvTpecfsaprSzFbziakJzbZPF1q302m"
    gate = await make_gate(providers={"people": {"scheme": "basic", "users": [{"name": "bob", "password_hash": text}]}})

    assert (await gate.visit(headers=credentials("bob", "x" * 72 + extra))).status == 200
    assert (await gate.visit(headers=credentials("bob", "x" * 71 + extra + "z"))).status == 401


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
async def test_a_name_and_a_password_are_the_same_text_in_utf_8_and_latin_1(make_gate: Any, encoding: str) -> None:
    text = bcrypt.hashpw("p\xe4ssw\xf6rd".encode(), bcrypt.gensalt(4)).decode()
    users = [{"name": "j\xfcrgen", "password_hash": text}]
    gate = await make_gate(providers={"people": {"scheme": "basic", "users": users}})
    sent = base64.b64encode("j\xfcrgen:p\xe4ssw\xf6rd".encode(encoding)).decode()

    visit = await gate.visit(headers={"Authorization": f"Basic {sent}"})

    assert (visit.status, visit.subject) == (200, "j\xfcrgen")


async def test_an_edit_of_the_file_changes_nothing_for_the_other_users(
    make_gate: Any, tmp_path: Path, until: Any, slow: Slow
) -> None:
    path = tmp_path / "htpasswd"
    path.write_text(f"bob:{BOB}\n")
    slow.go_on()
    gate = await make_gate(providers={"people": {"scheme": "basic", "users_file": str(path)}})
    provider = gate.plugin._providers["people"]
    await gate.visit(headers=credentials("bob", "builder"))

    path.write_text(f"bob:{BOB}\nalice:{ALICE}\n")
    gate.clock.advance(10)
    await gate.visit(headers=credentials("bob", "builder"))
    await until(lambda: provider._document.loads == 2 and provider._document._flight is None)

    assert (await gate.visit(headers=credentials("bob", "builder"))).status == 200
    assert slow.calls == 1
    assert (await gate.visit(headers=credentials("alice", "wonderland"))).status == 200


async def test_a_file_of_users_that_is_gone_for_too_long_is_no_wrong_password(
    make_gate: Any, tmp_path: Path, until: Any
) -> None:
    path = tmp_path / "htpasswd"
    path.write_text(f"bob:{BOB}\n")
    users = [{"name": "alice", "password_hash": ALICE}]
    gate = await make_gate(providers={"people": {"scheme": "basic", "users": users, "users_file": str(path)}})
    path.unlink()
    gate.clock.advance(2 * 86400)

    assert (await gate.visit(headers=credentials("bob", "builder"))).status == 503
    assert (await gate.visit(headers=credentials("alice", "wonderland"))).status == 200
    assert (await gate.visit(headers=credentials("alice", "builder"))).status == 401


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

    with pytest.raises(InvalidConfigError, match=r"users_file"):
        await make_gate(providers={"people": {"scheme": "basic", "users_file": str(path)}})
    assert "secret" not in caplog.text
    assert ALICE not in caplog.text


async def test_it_can_be_started_again(make_gate: Any, config: dict[str, Any]) -> None:
    gate = await make_gate(config)
    assert (await gate.visit(headers=credentials("alice", "wonderland"))).status == 200

    for change in (gate.stop, gate.stop, gate.start):
        await asyncio.to_thread(change)

    assert (await gate.visit(headers=credentials("bob", "builder"))).status == 200
