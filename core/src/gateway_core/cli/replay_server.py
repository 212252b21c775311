"""The process in which ``gateway replay`` serves a configuration: the engine of ``gateway run`` on free ports.

It is run with paths and sources as its arguments, and ends when its standard input does, so that it outlives no parent,
however that ends. On standard output, where plugins cannot print, it writes lines of JSON: ``listeners`` once it
serves, or ``failed`` and why; then ``port``, ``started``, ``route`` and ``upstream`` of each request that is over.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from gateway_core.cli.reporting import fetch_sources, sources_of
from gateway_core.config import ConfigError, ListenConfig, LoadedConfig
from gateway_core.config.address import parse_listen
from gateway_core.config.source import paths_of
from gateway_core.config.sources import parse_root
from gateway_core.errors import GatewayError
from gateway_core.messages import Response
from gateway_core.packages import PluginRegistry
from gateway_core.process import logs, sockets
from gateway_core.process.engine import Engine
from gateway_core.process.socket_table import SocketTable, by_address
from gateway_core.proxy.tail import Tail, WatchedExchange
from gateway_core.proxy.telemetry import Responded, make_record
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.snapshot import load

_DRAIN: Final = 1.0
_FREE: Final = "127.0.0.1:0"

Say = Callable[[Mapping[str, Any]], None]


class Decisions(Tail):
    """Says what became of each request, by the port that its client has."""

    def __init__(self, say: Say) -> None:
        super().__init__(say, lambda: None)  # `note` puts nothing, so it loses nothing
        self._say = say

    def note(
        self,
        exchange: WatchedExchange,
        sent: Responded | None,
        response: Response | None,
        status: int,  # noqa: ARG002 - as the base class has it
        seconds: float,
        now: float,
    ) -> None:
        """Say it."""
        request = exchange.request
        route = None if exchange.route is None else exchange.route.info.id
        upstream = make_record(exchange, sent, response, seconds, now).upstream or None
        self._say({"port": request.peer_port, "started": request.started, "route": route, "upstream": upstream})


def on_free_ports(loaded: LoadedConfig) -> tuple[LoadedConfig, SocketTable]:
    """Return a configuration whose listeners speak plain HTTP on free loopback ports, and their sockets.

    Listeners that share an address share one. There is no admin listener, and no traces are exported.
    """
    listen: dict[int, ListenConfig] = {}
    table = {}
    for group in by_address(loaded.config.listen).values():
        sock = sockets.bind(parse_listen(_FREE), _FREE)
        address = f"127.0.0.1:{sock.getsockname()[1]}"
        table[address] = sock
        changes = {"address": address, "tls": None, "proxy_protocol": False, "mode": None, "owner": None}
        listen.update({id(each): each.model_copy(update=changes) for each in group})
    replaced = tuple(listen[id(each)] for each in loaded.config.listen)
    config = loaded.config.model_copy(update={"listen": replaced, "admin": None, "tracing": None})
    return replace(loaded, config=config), SocketTable(table)


async def _serve(loaded: LoadedConfig, registry: PluginRegistry, say: Say) -> None:
    """Serve until standard input ends."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, lambda: None if os.read(0, 4096) else ended.set())
    loaded, table = on_free_ports(loaded)
    engine = Engine(table, registry=registry)
    try:
        prepared = await engine.prepare(ConfigBundle(loaded.version, tuple(loaded.to_lines())))
        await engine.commit(prepared)
        engine.proxy.tail = Decisions(say)
        say({"listeners": [_describe(each) for each in loaded.config.listen]})
        await ended.wait()
    finally:
        asyncio.get_running_loop().remove_reader(0)
        await engine.stop(_DRAIN)


def _describe(listener: ListenConfig) -> Mapping[str, Any]:
    redirects = listener.https_redirect is not None
    return {"name": listener.name, "url": f"http://{listener.address}", "redirects": redirects}


def _sayer() -> Say:
    """Return what writes to standard output, which is that of nothing else from now on."""
    output = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return lambda value: _write(output, f"{json.dumps(value)}\n".encode())


def _write(output: int, line: bytes) -> None:
    try:
        while line:
            line = line[os.write(output, line) :]
    except BrokenPipeError:
        pass  # the parent is gone, and standard input with it


def main(texts: Sequence[str]) -> int:
    """Serve the configuration of these paths and sources."""
    say = _sayer()
    logs.configure()
    registry = PluginRegistry()
    try:
        roots = tuple(parse_root(text) for text in texts)
        documents = fetch_sources(sources_of(roots, os.environ))
        loaded = load(paths_of(roots), registry=registry, environ=os.environ, documents=documents)
        asyncio.run(_serve(loaded, registry, say))
    except ConfigError as error:
        say({"failed": error.render()})
        return 1
    except (GatewayError, OSError, ValueError) as error:
        say({"failed": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
