"""One line in the log for each limit that clients meet, by route, however many requests do.

A limit that is too low, and a client that sends too much, look alike to clients: what they get is in access logs only
where there is a logger. Off the request path: called only for requests that are refused or cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway_core.events import LIMIT_REACHED, Repeats, emit, repeated
from gateway_core.messages import Request
from gateway_core.reasons import (
    BODY_TOO_LARGE,
    BODY_TOO_SLOW,
    CLIENT_TOO_SLOW,
    HEAD_TIMEOUT,
    HEAD_TOO_LARGE,
    LIMIT_CONNECTIONS,
    LIMIT_REQUESTS,
    REQUEST_TIMEOUT,
    TARGET_TOO_LONG,
    TEXT_TOO_LONG,
)

_LIMITS: Final = frozenset(
    {
        BODY_TOO_LARGE,
        BODY_TOO_SLOW,
        CLIENT_TOO_SLOW,
        HEAD_TIMEOUT,
        HEAD_TOO_LARGE,
        LIMIT_REQUESTS,
        REQUEST_TIMEOUT,
        TARGET_TOO_LONG,
        TEXT_TOO_LONG,
    }
)
"""Reasons that are a limit's; those of upstreams are written with the upstream's name elsewhere."""


class LimitEvents:
    """The limits that the clients of this process meet."""

    __slots__ = ("_now", "_repeats")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._repeats = Repeats()

    def note(self, reason: str, detail: str | None, request: Request) -> None:
        """Report a request that ended for a reason, if that is a limit.

        :param reason: a code of `gateway_core.reasons`.
        :param request: the line names its client; of those that it stands for, it is the last one.
        """
        if reason in _LIMITS:
            route = request.route
            self._report(reason, detail or reason, request.client_ip, None if route is None else route.id)

    def connection(self, detail: str, client: str) -> None:
        """Report a connection that was not admitted.

        :param client: its address.
        """
        self.client(LIMIT_CONNECTIONS, detail, client)

    def client(self, reason: str, detail: str, client: str) -> None:
        """Report a limit that a client met before there was a request.

        :param client: its address.
        """
        self._report(reason, detail, client, None)

    def _report(self, reason: str, detail: str, client: str, route: str | None) -> None:
        if not (count := self._repeats.count((reason, route), self._now())):
            return
        where = f"route {route}: " if route else ""
        text = f"{where}{detail}, client {client or '-'}{repeated(count)}"
        emit(LIMIT_REACHED, text, limit=reason, route=route, client=client or None, count=count)
