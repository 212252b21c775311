"""The role of a worker: it serves the configuration that the supervisor sends.

One task reads the channel to the end, so that replies to this worker's own calls (shared values, commands of all
workers) reach who waits for them at once. Commands run in tasks of their own; everything else is done one after the
other by `Worker.run`. So a plugin that is stopped, which holds that up, can still use shared values.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from gateway_core.clock import SystemClock
from gateway_core.config import ConfigError, problem_to_json
from gateway_core.errors import GatewayError
from gateway_core.events import WORKER_CALL_FAILED, WORKER_ORPHANED, emit, listeners
from gateway_core.hooks import CommandError, PluginServices, as_json
from gateway_core.observe.tail_filter import TailFilter
from gateway_core.process import logs, sockets
from gateway_core.process.channel import Channel, ChannelClosedError, Message, error_fields
from gateway_core.process.engine import Engine, Prepared
from gateway_core.process.live_link import WATCH, Outbox, filters_of, watch_requests
from gateway_core.process.override_table import OVERRIDES, from_plain
from gateway_core.process.plugin_services import COMMAND, EVERYWHERE, RemoteShared, outcome_to_plain
from gateway_core.process.route_use import RouteUse
from gateway_core.process.socket_table import SocketTable
from gateway_core.process.tls import inherited_base_contexts
from gateway_core.process.traffic_meter import TrafficMeter
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.tasks import Tasks
from gateway_core.upstreams.received import ReceivedMonitor

Handler = Callable[[Message], Awaitable[None]]

_HARMLESS: Final = frozenset({"status", "metrics", "plugins", "traffic", "used_routes", OVERRIDES})
"""Kinds of messages whose failure leaves what is served as it is."""


class Worker:
    """Does what the supervisor says, until it says to end or is gone."""

    def __init__(self, channel: Channel, number: int) -> None:
        self._channel = channel
        self._number = number
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        """What is to be done one after the other; None at the end of the channel."""
        self._engine: Engine | None = None
        self._monitor = ReceivedMonitor(SystemClock())
        """What the watcher finds, which may arrive before anything else."""
        self._table = SocketTable()
        self._lines: list[bytes] = []
        """Of the configuration that is being sent."""
        self._prepared: Prepared | None = None
        self._tasks = Tasks()
        self._reading = Tasks()
        self._outbox = Outbox(channel, SystemClock())
        listeners[:] = [self._outbox.note]  # in place of what the process had that this one was forked from
        self._meter: TrafficMeter | None = None
        self._route_use: RouteUse | None = None
        self._filters: Sequence[TailFilter] = ()
        """Which requests are watched."""
        self.deadline = 30.0
        """Seconds that requests may take once it is to end."""

    @property
    def engine(self) -> Engine:
        """The engine, once the supervisor has sent its hello."""
        assert self._engine is not None
        return self._engine

    async def run(self) -> None:
        """Serve until the supervisor says to end, or is gone."""
        handlers = {
            "hello": self._hello,
            "part": self._part,
            "prepare": self._prepare,
            "commit": self._commit,
            "discard": self._discard,
            "status": self._status,
            "metrics": self._metrics,
            "plugins": self._plugins,
            "traffic": self._traffic,
            "used_routes": self._used_routes,
            OVERRIDES: self._override,
        }
        self._reading.spawn(self._read(), name="read the supervisor's messages")
        self._reading.supervise(self._outbox.run, name="send live events")
        try:
            while (message := await self._messages.get()) is not None:
                if message.kind == "drain":
                    self.deadline = message["deadline"]
                    break
                await self._handle(handlers[message.kind], message)
            else:
                raise ChannelClosedError("the supervisor is gone")
        except ChannelClosedError:
            if self._engine is not None:
                emit(WORKER_ORPHANED, "the supervisor is gone: finishing")
        await self._end()
        await self._reading.aclose()

    async def _handle(self, handler: Handler, message: Message) -> None:
        """Do what a message says; what leaves the configuration as it is must not end a worker that serves."""
        try:
            await handler(message)
        except ChannelClosedError:
            raise
        except Exception as error:
            if message.kind not in _HARMLESS:
                raise
            emit(
                WORKER_CALL_FAILED,
                f"{message.kind} failed: {error!r}",
                error=error,
                call=message.kind,
                reason=repr(error),
            )
            if "call" in message.fields:
                await self._channel.reply(message, **error_fields(error))

    async def _read(self) -> None:
        try:
            while True:
                message = await self._channel.receive()
                if message.kind == "finding":
                    self._receive(message)
                elif message.kind == WATCH:
                    self._watch(message)
                elif message.kind == COMMAND:
                    self._reading.spawn(self._command(message), name="run a command")
                else:
                    self._messages.put_nowait(message)
        except ChannelClosedError:
            pass
        finally:
            # Whatever it was: who hears nothing any more must not serve on.
            self._messages.put_nowait(None)

    def _watch(self, message: Message) -> None:
        self._filters = filters_of(message)
        self._follow_filters()
        if "call" in message.fields:
            self._reading.spawn(self._channel.reply(message), name="confirm what is watched", on_error=lambda _: None)

    def _follow_filters(self) -> None:
        if self._engine is not None:
            watch_requests(self._engine.proxy, self._filters, self._outbox.put_request, self._outbox.lose_request)

    def _receive(self, message: Message) -> None:
        try:
            self._monitor.receive(message["finding"])
        except Exception as error:  # noqa: BLE001 - the channel has to be read on, whatever a strategy or a pool does
            emit(WORKER_CALL_FAILED, "a finding of the watcher cannot be used", error=error, call="finding")

    async def _hello(self, message: Message) -> None:
        self._number = message["number"]
        self._table = SocketTable({address: sockets.adopt(number) for address, number in message["listeners"].items()})
        services = PluginServices(RemoteShared(self._channel), self._everywhere)
        self._engine = Engine(
            self._table,
            services=services,
            base_contexts=inherited_base_contexts(),
            monitor=self._monitor if message["is_watched"] else None,
            owns_process=True,
        )
        self._meter = TrafficMeter(self._engine)
        self._route_use = RouteUse(self._engine.metrics)
        self._follow_filters()

    async def _everywhere(self, binding: str, command: str, arguments: Mapping[str, Any]) -> list[Any]:
        reply = await self._channel.call(EVERYWHERE, binding=binding, command=command, arguments=as_json(arguments))
        if reply["failure"] is not None:
            raise CommandError(reply["failure"])
        results: list[Any] = reply["results"]
        return results

    async def _command(self, message: Message) -> None:
        outcomes = await self.engine.run_command(message["binding"], message["command"], message["arguments"])
        with contextlib.suppress(ChannelClosedError):
            await self._channel.reply(message, outcomes=[outcome_to_plain(outcome) for outcome in outcomes])

    async def _part(self, message: Message) -> None:
        self._lines += message.body.split(b"\n")

    async def _prepare(self, message: Message) -> None:
        lines = tuple(self._lines)
        self._lines.clear()
        # In a task, so that the supervisor can ask for status and metrics meanwhile.
        bundle = ConfigBundle(message["version"], lines, plugins=message["plugins"])
        self._tasks.spawn(self._build(message, bundle), name="prepare a configuration")

    async def _build(self, message: Message, bundle: ConfigBundle) -> None:
        outdated = self.engine.changed_plugins(bundle.plugins)
        if outdated:
            await self._channel.reply(message, outdated=outdated, refusal=None, problems=[])
            return
        refusal, problems = None, []
        try:
            self._prepared = await self.engine.prepare(bundle)
        except ConfigError as error:
            refusal, problems = "it cannot be started", [problem_to_json(problem) for problem in error.problems]
        except (GatewayError, ValueError, OSError) as error:
            refusal = str(error)
        except Exception as error:  # noqa: BLE001 - what a plugin does wrong
            emit(WORKER_CALL_FAILED, "preparing a configuration failed", error=error, call="prepare")
            refusal = repr(error)
        await self._channel.reply(message, outdated=[], refusal=refusal, problems=problems)

    async def _commit(self, message: Message) -> None:
        prepared, self._prepared = self._prepared, None
        assert prepared is not None
        changes = await self.engine.commit(prepared)
        self.engine.listeners.take_waiting()
        self._table.forget(but=prepared.config.listen)
        logs.configure(prepared.config.log, process=f"worker {self._number}")
        self.deadline = prepared.config.shutdown_timeout
        await self._channel.reply(message, changes=str(changes), shared_owners=await self.engine.shared_owners())

    async def _discard(self, _message: Message) -> None:
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            await self.engine.discard(prepared)

    async def _override(self, message: Message) -> None:
        self.engine.overrides.put(from_plain(message["overrides"]))
        if "call" in message.fields:  # what a worker begins with has no reply
            await self._channel.reply(message)

    async def _status(self, message: Message) -> None:
        await self._channel.reply(message, status=self.engine.status())

    async def _plugins(self, message: Message) -> None:
        await self._channel.reply(message, plugins=await self.engine.plugins())

    async def _traffic(self, message: Message) -> None:
        assert self._meter is not None
        text, spent = self._meter.timed()
        await self._channel.reply(message, text, spent=spent)

    async def _used_routes(self, message: Message) -> None:
        assert self._route_use is not None
        await self._channel.reply(message, routes=self._route_use.moved())

    async def _metrics(self, message: Message) -> None:
        await self._channel.reply(message, await self._samples())

    async def _samples(self) -> bytes:
        return await asyncio.to_thread(lambda: self.engine.metrics.collect().dump())

    async def _end(self) -> None:
        """Finish what is under way; keep reporting numbers meanwhile, and report the last ones."""
        await self._tasks.aclose()
        if self._engine is None:
            return
        replying = Tasks()
        replying.spawn(self._reply_while_ending(), name="reply while ending")
        await self._engine.stop(self.deadline, self._table.forget)
        await replying.aclose()
        try:
            await self._outbox.flush()
            await self._channel.send("samples", await self._samples())
        except ChannelClosedError:
            return
        self._channel.close()

    async def _reply_while_ending(self) -> None:
        handlers: dict[str, Any] = {
            "status": self._status,
            "metrics": self._metrics,
            "traffic": self._traffic,
            "used_routes": self._used_routes,
        }
        with contextlib.suppress(ChannelClosedError):
            while (message := await self._messages.get()) is not None:
                if message.kind in handlers:
                    await self._handle(handlers[message.kind], message)
