"""The process that ``gateway dev`` starts, and starts again when a file changes."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Final

import click

from gateway_core.cli.dev_project import Project, ProjectError
from gateway_core.config import ConfigError, Document
from gateway_core.errors import GatewayError
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response
from gateway_core.observe import CallRecorder, HookCall
from gateway_core.packages import PluginRegistry
from gateway_core.process import logs
from gateway_core.process.engine import Engine
from gateway_core.process.socket_table import SocketTable
from gateway_core.process.sockets import adopt
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.snapshot import load

_DRAIN: Final = 1.0


class Answers(Plugin[None]):
    """Prints what each request came to, below what its hooks did."""

    name = "dev-answers"
    default_on_error = "continue"

    @hookimpl
    def gateway_log(self, response: Response, record: Record) -> None:
        taken = f"{record.duration * 1000:.1f} ms"
        click.echo(f"  = {response.status} by {record.produced_by}, {record.bytes_sent} bytes in {taken}")


class CallPrinter:
    """Prints what each hook did, request by request."""

    def __init__(self) -> None:
        self._latest: Request | None = None

    def print(self, call: HookCall) -> None:
        """Print one call."""
        if call.plugin == Answers.name:
            return
        request = call.request
        if request is not self._latest:
            self._latest = request
            click.echo(f"{request.method} {request.received.target}")
        phase = call.phase.removeprefix("gateway_")
        click.echo(f"  {call.binding}.{phase}: {call.outcome} ({call.duration * 1e6:.0f} us)")


def serve(project: Project, config: Path, inherited: tuple[str, int] | None) -> int:
    """Serve until a signal comes; return the exit status.

    :param inherited: address and file descriptor of a listening socket that outlives this process.
    """
    logs.configure()
    registry = PluginRegistry()
    try:
        registry.register(Answers)
        project.register(registry)
        own = Document("gateway dev", f"plugins: [{{name: {Answers.name}}}]")
        loaded = load([config], registry=registry, environ=os.environ, documents=[own])
    except ProjectError as error:
        click.echo(str(error), err=True)
        return 1
    except ConfigError as error:
        click.echo(error.render(), err=True)
        return 1
    bundle = ConfigBundle(loaded.version, tuple(loaded.to_lines()))
    sockets = SocketTable({} if inherited is None else {inherited[0]: adopt(inherited[1])})
    try:
        return asyncio.run(_serve(bundle, registry, sockets))
    except (ConfigError, GatewayError) as error:
        click.echo(str(error), err=True)
        return 1


async def _serve(bundle: ConfigBundle, registry: PluginRegistry, sockets: SocketTable) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    engine = Engine(sockets, registry=registry, timings=CallRecorder(CallPrinter().print))
    try:
        prepared = await engine.prepare(bundle)
        sockets.bind(prepared.config.listen)
        await engine.commit(prepared)
        for url in engine.listeners.urls():
            click.echo(f"listening on {url}", err=True)
        await stop.wait()
    finally:
        await engine.stop(_DRAIN)
    return 0
