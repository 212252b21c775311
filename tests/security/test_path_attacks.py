"""Every row of the table of attacks, against every form of a protected route and by every way in."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from gateway_core.admin.match import MatchRequest, MatchTable
from gateway_core.messages.path import read_path
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load

from tests.core.process.certificates import make
from tests.security.kit import FORMS, TOKEN, Attacked, Form, Guard, attacked, config
from tests.security.path_attacks import ATTACKS, GUARDED, OPEN, REFUSED, Attack


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    pair = make(tmp_path_factory.mktemp("tls"), "localhost")
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(pair.cert, pair.key)
    clients = ssl.create_default_context(cafile=pair.cert)
    clients.check_hostname = False
    return own, clients


async def wrongs_of(gateway: Attacked, attack: Attack, guarded_as: str) -> list[str]:
    """Return what is wrong about the fate of one row."""
    asked = gateway.upstream.targets
    statuses = {"alone": await gateway.ask(attack.target)}
    statuses["behind another"], statuses["again"] = await gateway.ask_behind(b"/public", attack.target)
    for method in ("HEAD", "POST", "ODD"):
        statuses[method] = await gateway.ask(attack.target, method)
    wrongs = [f"{way}: {status}" for way, status in statuses.items() if status != attack.fate.value]
    sent = [target for target in asked if target not in {"/public", "/open/public"}]
    if attack.fate is not OPEN and sent:
        wrongs.append(f"went upstream without a token: {sent}")
    asked.clear()
    if attack.fate is GUARDED:
        status = await gateway.ask(attack.target, "GET", TOKEN)
        got = [read_path(target.partition("?")[0])[0] for target in asked]
        if (status, got) != (200, [guarded_as]) or any(target.startswith("//") for target in asked):
            wrongs.append(f"with the token: {status}, {asked}")
        asked.clear()
    return [f"{attack.name} {attack.target[:60]!r}: {wrong}" for wrong in wrongs]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["as sent", "rewritten", "tls"])
@pytest.mark.parametrize("form", FORMS)
async def test_a_protected_path_is_reached_only_through_its_route(
    tmp_path: Path, form: str, way: str, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    kind = FORMS[form]
    rewrites = way == "rewritten"

    async with attacked(kind, tmp_path, rewrites=rewrites, tls=tls if way == "tls" else None) as gateway:
        wrongs = [
            wrong
            for attack in ATTACKS
            for wrong in await wrongs_of(gateway, attack, kind.rewritten if rewrites else "/admin/x")
        ]

    assert wrongs == []


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
async def test_what_a_connection_remembers_does_not_outlive_a_reload(tmp_path: Path, form: str) -> None:
    kind = FORMS[form]
    wrongs = []

    async with attacked(kind, tmp_path, guards=False) as gateway:
        guarded = config(kind, gateway.upstream.url)
        unguarded = config(kind, gateway.upstream.url, guards=False)
        for attack in [row for row in ATTACKS if row.fate is GUARDED]:
            async with gateway.client() as client:
                statuses = [await client.ask(attack.target), await client.ask(attack.target)]
                await gateway.gateway.reload(guarded)
                statuses += [await client.ask(attack.target), await client.ask(attack.target)]
            if statuses != [200, 200, 401, 401]:
                wrongs.append(f"{attack.name}: {statuses}")
            await gateway.gateway.reload(unguarded)

    assert wrongs == []


@pytest.mark.parametrize("form", FORMS)
def test_gateway_match_says_what_becomes_of_each_attack(tmp_path: Path, form: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(config(FORMS[form], "http://127.0.0.1:1"))
    registry = PluginRegistry()
    registry.register(Guard)
    table = MatchTable.of(load([file], registry=registry, environ={}).config)
    wrongs = []

    for attack in ATTACKS:
        url = attack.target.decode("latin-1")
        if attack.fate is REFUSED and ("://" in url or "#" in url):
            continue  # a URL of a command line may have what a client keeps for itself: a fragment, a user
        try:
            told = table.explain(MatchRequest.of("GET", url, [] if "://" in url else [("host", "h")]))
        except ValueError:
            told = {"route": None, "status": 400}
        expected = {GUARDED: "guarded", OPEN: "open", REFUSED: None}[attack.fate]
        if told["route"] != expected or (expected is None and told["status"] != 400):
            wrongs.append(f"{attack.name}: {told}")

    assert wrongs == []


async def test_targets_for_the_gateway_itself_reach_no_upstream(tmp_path: Path) -> None:
    async with attacked(FORMS["prefix"], tmp_path) as gateway:
        assert await gateway.ask(b"*", "OPTIONS") == 200
        assert await gateway.ask(b"h:80", "CONNECT") == 405
        assert await gateway.ask(b"/admin/x", "CONNECT") == 405
        assert await gateway.ask(b"http://h/admin/x", "CONNECT") in {400, 405}
        assert await gateway.ask(b"/admin/x", "TRACE") == 405
        assert await gateway.ask(b"/admin/x", "OPTIONS", "Max-Forwards: 0") == 200

        assert gateway.upstream.targets == []
        assert await gateway.ask(b"/admin/x", "OPTIONS") == 401
        assert await gateway.ask(b"http://h//admin;/x", "OPTIONS", "Max-Forwards: 5") == 401


@pytest.mark.parametrize("target", [b"/;a/admin", b"/%3Ba/admin", b"/;a/%3Bb/admin", b"/items/;a", b"/items/;/edit"])
async def test_a_segment_of_path_parameters_is_no_way_past_a_pattern(tmp_path: Path, target: bytes) -> None:
    """Flask and Express take ``;a`` for a tenant, a servlet container for nothing."""
    pattern = "/:tenant/admin" if b"admin" in target else "/items/:id" + ("/edit" if b"edit" in target else "")

    async with attacked(Form(f"path: {pattern}"), tmp_path) as gateway:
        assert await gateway.ask(target) == 400
        assert await gateway.ask(b"/;jsessionid=1") == 200
        assert gateway.upstream.targets == ["/;jsessionid=1"]
