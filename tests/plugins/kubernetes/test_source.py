from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from tests.following import eventually
from tests.plugins.kubernetes.api_server import ApiServer
from tests.plugins.kubernetes.conftest import Start, documents


def put(server: ApiServer, name: str, labels: dict[str, str], **data: str) -> None:
    server.put(
        "configmaps", "shop", name, labels=labels, data={key.replace("_", "."): text for key, text in data.items()}
    )


async def test_documents_come_from_the_config_maps_with_the_label(server: ApiServer, start: Start) -> None:
    put(server, "one", {"app": "gateway"}, routes_yaml="routes: []")
    put(server, "other", {"app": "shop"}, routes_yaml="no")
    found = start.source("kubernetes://shop?label=app=gateway")
    state = await found.until(lambda state: len(state.documents) == 1)
    assert documents(state) == {"configmap/shop/one/routes.yaml": "routes: []"}

    put(server, "one", {"app": "gateway"}, routes_yaml="routes: [1]")
    put(server, "two", {"app": "gateway"}, more_yaml="x")
    await found.until(
        lambda state: (
            documents(state) == {"configmap/shop/one/routes.yaml": "routes: [1]", "configmap/shop/two/more.yaml": "x"}
        )
    )

    put(server, "one", {"app": "gone"})
    server.delete("configmaps", "shop", "two")
    await found.until(lambda state: not state.documents)


async def test_the_own_namespace_and_a_label_of_ours_are_the_default(server: ApiServer, start: Start) -> None:
    put(server, "one", {"gateway/config": ""}, a="1")
    put(server, "two", {"app": "x"}, a="2")
    server.put("configmaps", "other", "one", labels={"gateway/config": ""}, data={"a": "3"})

    await start.source("kubernetes://").until(lambda state: documents(state) == {"configmap/shop/one/a": "1"})
    await start.source("kubernetes://*").until(lambda state: len(state.documents) == 2)


async def test_while_the_server_is_away_the_documents_stay_and_are_stale(server: ApiServer, start: Start) -> None:
    put(server, "one", {"gateway/config": ""}, a="1")
    found = start.source("kubernetes://")
    await found.until(lambda state: len(state.documents) == 1)
    await eventually(lambda: server.watches == 1)

    await server.stop()
    state = await found.until(lambda state: state.is_stale)
    assert documents(state) == {"configmap/shop/one/a": "1"}
    assert server.url in state.reason

    await server.start()
    await found.until(lambda state: not state.is_stale)


async def test_a_server_that_refuses_at_the_start_is_a_failure(server: ApiServer, start: Start) -> None:
    server.tokens = set()

    assert "401" in await start.source("kubernetes://").failed()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("kubernetes://shop/path", "has more than a namespace"),
        ("kubernetes://me:word@shop", "has more than a namespace"),
        ("kubernetes://a,b", "has more than a namespace"),
        ("kubernetes://shop?lable=x", 'unknown option "lable": did you mean "label"'),
        ("kubernetes://shop?watch_timeout=x", "option watch_timeout"),
        ("kubernetes://shop?context=none", "no context 'none'"),
    ],
)
async def test_a_url_that_cannot_work_is_refused(start: Start, url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        start.make_source(url)


async def test_resync_may_be_switched_off(start: Start) -> None:
    source: Any = start.make_source("kubernetes://shop?resync=0")

    assert source._settings.resync == 0


NO_LISTS: tuple[Any, ...] = ({}, {"items": []}, {"metadata": {"resourceVersion": "1"}, "items": 42},
            {"metadata": {"resourceVersion": "1"}, "items": [1]}, {"metadata": [], "items": []})  # fmt: skip


async def test_what_is_no_list_leaves_the_documents_as_they_were(server: ApiServer, start: Start) -> None:
    put(server, "one", {"gateway/config": ""}, a="1")
    found = start.source("kubernetes://")
    await found.until(lambda state: len(state.documents) == 1)

    for content in NO_LISTS:
        await eventually(lambda: server.watches == 1)
        server.expire()  # so that it is listed again
        server.drop()
        expired = web.Response(text='{"type": "ERROR", "object": {"code": 410}}\n')
        server.refusals = [expired, web.json_response(content)]
        await found.until(lambda state: state.is_stale and "no list" in state.reason)
        await found.until(lambda state: not state.is_stale)
    assert all(documents(state) == {"configmap/shop/one/a": "1"} for state in found.states)


@pytest.mark.parametrize(
    "event", [b'{"type": "ADDED", "object": 5}', b'{"type": "DELETED"}', b'{"type": "MODIFIED", "object": {}}'],
    ids=["a number", "nothing", "no metadata"],
)  # fmt: skip
async def test_an_event_without_an_object_is_told_and_the_watch_goes_on(
    server: ApiServer, start: Start, event: bytes
) -> None:
    put(server, "one", {"gateway/config": ""}, a="1")
    found = start.source("kubernetes://")
    await found.until(lambda state: len(state.documents) == 1)
    await eventually(lambda: server.watches == 1)

    server.send(event + b"\n")

    await found.until(lambda state: state.is_stale)
    put(server, "two", {"gateway/config": ""}, a="2")
    await found.until(lambda state: len(state.documents) == 2 and not state.is_stale)


async def test_watches_that_end_at_once_are_followed_by_a_list(server: ApiServer, start: Start) -> None:
    put(server, "one", {"gateway/config": ""}, a="1")
    found = start.source("kubernetes://")
    await found.until(lambda state: len(state.documents) == 1)
    await eventually(lambda: server.watches == 1)

    server.refusals = [web.Response(text="<html>log in</html>") for _ in range(20)]
    server.send(None)

    await found.until(lambda state: state.is_stale and "no JSON object" in state.reason)
    server.refusals = []
    await found.until(lambda state: not state.is_stale)
