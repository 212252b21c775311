from __future__ import annotations

import pytest
from aiohttp import web

from tests.following import eventually
from tests.plugins.consul.agent import Agent
from tests.plugins.consul.conftest import Start, documents


async def test_documents_come_from_the_keys_below_the_prefix(agent: Agent, start: Start) -> None:
    agent.put_key("gateway/routes.yaml", "routes: []")
    agent.put_key("gateway/", None)
    agent.put_key("gateway-old/routes.yaml", "no")
    found = start.source("/gateway")
    state = await found.until(lambda state: bool(state.documents))
    assert [each.name for each in state.documents] == [f"consul://127.0.0.1:{agent.port}/gateway/routes.yaml"]
    assert documents(state) == {"gateway/routes.yaml": "routes: []"}

    agent.put_key("gateway/a.json", "{}")
    agent.put_key("gateway/routes.yaml", "routes: [1]")
    await found.until(lambda state: documents(state) == {"gateway/a.json": "{}", "gateway/routes.yaml": "routes: [1]"})

    agent.delete_key("gateway/a.json")
    await found.until(lambda state: documents(state) == {"gateway/routes.yaml": "routes: [1]"})


async def test_no_keys_are_no_documents_until_there_are_some(agent: Agent, start: Start) -> None:
    found = start.source("/gateway")
    await found.until(lambda state: not state.documents)
    await eventually(lambda: agent.waiting == 1)

    agent.put_key("gateway", "listen: 127.0.0.1:0")
    await found.until(lambda state: documents(state) == {"gateway": "listen: 127.0.0.1:0"})

    agent.delete_key("gateway")
    await found.until(lambda state: not state.documents)
    assert not any(each.is_stale for each in found.states)


async def test_the_token_comes_from_the_url_or_the_environment(agent: Agent, start: Start) -> None:
    agent.token = "word"
    agent.put_key("gateway/a", "1")

    for path, user in (("/gateway?token=word", ""), ("/gateway", ":word@")):
        await start.source(path, user).until(lambda state: documents(state) == {"gateway/a": "1"})
    assert "403" in await start.source("/gateway").failed()
    start.environ["CONSUL_HTTP_TOKEN"] = "word"
    await start.source("/gateway").until(lambda state: documents(state) == {"gateway/a": "1"})


async def test_while_the_agent_is_away_the_documents_stay_and_are_stale(agent: Agent, start: Start) -> None:
    agent.put_key("gateway/a", "1")
    found = start.source("/gateway?dc=dc2")
    await found.until(lambda state: bool(state.documents))
    await eventually(lambda: agent.waiting == 1)
    assert agent.requests[-1].query["dc"] == "dc2"

    await agent.stop()
    state = await found.until(lambda state: state.is_stale)
    assert documents(state) == {"gateway/a": "1"}

    await agent.start()
    await found.until(lambda state: not state.is_stale)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("consul://a/b?colour=1", 'unknown option "colour"'),
        ("consul://a/b?tls=maybe", 'option tls: "maybe" is text, where true or false'),
        ("consul://a/b?wait=1h", 'option wait: "1h" is greater than the maximum'),
        ("consul://a/b?ca=/nowhere", "cannot be used"),
    ],
)
async def test_a_url_that_cannot_work_is_refused(start: Start, url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        start.make_source(url)


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("consul:///gateway", ("http://127.0.0.1:8500",)),
        ("consul://a,b:1/gateway?tls=true", ("https://a:8500", "https://b:1")),
        ("consul://[::1],[::1]:2/gateway", ("http://[::1]:8500", "http://[::1]:2")),
    ],
)
async def test_hosts_have_a_default_and_a_default_port(start: Start, url: str, addresses: tuple[str, ...]) -> None:
    assert start.make_source(url)._query._agents._access.addresses == addresses


async def test_what_is_no_response_of_an_agent_leaves_the_documents_as_they_were(agent: Agent, start: Start) -> None:
    agent.put_key("gateway/a", "1")
    found = start.source("/gateway")
    await found.until(lambda state: bool(state.documents))

    for refusal in (
        web.Response(status=404, text="<html>no such page</html>"),
        web.Response(status=404),
        web.Response(text="[1, 2]", headers={"X-Consul-Index": "99"}),
        web.Response(text="{}"),
    ):
        agent.refusals = [refusal]
        agent.bump()
        await found.until(lambda state: state.is_stale)
        await found.until(lambda state: not state.is_stale)
    assert all(documents(state) == {"gateway/a": "1"} for state in found.states)
