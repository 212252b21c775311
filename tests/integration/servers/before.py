"""A gateway before a server: plain on asyncio's loop, TLS on uvloop's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvloop
from gateway_core.testing import RunningGateway

from tests.core.process.certificates import Pair


@contextmanager
def gateway_before(
    url: str,
    loop: str,
    pair: Pair | None = None,
    *,
    more: dict[str, Any] | None = None,
    plugins: Any = (),
    **upstream: Any,
) -> Iterator[RunningGateway]:
    """Run a gateway that sends everything to one upstream.

    :param loop: ``asyncio`` or ``uvloop``.
    :param pair: the certificate of a TLS listener; without it the listener is plain.
    :param more: of the configuration.
    :param upstream: settings of the upstream.
    """
    listen: dict[str, Any] = {"name": "only", "address": "127.0.0.1:0"}
    if pair is not None:
        listen["tls"] = pair.config()
    config = {
        "listen": [listen],
        "upstreams": [{"name": "u", "endpoints": [{"url": url}], "preserve_host": True, **upstream}],
        "routes": [{"id": "all", "path_prefix": "/", "target": "u"}],
        **(more or {}),
    }
    policy = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy() if loop == "uvloop" else None)
    try:
        running = RunningGateway(config, plugins=plugins)
    finally:
        asyncio.set_event_loop_policy(policy)
    with running:
        yield running
