"""The plugin: writes a line for each request that is over, and hands lines to the sinks some at a time.

Lines are made some at a time, since code that runs again at once takes half as long as code that was not run since the
last request. A request is kept until then: for 64 others, or for 20 ms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from gateway_plugin_sdk import ConfigFinding, Plugin, PluginContext, Record, Request, Response, hookimpl

from gateway_plugin_logger.config import HttpSink, LoggerConfig, OtlpSink, SyslogSink
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

_KEPT: Final = 64
"""Requests whose lines are made and handed to the sinks at once: that takes less than half a millisecond."""
_LONGEST_WAIT: Final = 0.02
"""Seconds after which fewer are."""

_NETWORK_SINKS: Final = (SyslogSink, HttpSink, OtlpSink)


class Form:
    """One form of line, and the sinks that take it."""

    __slots__ = ("extends", "render")

    def __init__(self, render: Renderer) -> None:
        self.render = render
        self.extends: list[Extend] = []


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
        self._kept: list[tuple[Request, Response, Record]] = []  # whose lines are still to be made
        self._is_timed = False  # they are handed over when the timer ends, at the latest
        self._loop: asyncio.AbstractEventLoop | None = None
        self._passes = make_filter(config)
        self._forms = make_forms(config, context.binding)
        captures = self._forms.captures
        self._request_body, self._response_body = captures.get("request_body"), captures.get("response_body")
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
        self._lines: dict[Renderer, Form] = {}
        self._stats = SinkStats("format", context.metrics, context.clock, context.log)

    async def start(self) -> None:
        """Open the sinks; a file that cannot be opened rejects the configuration."""
        self._loop, self._is_timed = asyncio.get_running_loop(), False
        sink_context = SinkContext(self.context.binding, self.metrics, self.clock, self.log)
        try:
            for sink in self.config.destinations:
                tls = await asyncio.to_thread(load_tls, sink) if isinstance(sink, _NETWORK_SINKS) else None
                opened = open_sink(sink, self.config, sink_context, tls)
                self._open_sinks.append(opened)
                renderer = renderer_for(sink, self._forms, self.context.binding)
                self._lines.setdefault(renderer, Form(renderer)).extends.append(opened.extend)
        except OSError as error:
            await self.stop()
            where = error.filename or "a sink"
            raise OSError(
                error.errno, f"cannot open {where!r} for the access log: {error.strerror or error}"
            ) from error
        except ValueError:  # certificates
            await self.stop()
            raise
        destinations.OPEN.before_exit(self._hand_over)

    async def stop(self) -> None:
        """Wait until the last lines are out."""
        self._hand_over()
        destinations.OPEN.no_more_before_exit(self._hand_over)
        open_sinks, self._open_sinks = self._open_sinks, []
        self._lines, self._loop = {}, None
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
        """Keep the request until its line is made, with some others or some milliseconds later."""
        loop, passes = self._loop, self._passes
        if loop is None:
            self._stats.dropped(1, "stopped", "the binding is not running")
            return
        if passes is not None:
            try:
                if not passes(request, response, record):
                    return
            except Exception as error:  # noqa: BLE001 - counted and logged: one odd request costs no other its line
                self._stats.dropped(1, "failed", repr(error))
                return
        kept = self._kept
        kept.append((request, response, record))
        if len(kept) == _KEPT:
            self._hand_over()
        elif not self._is_timed:
            self._is_timed = True  # one timer at a time: full batches do not wait for it
            loop.call_later(_LONGEST_WAIT, self._time_out)

    def _time_out(self) -> None:
        self._is_timed = False
        self._hand_over()

    def _hand_over(self) -> None:
        """Make the lines of the requests that are kept, and give them to the sinks."""
        kept, self._kept = self._kept, []
        for form in self._lines.values():
            render, lines = form.render, list[str]()
            for request, response, record in kept:
                try:
                    lines.append(render(request, response, record))
                except Exception as error:  # noqa: BLE001 - counted and logged: one odd request costs no other its line
                    self._stats.dropped(1, "failed", repr(error))
            if lines:
                for extend in form.extends:
                    extend(lines)
