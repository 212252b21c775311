"""The tables of attacks over HTTP/2: a path and a field mean there what they mean over HTTP/1."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from gateway_core.messages.path import read_path

from tests.core.proxy.kit import run_proxy
from tests.security.claims import ATTACKS as CLAIMS
from tests.security.claims import CONFIG, Identifies, assert_is_the_gateways
from tests.security.http2_client import RESET, Http2Client, http2_client
from tests.security.kit import FORMS, Attacked, attacked
from tests.security.path_attacks import ATTACKS, GUARDED, OPEN, REFUSED, Attack

pytestmark = pytest.mark.slow

AUTHORIZATION = (b"authorization", b"Bearer right")


async def ask(client: Http2Client, target: bytes, *fields: tuple[bytes, bytes], method: bytes = b"GET") -> int:
    head = [(b":method", method), (b":scheme", b"http"), (b":authority", b"h"), (b":path", target)]
    status, _ = await client.request([*head, *fields])
    return status


def fates_of(attack: Attack) -> set[int]:
    """Return what may become of a row: a path has no scheme and no host, which :scheme and :authority say."""
    if attack.fate is REFUSED or attack.target[:1] != b"/":
        return {400, RESET}
    return {attack.fate.value}


async def wrongs_of(gateway: Attacked, client: Http2Client, attack: Attack) -> list[str]:
    """Return what is wrong about the fate of one row: literal at first, then known by its block."""
    asked, expected = gateway.upstream.targets, fates_of(attack)
    statuses = [await ask(client, attack.target, method=method) for method in (b"GET", b"GET", b"GET", b"POST", b"ODD")]
    wrongs = [f"status {status}" for status in statuses if status not in expected]
    if expected != {OPEN.value} and asked:
        wrongs.append(f"went upstream without a token: {asked}")
    asked.clear()
    if expected == {GUARDED.value}:
        status = await ask(client, attack.target, AUTHORIZATION)
        got = [read_path(target.partition("?")[0])[0] for target in asked]
        if (status, got) != (200, ["/admin/x"]) or any(target.startswith("//") for target in asked):
            wrongs.append(f"with the token: {status}, {asked}")
        asked.clear()
    return [f"{attack.name} {attack.target[:60]!r}: {wrong}" for wrong in wrongs]


@pytest.mark.parametrize("form", FORMS)
async def test_a_protected_path_is_reached_only_through_its_route(tmp_path: Path, form: str) -> None:
    wrongs = []

    async with attacked(FORMS[form], tmp_path) as gateway:
        for attack in ATTACKS:
            # One connection each, so that its table and what is remembered of it begin empty.
            async with http2_client(gateway.gateway.port) as client:
                wrongs += await wrongs_of(gateway, client, attack)

    assert wrongs == []


async def test_what_is_remembered_of_one_path_is_not_another_ones(tmp_path: Path) -> None:
    wrongs = []

    async with attacked(FORMS["prefix"], tmp_path) as gateway, http2_client(gateway.gateway.port) as client:
        for attack in ATTACKS:
            # Of equal length, so that blocks differ in the bytes of the path alone.
            innocent = b"/" + b"p" * (len(attack.target) - 1)
            statuses = [await ask(client, innocent), await ask(client, attack.target), await ask(client, innocent)]
            if statuses[::2] != [200, 200] or statuses[1] not in fates_of(attack):
                wrongs.append(f"{attack.name}: {statuses}")

    assert wrongs == []


def fields_of(lines: bytes) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value.strip(b" \t")) for name, value in re.findall(rb"([^:\r\n]+):([^\r\n]*)", lines)]


@pytest.mark.parametrize("body", [b"", b"hello"])
async def test_no_claim_of_a_client_passes_for_the_gateways_word(tmp_path: Path, application: int, body: bytes) -> None:
    failed = {}

    async with run_proxy(CONFIG.format(port=application), tmp_path, [Identifies]) as gateway:
        for name, lines in CLAIMS.items():
            # Connection is no field of HTTP/2, so nothing can be listed there.
            claims = [each for each in fields_of(lines) if each[0] != b"connection"]
            async with http2_client(gateway.port) as client:
                try:
                    for sent in (claims, [(b"a", b"b")], claims, claims, [(b"a", b"b"), *claims, (b"z", b"y")]):
                        method = b"POST" if body else b"GET"
                        head = [(b":method", method), (b":scheme", b"http"), (b":authority", b"good.example")]
                        status, shown = await client.request([*head, (b":path", b"/"), *sent], body)
                        assert status == 200
                        assert_is_the_gateways(json.loads(shown), "http", via="2 gateway")
                except AssertionError as error:
                    failed[name] = str(error)

    assert failed == {}
