"""What exchanges use of the process's `Proxy`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random
from typing import Protocol

from gateway_core.config import LimitsConfig
from gateway_core.proxy.date_field import DateField
from gateway_core.proxy.telemetry import Telemetry
from gateway_core.proxy.tunnel import Tunnel
from gateway_core.proxy.upstream.directory import UpstreamDirectory
from gateway_core.snapshot import SnapshotHolder


class RunningExchange(Protocol):
    """An exchange in progress, as the proxy sees it."""

    @property
    def deadline(self) -> float:
        """Monotonic seconds."""

    def expire(self, now: float) -> None:
        """Act on the deadline, which is over."""

    def snapshot_replaced(self) -> None:
        """Called when another snapshot is in force."""


class ExchangeHost(Protocol):
    """The `Proxy`, for its exchanges."""

    now: Callable[[], float]
    wall: Callable[[], float]
    rng: Random
    log: logging.Logger
    date: DateField
    holder: SnapshotHolder
    telemetry: Telemetry
    upstreams: UpstreamDirectory
    exchanges: set[RunningExchange]
    tunnels: set[Tunnel]
    keeps_alive: bool

    @property
    def limits(self) -> LimitsConfig:
        """Those of the snapshot in force."""
