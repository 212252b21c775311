"""The extension in a real gateway: from a change in the registry to where requests go."""

from __future__ import annotations

import asyncio

from gateway_core.testing import RunningGateway, ScriptedUpstream

from tests.plugins.consul.agent import Agent, instance


async def test_requests_follow_the_registry(agent: Agent) -> None:
    with ScriptedUpstream() as a, ScriptedUpstream() as b:
        a.answer_with(200, b"a")
        b.answer_with(200, b"b")
        agent.put("users", instance("127.0.0.1", a.port))
        config = {
            "upstreams": [
                {"name": "users", "discovery": {"name": "consul", "config": {"service": "users", "address": agent.url}}}
            ],
            "routes": [{"path": "/", "target": "users"}],
        }
        gateway = await asyncio.to_thread(RunningGateway, config)

        async def reaches(names: set[str]) -> None:
            async with asyncio.timeout(20):
                while {(await asyncio.to_thread(gateway.get, "/")).text for _ in range(8)} != names:
                    pass

        try:
            await reaches({"a"})
            agent.put("users", instance("127.0.0.1", a.port), instance("127.0.0.1", b.port))
            await reaches({"a", "b"})
            agent.put("users", instance("127.0.0.1", a.port, status="critical"), instance("127.0.0.1", b.port))
            await reaches({"b"})
            await agent.stop()
            await reaches({"b"})
        finally:
            await asyncio.to_thread(gateway.close)
