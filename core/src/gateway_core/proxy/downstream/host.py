"""What connections, and the servers that make them, use of the process's `Proxy`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway_core.proxy.date_field import DateField
from gateway_core.proxy.downstream.connections import Connections, Turns
from gateway_core.proxy.downstream.shutdown import Shutdown
from gateway_core.proxy.running_exchange import ExchangeHost
from gateway_core.proxy.sweeper import Expiring


class ConnectionHost(ExchangeHost, Protocol):
    """The `Proxy`, for a connection."""

    connections: Connections
    ending: set[Shutdown]
    turns: Turns
    date: DateField

    next_id: Callable[[], str]
    """Returns a new request id."""


class ServerHost(ConnectionHost, Protocol):
    """The `Proxy`, for who accepts connections."""

    beginnings: set[Expiring]
    """Connections that were accepted and whose protocol is not chosen yet."""
