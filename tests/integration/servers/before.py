"""A gateway before a server: plain on asyncio's loop, TLS on uvloop's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gateway_core.testing import RunningGateway

from tests.core.process.certificates import Pair
from tests.event_loops import new_loops


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
    with new_loops(loop):
        running = RunningGateway(config, plugins=plugins)
    with running:
        yield running
