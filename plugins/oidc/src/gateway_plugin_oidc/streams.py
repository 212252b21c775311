"""Responses and tunnels that last, by the session that they belong to: they end with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from weakref import WeakSet

from gateway_plugin_sdk import GatewayError, Request, Response

from gateway_plugin_oidc.session import Session

_LONG: int = 1 << 20
ENDED = "oidc.session-ended"
"""The reason with which a stream is aborted."""


def may_last(response: Response) -> bool:
    """Return whether a response may still be on its way when its session ends: a tunnel, a stream, a large file."""
    if response.status == 101:
        return True
    if not response.is_streamed:
        return not isinstance(response.body, bytes)
    length = response.content_length
    return length is None or length > _LONG


class Streams:
    """The requests whose responses last. A request that is over leaves by itself."""

    def __init__(self) -> None:
        self._by_session: dict[str, tuple[Session, WeakSet[Request]]] = {}

    def add(self, session: Session, request: Request) -> None:
        """Add a request whose response began in a session, which is kept as it was used last."""
        known, requests = self._by_session.get(session.id, (session, WeakSet()))
        requests.add(request)
        if known.seen > session.seen:
            session = known
        self._by_session[session.id] = session, requests

    def __len__(self) -> int:
        return sum(len(requests) for _, requests in self._by_session.values())

    async def end_those(self, is_over: Callable[[Session], Awaitable[bool]]) -> None:
        """Abort the streams whose sessions are over.

        :raises GatewayError: of some session it is not known; the streams of the others were ended.
        """
        unknown: GatewayError | None = None
        for id_, (session, requests) in list(self._by_session.items()):
            try:
                if requests and not await is_over(session):
                    continue
            except GatewayError as error:
                unknown = error
                continue
            for request in list(requests):
                request.abort(ENDED)
            self._by_session.pop(id_, None)
        if unknown is not None:
            raise unknown
