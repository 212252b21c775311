"""Several workers: started, told configurations, replaced one by one, and started anew when they crash.

The supervisor binds the sockets, imports no plugin, and serves nothing but the admin listener.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

from gateway_core.clock import Clock, SystemClock
from gateway_core.config import ConfigError, GatewayConfig, LoadedConfig
from gateway_core.config.sources import WatchSet
from gateway_core.errors import GatewayError
from gateway_core.hooks import SharedStores
from gateway_core.process import shared_folder, sockets
from gateway_core.process.certificates import files_of
from gateway_core.process.channel import ChannelClosedError
from gateway_core.process.child import AdoptedProcess, wait_for_exit
from gateway_core.process.commands import CommandReport, outcome_of
from gateway_core.process.cpus import available_cpus
from gateway_core.process.crashes import Crashes, exit_text
from gateway_core.process.handover import Handover, RestartNeededError
from gateway_core.process.listeners import SocketTable, bind_listeners, by_address
from gateway_core.process.merge import exposition, lasting, merge
from gateway_core.process.overview import own_samples, query_workers, status_of
from gateway_core.process.shared_values import from_plain, to_plain
from gateway_core.process.trial import TRIAL_TIMEOUT, start_in_sandbox
from gateway_core.process.watcher_handle import Watcher, WatcherRefusedError
from gateway_core.process.worker_handle import WorkerHandle, WorkerRefusedError, WorkerServices
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.snapshot.transfer import from_lines
from gateway_core.snapshot.yielder import Yielder
from gateway_core.tasks import Tasks, spawn
from gateway_core.upstreams.transport import tls_files

if TYPE_CHECKING:
    from gateway_core.process.preforked import PreforkedWorker

_logger = logging.getLogger("gateway.supervisor")

_LAUNCHED_AHEAD: Final = 2
_QUERY_TIMEOUT: Final = 5.0


class Supervisor:
    """A model of workers."""

    def __init__(
        self, handover: Handover | None = None, spares: Sequence[PreforkedWorker] = (), *, clock: Clock | None = None
    ) -> None:
        """Begin with nothing, or with what an earlier program left.

        :param spares: workers that wait to take the place of those that are left.
        """
        self.config = GatewayConfig()
        self._inherited = handover
        self._spares = list(spares)
        inherited = {} if handover is None else handover.listeners
        self._sockets = SocketTable({address: sockets.adopt(number) for address, number in inherited.items()})
        self._clock = clock or SystemClock()
        self._stores = SharedStores()
        if handover is not None:
            from_plain(handover.shared, self._stores, self._clock.monotonic())
        ticket_secret = (handover and handover.ticket_secret) or token_hex(32)
        self._watcher = Watcher(self._clock)
        self._services = WorkerServices(self._clock, self._stores, self.run_command, ticket_secret, self._watcher)
        self._bundle: ConfigBundle | None = None
        self._workers: dict[int, WorkerHandle] = {}
        self._leaving: set[WorkerHandle] = set()
        self._lost: list[Any] = [] if handover is None else list(handover.counts)
        self._crashes = Crashes()
        self._changing = asyncio.Lock()
        self._is_stopping = False
        self._tasks = Tasks()

    # -- configurations

    async def start(self, bundle: ConfigBundle) -> None:
        """Start all workers; with workers of an earlier program, replace them one by one."""
        loaded = await self._read(bundle)
        config = loaded.config
        try:
            await asyncio.to_thread(shared_folder.provide)
        except OSError as error:
            _logger.warning("there is no folder for what workers share, such as counters of rate limits: %s", error)
        new = await asyncio.to_thread(bind_listeners, self._sockets, loaded)
        async with self._changing:
            self._bundle, self.config = bundle, config
            if self._inherited is not None:
                await self._watcher.use(bundle, config)
                await self._take_over(self._inherited, bundle, has_new_listeners=bool(new))
                return
            watching, *started = await asyncio.gather(
                self._watcher.use(bundle, config),
                *(self._start_worker(number, bundle) for number in range(count_of(config))),
                return_exceptions=True,
            )
            for number, worker in enumerate(started):
                if isinstance(worker, WorkerHandle):
                    self._keep(number, worker)
            failed = [each for each in (watching, *started) if isinstance(each, BaseException)]
            if failed:
                raise _as_config_error(failed[0])

    async def apply(self, bundle: ConfigBundle) -> str:
        """Have every worker take a configuration, or none of them."""
        loaded = await self._read(bundle)
        config = loaded.config
        async with self._changing:
            reasons = self._reasons_to_roll(bundle, config)
            new = await asyncio.to_thread(bind_listeners, self._sockets, loaded)
            try:
                await self._watcher.use(bundle, config)
                told = await self._take(bundle, config, reasons)
            except (WatcherRefusedError, WorkerRefusedError, ChannelClosedError) as error:
                await self._restore()
                self._sockets.close(new)
                raise _as_config_error(error) from error
            self._bundle, self.config = bundle, config
            self._sockets.keep_only(config.listen)
            self._stores.keep_only({owner for worker in self._workers.values() for owner in worker.shared_owners})
        if reasons:
            return f"{told}; {len(self._workers)} workers replaced one by one, since {' and '.join(reasons)}"
        return f"{told}; {len(self._workers)} workers"

    async def _take(self, bundle: ConfigBundle, config: GatewayConfig, reasons: list[str]) -> str:
        assert self._bundle is not None
        new = bundle.plugins.keys() - self._bundle.plugins.keys()
        if not reasons and new:
            await start_in_sandbox(bundle, new, self._sockets.descriptors(), self._clock, seconds=TRIAL_TIMEOUT)
        if not reasons:
            try:
                return await self._together(bundle)
            except RestartNeededError as needed:
                reasons.append(f"they lack {needed}")
            except WorkerRefusedError as error:
                if not new:
                    raise
                # A plugin that is new may need what was upgraded along with it, and is imported there as it was.
                reasons.append(f"they refused a plugin that is new: {error}")
        return await self._roll(bundle, config)

    async def _read(self, bundle: ConfigBundle) -> LoadedConfig:
        return await from_lines(bundle.lines, Yielder(self._clock))

    def _reasons_to_roll(self, bundle: ConfigBundle, config: GatewayConfig) -> list[str]:
        """Say why running workers cannot take the configuration as they are."""
        assert self._bundle is not None
        running = self._bundle.plugins
        reasons = [
            f"{name} is {version} now"
            for name, version in bundle.plugins.items()
            if name in running and running[name] != version
        ]
        if any(listen.address not in self._sockets for listen in config.listen):
            reasons.append("there is a new listener")
        if count_of(config) != len(self._workers):
            reasons.append(f"their number is {count_of(config)} now")
        return reasons

    async def _together(self, bundle: ConfigBundle) -> str:
        workers = list(self._workers.values())
        answers = await asyncio.gather(*(worker.prepare(bundle) for worker in workers), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        if refused:
            await asyncio.gather(*(worker.discard() for worker in workers))
            raise refused[0]
        committed = await asyncio.gather(*(worker.commit(bundle.version) for worker in workers), return_exceptions=True)
        # A worker that died in between is replaced by one that starts with the new configuration.
        told = [answer["changes"] for answer in committed if not isinstance(answer, BaseException)]
        return str(told[0]) if told else "no worker left to tell what changed"

    async def _roll(self, bundle: ConfigBundle, config: GatewayConfig) -> str:
        """Replace the workers one by one, each when its successor is ready; the first new one is the canary."""
        wanted = count_of(config)
        launched: deque[asyncio.Task[WorkerHandle]] = deque()
        try:
            for number in range(wanted):
                # Interpreters take a while to start, so the next one does while this worker gets ready.
                for ahead in range(number + len(launched), min(number + _LAUNCHED_AHEAD, wanted)):
                    launched.append(spawn(self._launch(ahead), name=f"launch worker {ahead}", on_error=lambda _: None))
                self._keep(number, await self._make_ready(await launched.popleft(), bundle))
        finally:
            for worker in await asyncio.gather(*launched, return_exceptions=True):
                if isinstance(worker, WorkerHandle):
                    await _end(worker)
        for number in [number for number in self._workers if number >= wanted]:
            self._drain(self._workers.pop(number))
        return "all workers are new"

    async def _restore(self) -> None:
        """Bring back the old configuration where a replacement got through before another one failed."""
        assert self._bundle is not None
        with contextlib.suppress(WatcherRefusedError):
            await self._watcher.use(self._bundle, self.config)
        for number in [number for number, worker in self._workers.items() if worker.version != self._bundle.version]:
            try:
                self._keep(number, await self._start_worker(number, self._bundle))
            except WorkerRefusedError as error:
                _logger.error("worker %d cannot go back to the old configuration: %s", number, error)

    # -- workers

    async def _start_worker(self, number: int, bundle: ConfigBundle) -> WorkerHandle:
        """Start a worker and have it serve.

        :raises WorkerRefusedError: it cannot.
        """
        return await self._make_ready(await self._launch(number), bundle)

    async def _launch(self, number: int) -> WorkerHandle:
        """Start a process, or take one that waits."""
        listeners = self._sockets.descriptors()
        if self._spares:
            return await WorkerHandle.fill(number, self._spares.pop(0), listeners, self._services)
        return await WorkerHandle.start(number, listeners, self._services)

    async def _make_ready(self, worker: WorkerHandle, bundle: ConfigBundle) -> WorkerHandle:
        try:
            await worker.prepare(bundle)
            await worker.commit(bundle.version)
        except BaseException as error:
            await _end(worker)
            if isinstance(error, ChannelClosedError | TimeoutError):
                raise WorkerRefusedError(f"{worker} ended before it was ready") from error
            raise
        return worker

    def _keep(self, number: int, worker: WorkerHandle) -> None:
        """Have a ready worker in this place; the one that was there finishes and ends."""
        before = self._workers.get(number)
        self._workers[number] = worker
        self._crashes.note_start(number)
        self._tasks.spawn(self._watch(number, worker), name=f"watch {worker}")
        if before is not None:
            self._drain(before)

    def _drain(self, worker: WorkerHandle) -> None:
        worker.is_leaving = True
        self._leaving.add(worker)
        self._tasks.spawn(worker.drain(self.config.shutdown_timeout), name=f"drain {worker}")

    async def _watch(self, number: int, worker: WorkerHandle) -> None:
        """Wait for a worker's end, remember its counts, and replace it if nobody told it to end."""
        await worker.gone.wait()
        self._leaving.discard(worker)
        self._lost = merge([self._lost, lasting(worker.samples)])
        if worker.is_leaving or self._is_stopping:
            return
        _logger.error("%s ended unexpectedly (%s) and is replaced", worker, exit_text(worker.exit_status))
        how = f"it ended with {exit_text(worker.exit_status)}"
        self._crashes.note_end(number, self._clock.monotonic() - worker.started_at, how)
        await self._replace(number, worker)

    async def _replace(self, number: int, worker: WorkerHandle) -> None:
        while self._workers.get(number) is worker and not self._is_stopping:
            await asyncio.sleep(self._crashes.pause(number))
            async with self._changing:
                if self._workers.get(number) is not worker or self._is_stopping:
                    return
                assert self._bundle is not None
                try:
                    self._keep(number, await self._start_worker(number, self._bundle))
                except Exception as error:
                    # Whatever it is, no descriptors or no memory too, the place must not stay empty for ever.
                    is_new = self._crashes.note_refusal(number, str(error) or repr(error))
                    trace = None if isinstance(error, GatewayError | ConfigError | OSError) or not is_new else error
                    _logger.error("worker %d cannot be replaced yet: %s", number, error, exc_info=trace)

    # -- the program

    async def _take_over(self, handover: Handover, bundle: ConfigBundle, *, has_new_listeners: bool) -> None:
        """Replace the workers of the program that was here before; if the new ones cannot serve, those go on."""
        await self._adopt(handover)
        if has_new_listeners:
            self._drop_spares()  # they were forked without them
        try:
            await self._roll(bundle, self.config)
        except (WorkerRefusedError, ChannelClosedError) as error:
            if not self._workers:
                raise _as_config_error(error) from error
            _logger.error("the workers of the new program cannot serve, the old ones go on: %s", error)
        else:
            self._sockets.keep_only(self.config.listen)
        self._drop_spares()

    def _drop_spares(self) -> None:
        while self._spares:
            spare = self._spares.pop()
            spare.sock.close()
            self._tasks.spawn(wait_for_exit(AdoptedProcess(spare.pid)), name="reap a spare worker")

    async def _adopt(self, handover: Handover) -> None:
        for number, left in enumerate(handover.workers):
            worker = await WorkerHandle.adopt(number, left, self._services)
            self._keep(number, worker)

    async def restart(self, bundle: ConfigBundle) -> Handover:
        """Return what a new program takes over; it replaces the workers, which serve until then."""
        # Never released: nothing is to change any more.
        await self._changing.acquire()
        # First no worker changes a shared value any more, then they are written down.
        await self._watcher.aclose()
        left = [await worker.leave() for worker in self._workers.values()]
        shared = to_plain(self._stores, self._clock.monotonic())
        secret = self._services.ticket_secret
        return Handover(self._sockets.duplicates(), left, bundle, self._lost, shared, secret)

    async def stop(self, deadline: float) -> None:
        """Drain all workers at once."""
        self._is_stopping = True
        self._drop_spares()
        workers = [*self._workers.values(), *self._leaving]
        # The workers have copies, and close them once they have taken in who has connected already.
        self._sockets.keep_only(())
        await asyncio.gather(*(worker.drain(deadline) for worker in workers))
        await self._watcher.aclose()
        await self._tasks.aclose()
        await asyncio.to_thread(shared_folder.remove)

    def reopen_files(self) -> None:
        """Pass SIGUSR1 on: plugins, and so their files, live in the workers."""
        for worker in [*self._workers.values(), *self._leaving]:
            worker.reopen_files()

    def urls(self) -> Sequence[str]:
        """Return where it listens."""
        return [
            sockets.url_of(self._sockets[address], "http" if configs[0].tls is None else "https")
            for address, configs in by_address(self.config.listen).items()
        ]

    def files(self) -> WatchSet:
        """Return the certificate files, of listeners and of upstreams."""
        listen = self.config.listen
        listeners = [file for each in listen if each.tls is not None for file in files_of(each.tls)]
        return WatchSet.of([*listeners, *tls_files(self.config.upstreams)])

    # -- what the admin listener shows

    async def status(self, timeout: float = _QUERY_TIMEOUT) -> Mapping[str, Any]:  # noqa: ASYNC109 - the workers'
        """Return the version in force, each worker's state, and why others are missing."""
        serving = [number for number, worker in self._workers.items() if not worker.gone.is_set()]
        answers = await query_workers(self._workers.values(), "status", "status", timeout=timeout)
        version = None if self._bundle is None else self._bundle.version
        status = status_of(version, answers, serving, self._crashes.missing())
        return {**status, "watcher": self._watcher.pid}

    async def run_command(self, binding: str, command: str, arguments: Mapping[str, Any]) -> CommandReport:
        """Run a command of a binding in every worker."""
        workers = sorted((number, worker) for number, worker in self._workers.items() if not worker.gone.is_set())
        running = (outcome_of(worker.run_command(binding, command, arguments), number) for number, worker in workers)
        return CommandReport(await asyncio.gather(*running))

    async def plugins(self) -> Mapping[str, Any]:
        """Return what the admin listener shows of plugins, by worker."""
        answers = await query_workers(self._workers.values(), "plugins", "plugins", timeout=_QUERY_TIMEOUT)
        return {"workers": [{"number": each.number, "pid": each.pid, **answer["plugins"]} for each, answer in answers]}

    async def exposition(self) -> bytes:
        """Return the sum of the workers' metrics, those that are gone included."""
        await query_workers(self._workers.values(), "metrics", "samples", timeout=_QUERY_TIMEOUT)
        serving = sum(not worker.gone.is_set() for worker in self._workers.values())
        own = own_samples(count_of(self.config), serving, self._crashes.total)
        watched = await self._watcher.samples()
        parts = [own, watched, self._lost, *(worker.samples for worker in [*self._workers.values(), *self._leaving])]
        return await asyncio.to_thread(lambda: exposition(merge(parts)))


def count_of(config: GatewayConfig) -> int:
    """Return the number of workers that a configuration asks for."""
    return config.workers or available_cpus()


async def _end(worker: WorkerHandle) -> None:
    """End a worker that does not serve yet."""
    worker.is_leaving = True
    worker.kill()
    await worker.gone.wait()


def _as_config_error(error: BaseException) -> BaseException:
    if isinstance(error, WorkerRefusedError):
        if error.problems:
            return ConfigError(error.problems)
        return error
    return GatewayError(str(error)) if isinstance(error, ChannelClosedError) else error
