from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import aiohttp
import pytest
from gateway_plugin_etcd.errors import EtcdError
from gateway_plugin_etcd.keyspace import Scope
from gateway_plugin_etcd.source import EtcdSource, scope_of
from gateway_plugin_sdk import DocumentFormat, SourceContext, SourceState
from gateway_plugin_sdk.testing import ManualClock, source_url

from tests.plugins.etcd.server import PATIENCE, Etcd


def context(session: aiohttp.ClientSession | None = None, **environ: str) -> SourceContext:
    def get() -> aiohttp.ClientSession:
        assert session is not None
        return session

    return SourceContext(ManualClock(), Random(1), environ, get)


def access_of(text: str, **environ: str) -> Any:
    return EtcdSource(source_url(EtcdSource, text), context(None, **environ))._access


@pytest.fixture
async def watch(etcd: Etcd, session: aiohttp.ClientSession) -> AsyncIterator[Any]:
    running = []

    def begin(path: str = "/gateway") -> Any:
        states = EtcdSource(source_url(EtcdSource, f"etcd://{etcd.host}{path}"), context(session)).documents()
        running.append(states)

        async def following() -> SourceState:
            return await asyncio.wait_for(anext(states), PATIENCE)

        return following

    yield begin
    for states in running:
        await states.aclose()


async def test_each_key_is_a_document_whose_ending_tells_the_format(etcd: Etcd, watch: Any) -> None:
    for name in ("b.json", "a.yaml", "c.toml", "d"):
        await etcd.put(f"/gateway/{name}", f"text of {name}")

    documents = (await watch()()).documents

    assert [(each.name, each.text, each.format) for each in documents] == [
        (f"etcd://{etcd.host}/gateway/a.yaml", "text of a.yaml", DocumentFormat.YAML),
        (f"etcd://{etcd.host}/gateway/b.json", "text of b.json", DocumentFormat.JSON),
        (f"etcd://{etcd.host}/gateway/c.toml", "text of c.toml", DocumentFormat.TOML),
        (f"etcd://{etcd.host}/gateway/d", "text of d", DocumentFormat.YAML),
    ]


async def test_changes_come_and_unchanged_documents_stay_the_same_objects(etcd: Etcd, watch: Any) -> None:
    await etcd.put("/gateway/a.yaml", "1")
    following = watch()
    first = await following()

    await etcd.put("/gateway/b.yaml", "2")

    second = await following()
    assert [each.text for each in second.documents] == ["1", "2"]
    assert second.documents[0] is first.documents[0]


async def test_a_path_that_ends_like_a_document_is_one_key(etcd: Etcd, watch: Any) -> None:
    await etcd.put("/gateway.yaml", "one")
    await etcd.put("/gateway.yaml/other", "two")

    assert [each.text for each in (await watch("/gateway.yaml")()).documents] == ["one"]


async def test_keys_without_a_slash_are_reached_by_an_option(etcd: Etcd, watch: Any) -> None:
    await etcd.put("conf/a.yaml", "one")

    (document,) = (await watch("?prefix=conf")()).documents

    assert document.name == f"etcd://{etcd.host}/conf/a.yaml"


async def test_what_is_not_text_stays_as_it_was(etcd: Etcd, watch: Any, caplog: pytest.LogCaptureFixture) -> None:
    await etcd.put("/gateway/a.yaml", "one")
    await etcd.put("/gateway/b.yaml", b"\xff\xfe")
    following = watch()
    assert [each.text for each in (await following()).documents] == ["one"]
    assert "'/gateway/b.yaml'" in caplog.text

    await etcd.put("/gateway/a.yaml", b"\xff")
    assert [each.text for each in (await following()).documents] == ["one"]
    await etcd.put("/gateway/b.yaml", b"\xef\xbb\xbftwo")
    assert [each.text for each in (await following()).documents] == ["one", "two"]


async def test_etcd_that_goes_away_is_told(etcd: Etcd, watch: Any) -> None:
    await etcd.put("/gateway/a.yaml", "one")
    following = watch()
    first = await following()

    await etcd.kill()

    away = await following()
    assert (away.documents, away.is_stale) == (first.documents, True)
    assert etcd.host in away.reason


async def test_a_wrong_password_is_told_without_the_password(etcd: Etcd, session: aiohttp.ClientSession) -> None:
    await etcd.require_authentication("gateway", "right", "/gateway/")
    url = source_url(EtcdSource, f"etcd://gateway:wrongword@{etcd.host}/gateway")

    with pytest.raises(EtcdError, match="authentication failed") as raised:
        await anext(EtcdSource(url, context(session)).documents())

    assert "wrongword" not in str(raised.value)


def test_members_and_ports() -> None:
    assert access_of("etcd://10.0.0.1,[::1],[::1]:1,h:2/x").urls == (
        "http://10.0.0.1:2379",
        "http://[::1]:2379",
        "http://[::1]:1",
        "http://h:2",
    )
    assert access_of("etcd://h/x?tls=true").urls == ("https://h:2379",)


def test_credentials_come_from_the_url_or_the_environment() -> None:
    environ = {"GATEWAY_ETCD_USERNAME": "e", "GATEWAY_ETCD_PASSWORD": "p"}

    access = access_of("etcd://u:w@h/x", **environ)
    assert (access.username, access.password) == ("u", "w")
    access = access_of("etcd://h/x", **environ)
    assert (access.username, access.password) == ("e", "p")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("etcd:///x", "has no host"),
        ("etcd://h", "has no prefix, and would read every key"),
        ("etcd://h/", "has no prefix"),
        ("etcd://h/x?tls=maybe", 'option tls: "maybe" is text, where true or false'),
        ("etcd://h/x?timout=1s", 'unknown option "timout": did you mean "timeout"'),
        ("etcd://h/x?timeout=1", 'option timeout: "1" is not a duration'),
        ("etcd://h/x?ca=/nowhere.pem", "the files of ca cannot be used"),
        ("etcd://h/x?key=/nowhere.pem", "key is given without cert"),
    ],
)
def test_a_url_that_cannot_work_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        EtcdSource(source_url(EtcdSource, text), context())


def test_scopes() -> None:
    assert scope_of("/gateway") == scope_of("/gateway/") == Scope.below("/gateway")
    assert scope_of("/gateway.yml") == Scope.exactly("/gateway.yml")
    assert isinstance(EtcdSource(source_url(EtcdSource, "etcd://h/v1.2"), context()), EtcdSource)
    assert scope_of("/v1.2") == Scope.below("/v1.2")
