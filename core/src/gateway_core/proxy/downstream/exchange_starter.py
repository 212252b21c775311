"""Makes the exchanges of one connection, of refused heads as well, and knows what the last request asked for."""

from __future__ import annotations

from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.downstream.host import ConnectionHost
from gateway_core.proxy.downstream.http1_writer import Http1ResponseWriter
from gateway_core.proxy.exchange import Exchange
from gateway_core.proxy.inbound_head import InboundHead
from gateway_core.proxy.wire.request_head import ALLOWED_METHODS, HeadProblem
from gateway_core.snapshot import Snapshot


class ExchangeStarter:
    """One per connection."""

    __slots__ = ("_client", "_host", "_writer", "count", "expects_more", "may_switch")

    def __init__(self, host: ConnectionHost, client: Client, writer: Http1ResponseWriter) -> None:
        self._host = host
        self._client = client
        self._writer = writer
        self.count = 0
        """Requests so far."""
        self.expects_more = False
        """Whether the client may send something behind the last request."""
        self.may_switch = False
        """Whether the last request asks for another protocol."""

    def exchange(self, head: InboundHead, snapshot: Snapshot) -> Exchange:
        """Return a new exchange for a request, to be started."""
        host, writer, facts = self._host, self._writer, head.facts
        writer.begin(head)
        self.count += 1
        if 0 < snapshot.limits.max_requests_per_connection <= self.count:
            writer.keep_alive = False
        self.expects_more = facts.keep_alive
        self.may_switch = facts.upgrade is not None
        request = head.request(head.origin.request_id or host.next_id(), host.now())
        return Exchange(host, writer, snapshot, head, request, self._client)

    def refused(self, problem: HeadProblem, snapshot: Snapshot) -> Exchange:
        """Return a new exchange for what is no request, or one that is not served; for its log. It is to be refused."""
        exchange = self.exchange(self._client.refused(problem, snapshot), snapshot)
        self.expects_more = True  # what else the client sent, or sends, is not read
        return exchange


def respond_to_options(exchange: Exchange, head: InboundHead) -> None:
    """Say what the gateway itself serves (RFC 9110 sections 7.6.2 and 9.3.7)."""
    facts = head.facts
    # A body is not read, so the connection cannot be used any further.
    exchange.refuse(200, "", "", allow=ALLOWED_METHODS, close=facts.chunked or facts.content_length > 0)
