"""The role of the watcher: discoveries and health checks of the configuration run once for all workers.

What is found is sent over the channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Collection
from typing import Final

from gateway_core.clock import SystemClock
from gateway_core.config import GatewayConfig
from gateway_core.events import WORKER_CALL_FAILED, emit
from gateway_core.metrics import Metrics
from gateway_core.packages import PluginRegistry
from gateway_core.packages.extensions import Extensions
from gateway_core.packages.lock_file import is_locked
from gateway_core.process import logs
from gateway_core.process.channel import Channel, ChannelClosedError, Message
from gateway_core.process.overview import collect
from gateway_core.snapshot.transfer import from_lines
from gateway_core.snapshot.yielder import Yielder
from gateway_core.tasks import Tasks
from gateway_core.upstreams.discovery import BUILT_IN
from gateway_core.upstreams.finding_store import Finding
from gateway_core.upstreams.findings import Publisher
from gateway_core.upstreams.monitor import LocalMonitor
from gateway_core.upstreams.registry_session import RegistrySession
from gateway_core.upstreams.resolver import Resolver


class Watcher:
    """Watches what the supervisor says, until it is gone."""

    deadline: Final = 0.0
    """Seconds: nothing is under way that has to be finished."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._clock = SystemClock()
        self._metrics = Metrics()
        self._registry = PluginRegistry(describes=False)
        resolver = Resolver(self._clock)
        self._session = RegistrySession(resolver)
        self._monitor = LocalMonitor(self._clock, resolver=resolver, session=self._session, metrics=self._metrics)
        self._findings: asyncio.Queue[Finding] = asyncio.Queue()
        self._publisher = Publisher(self._monitor, self._findings.put_nowait)
        self._parts: list[bytes] = []
        self._tasks = Tasks()

    async def run(self) -> None:
        """Watch until the supervisor is gone."""
        self._tasks.supervise(self._send_findings, name="send what is found")
        with contextlib.suppress(ChannelClosedError):
            while True:
                message = await self._channel.receive()
                if message.kind == "part":
                    self._parts.append(message.body)
                elif message.kind == "use":
                    await self._use(message)
                elif message.kind == "metrics":
                    samples = await asyncio.to_thread(collect, self._metrics.registry)
                    await self._channel.reply(message, samples=samples)
        await self._tasks.aclose()
        await self._publisher.aclose()
        await self._session.aclose()

    async def _send_findings(self) -> None:
        with contextlib.suppress(ChannelClosedError):
            while True:
                finding = await self._findings.get()
                await self._channel.send("finding", finding=finding)

    async def _use(self, message: Message) -> None:
        lines = tuple(line for part in self._parts for line in part.split(b"\n"))
        self._parts.clear()
        running = self._registry.codes()
        outdated = [
            name for name, version in message["plugins"].items() if name in running and running[name] != version
        ]
        refusal = None
        if not outdated:
            config = (await from_lines(lines, Yielder(self._clock))).config
            logs.configure(config.log, process="watcher")
            try:
                await self._load_extensions(config, message["plugins"].keys())
                await self._publisher.use(config.upstreams)
            except (ValueError, OSError, ssl.SSLError) as error:
                refusal = str(error)
            except Exception as error:  # noqa: BLE001 - a defect must not end the watcher
                emit(WORKER_CALL_FAILED, "preparing to watch failed", error=error, call="use")
                refusal = repr(error)
        await self._channel.reply(message, refusal=refusal, outdated=outdated)

    async def _load_extensions(self, config: GatewayConfig, checked: Collection[str]) -> None:
        wanted = {upstream.discovery.name for upstream in config.upstreams if upstream.discovery is not None}
        if not wanted - BUILT_IN.keys():
            return
        await asyncio.to_thread(self._registry.scan)
        # What is installed may be more than what was locked.
        usable = checked if is_locked() else None
        extensions = await asyncio.to_thread(lambda: Extensions(self._registry.loaded(usable)))
        self._monitor.extend(extensions.discoveries)
