"""The watcher as the supervisor sees it: started when a configuration needs it, and again when it has ended.

What it finds is kept here, for workers that start later, and stays in force while there is no watcher. A worker that is
slow to read gets everything at once later, instead of a queue without an end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from gateway_core.clock import Clock
from gateway_core.config import GatewayConfig, UpstreamConfig
from gateway_core.errors import GatewayError
from gateway_core.events import WATCHER_ENDED, WATCHER_NOT_STARTED, emit
from gateway_core.process.channel import ChannelClosedError, Message, parts
from gateway_core.process.child import Child
from gateway_core.process.crashes import Crashes, exit_text
from gateway_core.process.roles import WATCHER
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.tasks import Tasks
from gateway_core.upstreams.finding_store import Finding, FindingStore
from gateway_core.upstreams.monitor import is_checked
from gateway_core.upstreams.transport import tls_files

USE_TIMEOUT: Final = 60.0
METRICS_TIMEOUT: Final = 5.0
_LONGEST_QUEUE: Final = 1000
_PLACE: Final = 0
"""The number of the only watcher among `Crashes`."""


class WatcherRefusedError(GatewayError):
    """The watcher cannot watch what a configuration asks for."""


class FindingQueue:
    """Findings on their way to one worker."""

    def __init__(self, store: FindingStore) -> None:
        """Begin with everything that is known."""
        self._store = store
        self._findings: deque[Finding] = deque(store.everything())
        self._is_filled = asyncio.Event()
        self._is_filled.set()

    def __len__(self) -> int:
        return len(self._findings)

    def put(self, finding: Finding) -> None:
        """Add a finding, or start again with everything if too many wait."""
        self._findings.append(finding)
        if len(self._findings) > _LONGEST_QUEUE:
            self._findings = deque([{"kind": "only", "keys": self._store.keys()}, *self._store.everything()])
        self._is_filled.set()

    async def get(self) -> Finding:
        """Wait for the next one."""
        while not self._findings:
            self._is_filled.clear()
            await self._is_filled.wait()
        return self._findings.popleft()


class Watcher:
    """Discovers and checks for all workers, in a process of its own."""

    def __init__(self, clock: Clock) -> None:
        """Begin without a process: most configurations need none."""
        self._clock = clock
        self._store = FindingStore()
        self._queues: set[FindingQueue] = set()
        self._child: Child | None = None
        self._bundle: ConfigBundle | None = None
        self._watched: tuple[UpstreamConfig, ...] = ()
        self._crashes = Crashes()
        self._changing = asyncio.Lock()
        self._tasks = Tasks()
        self._samples: Sequence[Any] = ()

    @property
    def pid(self) -> int | None:
        """The process; None if there is none at present."""
        return None if self._child is None else self._child.pid

    async def use(self, bundle: ConfigBundle, config: GatewayConfig) -> None:
        """Watch what a configuration needs, from now on and whatever happens to the process.

        :raises WatcherRefusedError: that is not possible; what was watched before goes on.
        """
        watched = tuple(each for each in config.upstreams if each.discovery is not None or is_checked(each))
        async with self._changing:
            is_same = self._bundle is not None and watched == self._watched and not tls_files(watched)
            if is_same and self._bundle is not None and self._bundle.plugins == bundle.plugins:
                return
            if watched or self._child is not None:
                await self._have_watched(bundle)
            self._bundle, self._watched = bundle, watched

    def subscribe(self) -> FindingQueue:
        """Return the findings for one worker: all there are, and those to come."""
        queue = FindingQueue(self._store)
        self._queues.add(queue)
        return queue

    def unsubscribe(self, queue: FindingQueue) -> None:
        """Undo a :meth:`subscribe`."""
        self._queues.discard(queue)

    async def samples(self) -> Sequence[Any]:
        """Return its metrics; none while there is no process."""
        if self._child is not None:
            with contextlib.suppress(ChannelClosedError, TimeoutError):
                samples: Sequence[Any] = (await self._child.call("metrics", timeout=METRICS_TIMEOUT))["samples"]
                return samples
        return ()

    async def aclose(self) -> None:
        """End the process; workers keep what they have."""
        child, self._child = self._child, None
        await self._tasks.aclose()
        if child is not None:
            child.is_leaving = True
            child.channel.close()
            await child.gone.wait()

    async def _have_watched(self, bundle: ConfigBundle) -> None:
        child = self._child
        if child is not None and not child.gone.is_set() and not await _use(child, bundle):
            return
        # There is none, or it runs other versions of plugins than the configuration was checked with.
        fresh = await Child.spawn(WATCHER, "the watcher")
        fresh.listen(partial(self._receive, fresh))
        try:
            await _use(fresh, bundle)
        except BaseException:
            await fresh.end()
            raise
        self._child = fresh
        self._crashes.note_start(_PLACE)
        self._tasks.supervise(partial(self._mind, fresh), name="replace the watcher")
        if child is not None:
            await child.end()

    async def _receive(self, child: Child, message: Message) -> None:
        if not child.is_leaving:
            self._take(message["finding"])

    def _take(self, finding: Finding) -> None:
        self._store.apply(finding)
        for queue in self._queues:
            queue.put(finding)

    async def _mind(self, child: Child) -> None:
        """Wait for the end of the process, and start another one unless it was stopped on purpose."""
        started_at = self._clock.monotonic()
        await child.gone.wait()
        if child.is_leaving or self._child is not child:
            return
        how = exit_text(child.exit_status)
        reason = f"the watcher has ended unexpectedly ({how})"
        emit(WATCHER_ENDED, f"{reason} and is started again; workers keep what it has found", reason=reason)
        self._take({"kind": "lost", "reason": reason})
        self._crashes.note_end(_PLACE, self._clock.monotonic() - started_at, how)
        while self._child is child:
            await asyncio.sleep(self._crashes.pause(_PLACE))
            async with self._changing:
                if self._child is not child or self._bundle is None:
                    return
                try:
                    await self._have_watched(self._bundle)
                except (GatewayError, OSError) as error:
                    self._crashes.note_refusal(_PLACE, str(error))
                    emit(WATCHER_NOT_STARTED, f"the watcher cannot be started again yet: {error}", reason=str(error))


async def _use(child: Child, bundle: ConfigBundle) -> Sequence[str]:
    """Have a process watch what a configuration needs.

    :returns: plugins of which it runs another version.
    :raises WatcherRefusedError: it cannot.
    """
    try:
        for part in parts(bundle.lines):
            await child.channel.send("part", body=part)
        reply = await child.call("use", timeout=USE_TIMEOUT, version=bundle.version, plugins=dict(bundle.plugins))
    except ChannelClosedError:
        why = await child.end_reason()
        raise WatcherRefusedError(f"the watcher ended while it took the configuration{why}") from None
    except TimeoutError:
        raise WatcherRefusedError(f"the watcher did not take the configuration within {USE_TIMEOUT:g}s") from None
    if reply["refusal"] is not None:
        raise WatcherRefusedError(f"discovery and health checks cannot be started: {reply['refusal']}")
    outdated: Sequence[str] = reply["outdated"]
    return outdated
