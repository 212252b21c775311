"""Keys, users and key sets that change while a gateway runs are taken up without a restart; broken ones are not."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from gateway_plugin_sdk.testing import ManualClock, RunningGateway, ScriptedUpstream, eventually, one_route

SECONDS = 10
"""Between two looks at a file, and between two fetches of the URL here."""


@dataclass
class Place:
    """Where what auth relies on is kept, with two documents for it, and the credentials that each lets in."""

    config: dict[str, Any]
    """Of auth."""
    write: Callable[[str], None]
    documents: tuple[str, str]
    credentials: tuple[dict[str, str], dict[str, str]]


def sha1(password: str) -> str:
    return "{SHA}" + base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.fixture
def key_server() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture(params=["keys_file", "list of keys", "users_file", "jwks_file", "jwks_url"])
def place(request: pytest.FixtureRequest, tmp_path: Path, keys: Any, key_server: ScriptedUpstream) -> Place:
    path = tmp_path / "document"

    def write(text: str) -> None:
        path.write_text(text)

    def publish(text: str) -> None:
        key_server.answer_with(body=text)

    key_sets = (
        json.dumps({"keys": [keys.jwk(keys.rsa, kid="k1")]}),
        json.dumps({"keys": [keys.jwk(keys.other_rsa, kid="k2")]}),
    )
    claims = {"sub": "ada", "exp": 4_000_000_000}
    tokens = [
        {"Authorization": "Bearer " + jwt.encode(claims, key, "RS256", {"kid": kid})}
        for key, kid in ((keys.rsa, "k1"), (keys.other_rsa, "k2"))
    ]
    config: dict[str, Any]
    match request.param:
        case "keys_file":
            config = {"providers": {"p": {"scheme": "api-key", "keys_file": str(path)}}}
            entries = [f'# ours\n{{"subject": "ada", "key": "{key}"}}\n' for key in ("k-1", "k-2")]
            shown = [{"X-API-Key": "k-1"}, {"X-API-Key": "k-2"}]
        case "list of keys":
            config = {"providers": {"p": {"scheme": "api-key", "keys_file": str(path)}}}
            entries = [json.dumps([{"subject": "ada", "key": key}]) for key in ("k-1", "k-2")]
            shown = [{"X-API-Key": "k-1"}, {"X-API-Key": "k-2"}]
        case "users_file":
            config = {"providers": {"p": {"scheme": "basic", "users_file": str(path)}}}
            entries = [f"{name}:{sha1(name)}\n" for name in ("ada", "bob")]
            shown = [basic("ada", "ada"), basic("bob", "bob")]
        case "jwks_file":
            config, entries, shown = {"jwks_file": str(path)}, list(key_sets), tokens
        case _:
            config = {"jwks_url": f"{key_server.url}/jwks", "fetch": {"refresh": f"{SECONDS}s"}}
            entries, shown = list(key_sets), tokens
            write = publish
    return Place(config, write, (entries[0], entries[1]), (shown[0], shown[1]))


@pytest.fixture
def running(place: Place, gateway: Any, upstream: ScriptedUpstream) -> RunningGateway:
    place.write(place.documents[0])
    started: RunningGateway = gateway(one_route(upstream.url, {"name": "auth", "config": place.config}))
    return started


def status(running: RunningGateway, credentials: dict[str, str]) -> int:
    return running.get("/", headers=credentials).status


def test_what_changes_is_taken_up_without_a_restart(place: Place, running: RunningGateway, clock: ManualClock) -> None:
    old, new = place.credentials
    assert (status(running, old), status(running, new)) == (200, 401)

    place.write(place.documents[1])
    clock.advance(SECONDS)

    eventually(lambda: status(running, new) == 200)
    assert status(running, old) == 401


@pytest.mark.parametrize("text", ["{", "[]]", "\0"])
def test_a_broken_document_leaves_the_last_good_one_in_use_and_is_reported(
    place: Place, running: RunningGateway, clock: ManualClock, text: str
) -> None:
    good = place.credentials[0]
    assert status(running, good) == 200

    place.write(text)
    clock.advance(SECONDS)

    def reports() -> list[str]:
        assert status(running, good) == 200
        messages = [record.getMessage() for record in running.logs]
        return [message for message in messages if "cannot load" in message]

    said = eventually(reports)
    assert said[0].endswith("the last one stays in use")
    place.write(place.documents[1])
    clock.advance(60)
    eventually(lambda: status(running, place.credentials[1]) == 200)
    assert any("can be loaded again" in record.getMessage() for record in running.logs)
