from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import aiohttp
import pytest
from gateway_plugin_etcd.discovery import EtcdDiscovery, read_endpoint
from gateway_plugin_sdk import Discovered, DiscoveryContext, EndpointSpec, EndpointStatus
from gateway_plugin_sdk.testing import ManualClock, factory_config

from tests.plugins.etcd.server import PATIENCE, Etcd


def discovery(config: dict[str, Any], context: DiscoveryContext) -> EtcdDiscovery:
    return EtcdDiscovery(factory_config(EtcdDiscovery, config), context)


def context(session: aiohttp.ClientSession | None = None) -> DiscoveryContext:
    def get() -> aiohttp.ClientSession:
        assert session is not None
        return session

    return DiscoveryContext("users", ManualClock(), Random(1), get)


@pytest.fixture
async def watch(etcd: Etcd, session: aiohttp.ClientSession) -> AsyncIterator[Any]:
    running = []

    def begin(**more: Any) -> Any:
        found = discovery({"endpoints": [etcd.url], "prefix": "/users", **more}, context(session)).watch()
        running.append(found)

        async def following() -> Discovered:
            return await asyncio.wait_for(anext(found), PATIENCE)

        return following

    yield begin
    for found in running:
        await found.aclose()


async def test_each_key_is_an_endpoint(etcd: Etcd, watch: Any) -> None:
    await etcd.put("/users/b", json.dumps({"url": "https://10.0.0.2", "weight": 3, "status": "drain"}))
    await etcd.put("/users/a", "http://10.0.0.1:8080")

    first, second = (await watch()()).endpoints

    assert (first.id, first.url, first.weight, first.status) == ("a", "http://10.0.0.1:8080", 1, EndpointStatus.UP)
    assert (second.id, second.url, second.weight, second.status) == (
        "b", "https://10.0.0.2:443", 3, EndpointStatus.DRAIN,
    )  # fmt: skip


async def test_an_endpoint_goes_with_its_lease(etcd: Etcd, watch: Any) -> None:
    await etcd.put("/users/a", "http://10.0.0.1:8080", lease=await etcd.lease(1))
    await etcd.put("/users/b", "http://10.0.0.2:8080")
    following = watch()
    first = await following()
    assert [each.id for each in first.endpoints] == ["a", "b"]

    second = await following()

    assert [each.id for each in second.endpoints] == ["b"]
    assert second.endpoints[0] is first.endpoints[1]


async def test_a_value_that_makes_no_sense_leaves_the_endpoint_as_it_was(
    etcd: Etcd, watch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await etcd.put("/users/a", "http://10.0.0.1:8080")
    await etcd.put("/users/b", "nonsense here")
    following = watch()
    before = await following()
    assert [each.id for each in before.endpoints] == ["a"]
    assert "upstream users: the endpoint of key '/users/b' is left out: " in caplog.text

    await etcd.put("/users/a", '{"url": "http://10.0.0.1:8080", "wieght": 2}')

    assert (await following()).endpoints == before.endpoints
    assert "the endpoint of key '/users/a' stays as it was: wieght: extra inputs" in caplog.text


async def test_etcd_that_goes_away_leaves_the_endpoints(etcd: Etcd, watch: Any) -> None:
    await etcd.put("/users/a", "http://10.0.0.1:8080")
    following = watch()
    before = await following()

    await etcd.kill()
    away = await following()
    assert (away.endpoints, away.is_stale) == (before.endpoints, True)
    await etcd.start()

    while (back := await following()).is_stale:
        pass
    assert back.endpoints == before.endpoints


async def test_thousands_of_changes_are_kept_up_with(etcd: Etcd, watch: Any) -> None:
    following = watch()
    await following()

    await asyncio.gather(*(etcd.put(f"/users/{n % 50}", f"http://10.0.{n // 250}.1:80") for n in range(2000)))
    await etcd.put("/users/end", "http://10.0.0.1:80")

    found: tuple[EndpointSpec, ...] = ()
    while not found or found[-1].id != "end":
        found = (await following()).endpoints
    assert len(found) == 51


@pytest.mark.parametrize(
    ("value", "url"),
    [(b"10.0.0.1:80", "http://10.0.0.1:80"), (b" https://h \n", "https://h:443"), (b'{"url": "[::1]:81"}', "http://[::1]:81")],
)  # fmt: skip
def test_a_scheme_may_be_left_out(value: bytes, url: str) -> None:
    assert read_endpoint(b"a", value).url == url


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"\xff", b'{"url": 1}', b'{"url": "http://h", "weight": -1}', b"http://h/path", b"ftp://h", b"[]"],
)
def test_what_is_no_endpoint_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of several kinds
        read_endpoint(b"a", value)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"prefix": "/x"}, '"endpoints" is missing'),
        ({"endpoints": ["http://h"]}, '"prefix" is missing'),
        ({"endpoints": [], "prefix": "/x"}, "endpoints: "),
        ({"endpoints": ["h:2379"], "prefix": "/x"}, "endpoints: 'h:2379' is not a URL such as"),
        ({"endpoints": ["http://h"], "prefix": "/x", "timeout": "1"}, "timeout: "),
        ({"endpoints": ["http://h"], "prefix": "/x", "passwd": "secret"}, 'passwd: unknown key "passwd"'),
        ({"endpoints": ["https://h"], "prefix": "/x", "ca": "/nowhere.pem"}, "the files of ca cannot be used"),
    ],
)
def test_a_config_that_cannot_work_is_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        discovery(config, context())


@pytest.mark.parametrize("url", ["http://user:Hunter2@10.0.0.1:2379", "ftp://user:Hunter2@10.0.0.1"])
def test_urls_with_a_user_are_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"username and password|is not a URL") as caught:
        discovery({"endpoints": [url], "prefix": "/a"}, context(None))

    assert "Hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", [b"http://me:hunter2@h:1", b'{"url": "http://me:hunter2@h:1/x"}'])
def test_credentials_of_a_refused_endpoint_are_not_shown(value: bytes) -> None:
    with pytest.raises(ValueError, match="is not a URL") as caught:
        read_endpoint(b"a", value)

    assert "hunter2" not in str(caught.value)


async def test_a_prefix_without_endpoints_is_named(etcd: Etcd, watch: Any) -> None:
    following = watch(prefix="/usres")

    assert (await following()).reason == "there is no key below '/usres/'"
    await etcd.put("/usres/a", "nonsense here")
    assert (await following()).reason == "none of the 1 keys below '/usres/' is an endpoint"
    await etcd.put("/usres/b", "http://10.0.0.1:8080")
    assert (await following()).reason == ""
