"""Requests that are over, one by one, for those who watch them: made only while there is a stream for them.

What is shown is what access logs show by default, and nothing else of a request: no bodies, no fields but those that a
filter names (never credentials, see `may_be_secret`), and the values of parameters that are credentials are hidden
(`SECRET_PARAMETERS`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from gateway_core.events import TAIL_FAILED, emit
from gateway_core.messages import Record, Request, Response
from gateway_core.messages.secret_queries import SECRET_PARAMETERS, make_query_mask
from gateway_core.observe.tail_filter import TailFilter
from gateway_core.proxy.telemetry import EndedExchange, Responded, make_record
from gateway_core.proxy.wire.request_head import RequestHead

_AUTHORITY: Final = re.compile(r"[^/?#]*")
_mask_query: Final = make_query_mask(SECRET_PARAMETERS)
_LONGEST: Final = 1000
"""Characters of a path, a query or an error."""
_MOST_REFUSALS: Final = 10
_REFUSAL: Final = ".refusal"
"""End of the key under which a plugin leaves why it refused: its name, and this."""


class WatchedExchange(EndedExchange, Protocol):
    """An exchange at its end, with its request."""

    head: RequestHead

    @property
    def request(self) -> Request:
        """The request as hooks see it."""


class Tail:
    """What this process shows of its requests."""

    def __init__(self, put: Callable[[Mapping[str, Any]], None], lose: Callable[[], None]) -> None:
        """Show nothing yet.

        :param put: takes each request; never waits.
        :param lose: called for one that could not be shown.
        """
        self.filters: Sequence[TailFilter] = ()
        """A request is shown that matches one of them."""
        self._put, self._lose = put, lose
        self._has_failed = False

    def note(
        self,
        exchange: WatchedExchange,
        sent: Responded | None,
        response: Response | None,
        status: int,
        seconds: float,
        now: float,
    ) -> None:
        """Show a request that is over, if it matches; never raises.

        :param sent: what sent it upstream.
        :param response: what the client was sent; None if that was the upstream's response as it came.
        :param seconds: since its head was complete.
        :param now: seconds since the Unix epoch.
        """
        try:
            route = None if exchange.route is None else exchange.route.info.id
            method = exchange.head.method
            if not any(each.may_match(route, status, method) for each in self.filters):
                return
            record = make_record(exchange, sent, response, seconds, now)
            entry = entry_of(exchange.request, record, route, status)
            matching = [each for each in self.filters if each.matches(entry)]
            if names := {name for each in matching for name in each.header_names}:
                entry["headers"] = headers_of(exchange.request, sorted(names))
            if matching:
                self._put(entry)
        except Exception as error:  # noqa: BLE001 - what is left of the request's end must be done all the same
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._lose()
        if not self._has_failed:  # the others are counted in the stream
            self._has_failed = True
            emit(TAIL_FAILED, f"a request could not be shown to a tail: {error!r}", error=error, reason=repr(error))


def _origin_form(target: str) -> str:
    """Return a request-target without scheme and userinfo, which may have a password (RFC 9112 section 3.2)."""
    if target.startswith("/"):
        return target
    scheme, mark, rest = target.partition("://")
    if not mark or not scheme.isalnum():  # CONNECT's host and port, an asterisk, or none at all
        return target.rpartition("@")[2]
    # The authority ends where path or query begin: a slash may be one of the query (RFC 3986 section 3.2).
    begin = _AUTHORITY.match(rest).end()  # type: ignore[union-attr]  # it matches nothing as well
    return rest[begin:] if rest.startswith("/", begin) else f"/{rest[begin:]}"


def headers_of(request: Request, names: Iterable[str]) -> dict[str, str]:
    """Return fields of a request as the client sent them, by their names in lower case.

    Lines of the same name are one value (RFC 9110 section 5.3). A value that is longer than what is shown is left out,
    since a part of it would be another value.
    """
    received = request.received.headers
    found = {name: ", ".join(received.get_all(name)) for name in names if name in received}
    return {name: _mask_url(value) for name, value in found.items() if len(value) <= _LONGEST}


def _mask_url(value: str) -> str:
    """Return a value that may be a URL with the parameters hidden that are credentials."""
    before, mark, query = value.partition("?")
    return f"{before}?{_mask_query(query)}" if mark else value


def entry_of(request: Request, record: Record, route: str | None, status: int) -> dict[str, Any]:
    """Return what is shown of a request, ready for JSON; times are seconds."""
    head = request.received
    path, _, query = _origin_form(head.target).partition("?")
    refused = [(key, value) for key, value in request.state.items() if key.endswith(_REFUSAL) and value]
    return {
        "at": datetime.fromtimestamp(record.started_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "request_id": request.request_id,
        "client": request.client_ip,
        "method": head.method[:40],
        "host": (request.host or "")[:_LONGEST],
        "path": path[:_LONGEST],
        "query": _mask_query(query)[:_LONGEST],
        "protocol": request.version,
        "route": route,
        "status": status,
        "seconds": round(record.duration, 6),
        "upstream": record.upstream or None,
        "endpoint": record.endpoint,
        "upstream_seconds": None if record.upstream_duration is None else round(record.upstream_duration, 6),
        "attempts": record.attempt_count,
        "bytes_in": record.bytes_received,
        "bytes_out": record.bytes_sent,
        "produced_by": record.produced_by,
        "reason": record.reason,
        "refusals": [str(value)[:100] for _, value in refused[:_MOST_REFUSALS]],
        "refused_by": [key.removesuffix(_REFUSAL)[:100] for key, _ in refused[:_MOST_REFUSALS]],
        "aborted": record.aborted,
    }
