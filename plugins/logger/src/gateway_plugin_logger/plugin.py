"""The plugin: notes down requests that are over, and makes lines of them when there is time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from gateway_plugin_sdk import ConfigFinding, Plugin, PluginContext, Record, Request, Response, hookimpl

from gateway_plugin_logger.config import HttpSink, LoggerConfig, OtlpSink, SyslogSink
from gateway_plugin_logger.filters.expression import Predicate
from gateway_plugin_logger.findings import findings
from gateway_plugin_logger.formats.compiler import Renderer
from gateway_plugin_logger.open_sinks import (
    Extend,
    OpenSink,
    SinkContext,
    load_tls,
    make_filter,
    make_forms,
    open_sink,
    renderer_for,
)
from gateway_plugin_logger.sinks import destinations
from gateway_plugin_logger.sinks.stats import SinkStats

_BATCH: Final = 64
"""Requests that are noted down before their lines are made: a quarter of a millisecond of work."""
_BATCH_WITH_BODIES: Final = 2
"""The same if lines have bodies in them, each of which may take a millisecond."""
_LONGEST_WAIT: Final = 0.02
"""Seconds after which the lines of fewer requests are made."""

_NETWORK_SINKS: Final = (SyslogSink, HttpSink, OtlpSink)

Event = tuple[Request, Response, Record]
T = TypeVar("T")


class Logger(Plugin[LoggerConfig]):
    """Write a line for each request that is over, to files, syslog, HTTP or OpenTelemetry."""

    name = "logger"
    config_model = LoggerConfig
    default_on_error = "continue"

    @classmethod
    def check_config(cls, config: LoggerConfig) -> Iterable[ConfigFinding]:
        """See `findings`."""
        return findings(config)

    def __init__(self, config: LoggerConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self._events: list[Event] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._passes = make_filter(config)
        self._forms = make_forms(config, context.binding)
        captures = self._forms.captures
        self._request_body, self._response_body = captures.get("request_body"), captures.get("response_body")
        self._batch = _BATCH_WITH_BODIES if captures else _BATCH
        self.idle_hooks = frozenset(
            hook
            for hook, capture in (
                ("gateway_route_match", self._request_body),
                ("gateway_response", self._response_body),
            )
            if capture is None
        )
        if "plugin_times" in config.names:
            self.needs = frozenset({"hook-times"})
        self._open_sinks: list[OpenSink] = []
        self._routes: dict[Renderer, list[Extend]] = {}
        self._stats = SinkStats("format", context.metrics, context.clock, context.log)

    async def start(self) -> None:
        """Open the sinks; a file that cannot be opened rejects the configuration."""
        self._loop = asyncio.get_running_loop()
        sink_context = SinkContext(self.context.binding, self.metrics, self.clock, self.log)
        try:
            for sink in self.config.destinations:
                tls = await asyncio.to_thread(load_tls, sink) if isinstance(sink, _NETWORK_SINKS) else None
                opened = open_sink(sink, self.config, sink_context, tls)
                self._open_sinks.append(opened)
                renderer = renderer_for(sink, self._forms, self.context.binding)
                self._routes.setdefault(renderer, []).append(opened.extend)
        except OSError as error:
            await self.stop()
            where = error.filename or "a sink"
            raise OSError(
                error.errno, f"cannot open {where!r} for the access log: {error.strerror or error}"
            ) from error
        except ValueError:  # certificates
            await self.stop()
            raise
        destinations.OPEN.before_exit(self._make_all_lines)

    async def stop(self) -> None:
        """Make the last lines, and wait until they are out."""
        self._make_all_lines()
        destinations.OPEN.no_more_before_exit(self._make_all_lines)
        open_sinks, self._open_sinks = self._open_sinks, []
        self._routes, self._loop = {}, None
        await asyncio.gather(*(sink.close(self.config.stop_timeout) for sink in open_sinks))
        self._stats.report()

    @hookimpl
    def gateway_route_match(self, request: Request) -> None:
        """Keep the beginning of the request's body, if lines say it."""
        if self._request_body is not None:
            self._request_body.watch(request, request)

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        """Keep the beginning of the response's body, if lines say it."""
        if self._response_body is not None:
            self._response_body.watch(request, response)

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        """Note the request down; its line is made after some more requests, or some milliseconds."""
        events = self._events
        events.append((request, response, record))
        count = len(events)
        if count == 1:
            self._make_lines_within(_LONGEST_WAIT)
        elif count == self._batch:
            self._make_lines_within(0.0)

    def _make_lines_within(self, seconds: float) -> None:
        loop = self._loop
        if loop is None:
            self._stats.dropped(len(self._events), "stopped", "the binding is not running")
            self._events.clear()
        elif seconds:
            loop.call_later(seconds, self._make_some_lines)
        else:
            loop.call_soon(self._make_some_lines)

    def _make_some_lines(self) -> None:
        """Make the lines of some requests, and those of the rest after other work had its turn."""
        events = self._events[: self._batch]
        del self._events[: self._batch]
        self._make_lines(events)
        if self._events:
            self._make_lines_within(0.0)

    def _make_all_lines(self) -> None:
        events, self._events = self._events, []
        self._make_lines(events)

    def _make_lines(self, events: Sequence[Event]) -> None:
        chosen = events
        if self._passes is not None:
            chosen = self._chosen(self._passes, events)
        if not chosen:
            return
        for render, extends in self._routes.items():
            lines = self._lines(render, chosen)
            for extend in extends:
                extend(lines)

    # One odd request costs no other its line: where all at once fails, each has its turn alone.

    def _chosen(self, passes: Predicate, events: Sequence[Event]) -> Sequence[Event]:
        try:
            return [event for event in events if passes(*event)]
        except Exception:  # noqa: BLE001 - looked into one by one
            return [event for event in events if self._of_one(passes, event)]

    def _lines(self, render: Renderer, events: Sequence[Event]) -> list[str]:
        try:
            return [render(request, response, record) for request, response, record in events]
        except Exception:  # noqa: BLE001 - looked into one by one
            return [line for event in events if (line := self._of_one(render, event)) is not None]

    def _of_one(self, function: Callable[[Request, Response, Record], T], event: Event) -> T | None:
        try:
            return function(*event)
        except Exception as error:  # noqa: BLE001 - counted and logged; the other requests go on
            self._stats.dropped(1, "failed", repr(error))
            return None
