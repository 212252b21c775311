"""The stand-in API server behaves as real ones do where objects are written."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.plugins.kubernetes.api_server import ApiServer

LEASES = "/apis/coordination.k8s.io/v1/namespaces/shop/leases"
MERGE = "application/merge-patch+json"


class Caller:
    def __init__(self, server: ApiServer, session: aiohttp.ClientSession) -> None:
        self.server, self.session = server, session

    async def __call__(self, method: str, path: str, content: Any = None, kind: str = "application/json") -> Any:
        headers = {"Authorization": "Bearer good", "Content-Type": kind}
        data = None if content is None else json.dumps(content)
        async with self.session.request(method, self.server.url + path, headers=headers, data=data) as response:
            return response.status, await response.json()


@pytest.fixture
def call(server: ApiServer, session: aiohttp.ClientSession) -> Caller:
    return Caller(server, session)


def lease(holder: str, version: str | None = None) -> dict[str, Any]:
    metadata = {"name": "gateway", **({} if version is None else {"resourceVersion": version})}
    return {"kind": "Lease", "metadata": metadata, "spec": {"holderIdentity": holder}}


async def test_objects_are_created_once_read_replaced_and_deleted(call: Caller) -> None:
    status, made = await call("POST", LEASES, lease("a"))
    assert (status, made["metadata"]["namespace"]) == (201, "shop")
    assert (await call("POST", LEASES, lease("b")))[0] == 409

    _, found = await call("GET", f"{LEASES}/gateway")
    assert found == made
    status, replaced = await call("PUT", f"{LEASES}/gateway", lease("b", made["metadata"]["resourceVersion"]))
    assert (status, replaced["spec"], replaced["metadata"]["uid"]) == (
        200,
        {"holderIdentity": "b"},
        made["metadata"]["uid"],
    )

    assert (await call("DELETE", f"{LEASES}/gateway"))[0] == 200
    assert [(await call(method, f"{LEASES}/gateway", {}))[0] for method in ("GET", "PUT", "DELETE")] == [404] * 3


async def test_of_two_who_write_on_the_same_version_one_gets_a_conflict(call: Caller) -> None:
    _, made = await call("POST", LEASES, lease("nobody"))
    version = made["metadata"]["resourceVersion"]

    written = [await call("PUT", f"{LEASES}/gateway", lease(name, version)) for name in ("a", "b")]

    assert [status for status, _ in written] == [200, 409]
    assert written[1][1]["reason"] == "Conflict"
    assert (await call("GET", f"{LEASES}/gateway"))[1]["spec"] == {"holderIdentity": "a"}


async def test_a_merge_patch_changes_what_it_names_and_status_has_a_way_of_its_own(call: Caller) -> None:
    maps = "/api/v1/namespaces/shop/configmaps"
    await call("POST", maps, {"metadata": {"name": "m"}, "data": {"a": "1", "b": "2"}})

    _, patched = await call("PATCH", f"{maps}/m", {"data": {"a": None, "c": "3"}, "status": {"x": 1}}, MERGE)
    assert (patched["data"], patched.get("status")) == ({"b": "2", "c": "3"}, None)
    _, patched = await call("PATCH", f"{maps}/m/status", {"data": {"d": "4"}, "status": {"x": 1}}, MERGE)
    assert (patched["data"], patched["status"]) == ({"b": "2", "c": "3"}, {"x": 1})
    assert (await call("PATCH", f"{maps}/m", [], "application/json-patch+json"))[0] == 415


async def test_writes_are_seen_by_those_who_watch(call: Caller, session: aiohttp.ClientSession) -> None:
    url = f"{call.server.url}{LEASES}?watch=true&resourceVersion=100&timeoutSeconds=20"
    async with session.get(url, headers={"Authorization": "Bearer good"}) as watch, asyncio.timeout(20):
        await call("POST", LEASES, lease("a"))
        await call("PATCH", f"{LEASES}/gateway", {"spec": {"holderIdentity": "b"}}, MERGE)
        await call("DELETE", f"{LEASES}/gateway")

        events = [json.loads(await watch.content.readline()) for _ in range(3)]

    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert events[1]["object"]["spec"] == {"holderIdentity": "b"}
