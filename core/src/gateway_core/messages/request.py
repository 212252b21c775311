"""A request in progress, as plugins see it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias, Unpack
from urllib.parse import parse_qsl

from gateway_core.errors import BadPathError
from gateway_core.messages.body import BodyFilter, FilterSpec, remove_body_fields
from gateway_core.messages.field_search import first_value, value_in
from gateway_core.messages.fields import FieldBlock, FieldNames
from gateway_core.messages.headers import Headers, HeadersKey, cookie_of, headers_of_block
from gateway_core.messages.hook_owner import running_hook
from gateway_core.messages.hook_timer import hook_timer_paused
from gateway_core.messages.identity import Identity
from gateway_core.messages.operations import InProgress, RequestOperations
from gateway_core.messages.overridable import overridable_property
from gateway_core.messages.path import Captured, read_path
from gateway_core.messages.received import Arrival, ReceivedHead, RequestHead, RequestOrigin, RouteInfo, TlsInfo
from gateway_core.messages.request_ids import Identified
from gateway_core.messages.response import Response
from gateway_core.messages.trace import TraceContext
from gateway_core.reasons import REASON

_NO_PARAMS: Final[Mapping[str, str]] = MappingProxyType({})
Operations: TypeAlias = "RequestOperations[Request, Response]"


class Request(Identified):
    """One request, from its head to its log line.

    ``method``, ``raw_path``, ``query_string``, ``headers`` and ``upstream`` may be changed by the hooks whose
    documentation says so; the rest is for reading.
    """

    # What every request has is in slots. Without them each request would get a dict, which costs more than all of the
    # stores below: CPython 3.11 does without one only as long as all objects of a class have no more than 21 names.
    __slots__ = (
        "__dict__", "__weakref__", "_added", "_arrival", "_head_block", "_headers", "_params", "_path", "_raw_path",
        "_received_head", "announced", "client_ip", "host", "identity", "in_progress", "matched", "method",
        "path_flags", "path_was_set", "peer_ip", "query_string", "route", "scheme", "started", "state", "trace",
        "upstream", "version",
    )  # fmt: skip

    client_ip: str
    """The client's address: the peer's, or what a trusted proxy says of it."""
    peer_ip: str
    """The address that the connection came from; empty for a unix socket."""
    scheme: str
    version: str
    started: float
    """Monotonic seconds at which the head was complete."""
    in_progress: InProgress[Operations] | None  # for the data path
    path_was_set: bool
    """Whether a plugin set `raw_path`."""
    path_flags: int
    """What the path has that ``path_policy`` decides on (:mod:`gateway_core.messages.path`)."""
    route: RouteInfo | None
    matched: Captured | None  # for the data path
    upstream: str | None
    """Name of the target, which is chosen before the pre-proxy phase; None before. Setting it overrides the choice."""
    identity: Identity | None
    state: dict[str, Any]
    """Where plugins leave things for later hooks and other plugins, under keys that begin with their name; what a
    binding in shadow mode leaves is seen by its own later hooks only."""
    announced: dict[object, tuple[FieldBlock, FieldNames | None]]
    """By plugin instance, the fields that its `gateway_response` is going to append, and nothing else: where all hooks
    are announced, they are not called for an upstream's response that has no field of the names beside these."""
    _arrival: Arrival | None
    _received_head: RequestHead | tuple[str, str, bytes]
    _headers: Headers | None
    _params: Mapping[str, str] | None
    _given_operations: Operations | None = None
    sent_target: str | None = None
    """Path and query as they went upstream, if the target rewrites them; for the data path."""
    trace: TraceContext | None
    """The request's place in its trace; None if ``tracing`` is not configured."""
    plugin_times: Sequence[tuple[str, str, float]] = ()
    """(binding, phase, seconds) of each hook so far, if a binding of the route ``needs`` ``hook-times``."""

    def __init__(
        self,
        method: str,
        target: str,
        headers: Headers | Mapping[str, str] | Iterable[tuple[str, str]] = (),
        host: str = "",
        **origin: Unpack[RequestOrigin],
    ) -> None:
        """Make a request, as test kits do.

        :param target: path and query as sent.
        :param host: the authority that is asked for; ``headers`` need not have it.
        """
        self.client_ip = self.peer_ip = self.request_id = ""
        self.scheme, self.version, self.started, self._head_block, self._added = "http", "1.1", 0.0, b"", b""
        self.in_progress = self.route = self.upstream = self.identity = self._arrival = self.trace = self.matched = None
        self.state, self.announced, self._params, self.path_was_set, self.path_flags = {}, {}, None, False, 0
        self.method = method
        self._raw_path, _, self.query_string = target.partition("?")
        try:
            self._path, self.path_flags = read_path(self._raw_path)
        except BadPathError:  # it is going to be refused
            self._path = self._raw_path
        self._headers = headers if isinstance(headers, Headers) else Headers(headers)
        self._received_head = method, target, self._headers._block
        self.host = host
        """The authority that was asked for, as sent: ``example.com:8080``."""
        for name, value in origin.items():
            setattr(self, name, value)

    @staticmethod
    def for_head(head: RequestHead, request_id: str | bytes, started: float) -> Request:
        """Return a request with a head that was read; for the data path.

        :param request_id: as text, or as the line that `id_of` reads.
        :param started: monotonic seconds at which the head was complete.
        """
        request: Request = _ReceivedRequest()  # stores without a call around them: this runs for every request
        request._received_head, facts, arrival = head, head.facts, head.origin
        request._path, request._raw_path, request.path_flags = head.path, head.raw_path, head.path_flags
        request.method, request.query_string, request.path_was_set = head.method, head.query_string, False
        request._head_block, request._added = facts.block, b""  # what hooks add, while nothing has looked at the fields
        request.host, request.version = facts.host, head.version
        request.client_ip, request.peer_ip, request.scheme = arrival.client_ip, arrival.peer_ip, arrival.scheme
        request._arrival, request._id, request.started = arrival, request_id, started
        request.in_progress = request.route = request.upstream = request.identity = None
        request.matched = request._params = request._headers = request.trace = None
        request.state, request.announced = {}, {}
        return request

    @property
    def upgrade(self) -> str | None:
        """The protocol that the client asks to change to, in lower case (``websocket``), or None."""
        head = self._received_head
        return self.received.upgrade if isinstance(head, tuple) or head.facts.upgrade else None

    @property
    def received(self) -> ReceivedHead:
        """The head as the client sent it; `method` and `headers` are what goes on."""
        return ReceivedHead(self._received_head)

    def forget_query(self) -> None:
        """Hide a query that holds credentials from later hooks and logs: in `query_string` and `received.target`."""
        head, self.headers = self.received, self.headers  # the fields are read from the head while nothing changed it
        self._received_head = head.method, head.target.partition("?")[0], head.headers._block
        self.query_string = ""

    @property
    def path(self) -> str:
        """The path as routes match it: decoded once, without path parameters and runs of ``/``.

        ``%2F``, ``%25``, ``%5C`` and bytes that are no UTF-8 stay escapes. Conditions, limits and rules of access look
        at this one, because all spellings of a path have it in common.
        """
        return self._path

    @property
    def raw_path(self) -> str:
        """The path as it was sent, which is what goes upstream; setting it sets `path` as well.

        :raises BadPathError: what is set is no path that a request may have: 400 unless the hook catches it.
        """
        return self._raw_path

    @raw_path.setter
    def raw_path(self, raw_path: str) -> None:
        read = read_path if self._arrival is None else self._arrival.read_path
        self._path, self.path_flags = read(raw_path)
        self._raw_path, self.path_was_set = raw_path, True

    @property
    def path_params(self) -> Mapping[str, str]:
        """What the route's patterns captured of path and host, decoded."""
        if self._params is None:
            self._params = _NO_PARAMS if self.matched is None else self.matched.params
        return self._params

    @path_params.setter
    def path_params(self, params: Mapping[str, str]) -> None:
        self._params = params

    # Few ask for these, so requests carry none of them; what is given to the constructor or assigned counts instead.
    @overridable_property
    def peer_port(self) -> int:
        """The port that the connection came from; 0 for a unix socket."""
        return 0 if self._arrival is None else self._arrival.peer.port

    @overridable_property
    def local_port(self) -> int:
        """The port that the connection came in at; 0 for a unix socket."""
        return 0 if self._arrival is None else self._arrival.peer.local_port

    @overridable_property
    def tls(self) -> TlsInfo | None:
        """What was agreed on for the connection; None without TLS."""
        return None if self._arrival is None else self._arrival.peer.tls

    @overridable_property
    def config_version(self) -> str:
        """The version of the configuration that serves this request, as status pages show it."""
        return "" if self._arrival is None else self._arrival.config_version

    @property
    def headers(self) -> Headers:
        """The head's fields; changes go upstream.

        Fields that only a trusted proxy may send (X-Forwarded-For and its kind) are here only if one sent them. What is
        written under the name of a field that the gateway writes (``X-Forwarded-*``, Forwarded, Via, X-Request-Id) goes
        upstream instead of its own.
        """
        headers = self._headers
        if headers is None:
            facts = self._received_head.facts  # type: ignore[union-attr]  # without headers it is one that was read
            headers = self._headers = headers_of_block(facts.block, facts.lowered, self._added)
        return headers

    @headers.setter
    def headers(self, headers: Headers) -> None:
        self._headers = headers

    @property
    def authorization(self) -> str | None:
        """The value of the one Authorization field; None if there is none, or several. Quicker than `headers`."""
        value = self.authorization_bytes
        return None if value is None else value.strip(b" \t").decode("latin-1")

    @property
    def authorization_bytes(self) -> bytes | None:
        """The same as it was sent, with the white space before it: for looking up credentials that were seen before."""
        headers = self._headers
        if not self._added if headers is None else headers._block is self._head_block:
            head = self._received_head
            if type(head) is not tuple and (value := head.facts.authorization) is not None:  # type: ignore[union-attr]
                return value
        values = self.headers.get_all("authorization")
        return b" " + values[0].encode("latin-1") if len(values) == 1 else None

    def first_value(self, name: str) -> bytes | None:
        """Return the first value of a field as its bytes: quicker than ``headers.get_bytes`` if that is all.

        :param name: spelled as most clients do. Of several fields the first one in that spelling, or in lower case.
        """
        if self._headers is None and not self._added:
            value = first_value(self._head_block, name)
            facts = self._received_head.facts  # type: ignore[union-attr]  # as in `headers`
            return value_in(facts.block, facts.lowered, name) if value is None else value
        return self.headers.get_bytes(name)

    def add_fields(self, fields: FieldBlock, unless: FieldNames | None = None) -> bool:
        """Append fields: the same as ``headers.extend``, at the least cost where nothing looks at the other fields.

        :param unless: append nothing if there is a field of one of these names.
        :returns: whether they were appended.
        """
        headers, added = self._headers, self._added
        if headers is not None:
            return headers.extend_unless(fields, unless)
        if unless is not None:
            facts = self._received_head.facts  # type: ignore[union-attr]  # as in `headers`
            if unless.search(facts.lowered) is not None or (added and unless.search(added.lower()) is not None):
                return False
        self._added = added + fields.lines
        return True

    def header_values(self, name: str) -> list[str]:
        """Return the values of all fields of a name, in order."""
        return self.headers.get_all(name)

    @property
    def headers_key(self) -> HeadersKey:
        """The same as ``headers.key``, at the least cost where nothing looked at the fields yet."""
        headers = self.headers if self._added else self._headers
        return self._head_block if headers is None else headers.key  # type: ignore[return-value]  # spares a call

    @property
    def written_headers(self) -> Headers:
        """A copy of the fields that plugins wrote into `headers` so far, those that were removed again included."""
        return headers_of_block(self._added if self._headers is None else self._headers._written)

    @property
    def operations(self) -> Operations | None:
        """What serves `read`, `forward` and the like; for the data path and test kits."""
        if self._given_operations is not None or self.in_progress is None:
            return self._given_operations
        return self.in_progress.operations

    @operations.setter
    def operations(self, operations: Operations) -> None:
        self.in_progress, self._given_operations = None, operations

    @property
    def query(self) -> Sequence[tuple[str, str]]:
        """The query as decoded (name, value) pairs, in order; how many there may be is for `limits.max_head_bytes`."""
        return parse_qsl(self.query_string, keep_blank_values=True) if self.query_string else []

    def cookie(self, name: str) -> str | None:
        """Return a cookie's value (RFC 6265 section 4.2), or None."""
        return cookie_of(self.headers, name)

    @property
    def sent_path(self) -> str:
        """The path that goes upstream, as route and target rewrite `raw_path`; at first as the route does."""
        if self.sent_target is not None:
            return self.sent_target.partition("?")[0]
        return self._raw_path if self.route is None else self.route.sent_path(self.path_params, self._raw_path)

    @property
    def sent_query(self) -> str:
        """The query that went upstream, without "?": `query_string`, and what route and target make of it."""
        return self.query_string if self.sent_target is None else self.sent_target.partition("?")[2]

    @property
    def has_body(self) -> bool:
        """Whether there is a body, as hooks left it so far; without a length it may be empty. Not for `gateway_log`."""
        return self.operations is not None and self.operations.has_body

    async def read(self, limit: int = 1 << 20) -> bytes:
        """Return the whole body, as the filters added so far make it; it is the body from then on.

        Only before the request goes upstream, in anything that is awaited. The binding's ``timeout`` stands still.

        :param limit: bytes at most.
        :raises BodyTooLargeError: it is larger: 413 unless the hook catches it; then it goes on from its first byte.
        :raises RuntimeError: the request is over, as in `gateway_log`.
        """
        if self._arrival is None and self.operations is None:
            return b""  # of a test kit, without a body
        with hook_timer_paused():
            return await self._operations.read_body(limit)

    def read_nowait(self, limit: int = 1 << 20) -> bytes | None:
        """Return what `read` returns, or None if that has to be awaited: a body that is there costs no task then."""
        return b"" if self._arrival is None and self.operations is None else self._operations.read_body_nowait(limit)

    def set_body(self, data: bytes) -> None:
        """Send this body instead: length and digests of the old one are removed, Content-Encoding is not touched."""
        remove_body_fields(self.headers)
        self._operations.set_body(data)

    def add_body_filter(self, factory: Callable[[], BodyFilter], *, observe: bool = False) -> None:
        """Send the body, if there is one, through a filter, before the request goes upstream; several apply in order.

        :param factory: makes the filter when the body starts upstream, once whatever the retries.
        :param observe: the filter changes nothing: what it returns is ignored, and it is dropped when it fails.
        """
        if self._arrival is None and self.operations is None:
            return  # of a test kit, without a body
        if self._operations.add_body_filter(FilterSpec(factory, observe, running_hook())) and not observe:
            remove_body_fields(self.headers)

    async def forward(self) -> Response:
        """Send the request upstream now, through the later pre-proxy hooks, and return what response hooks made of it.

        Only in the pre-proxy phase, once. The body is streamed: return the response, or read it. Failures of the
        upstream are responses of the gateway (`Response.failure`). The binding's ``timeout`` stands still. If the hook
        then returns None, what was forwarded is sent.

        :raises RuntimeError: it was called before, or in another phase.
        :raises ShadowModeError: the binding is in shadow mode.
        """
        with hook_timer_paused():
            return await self._operations.forward()

    def detach(self) -> Request:
        """Return a copy that outlives this request and its client, with a context, deadline and log record of its own.

        `forward` of the copy may be called once, from anywhere.

        :raises RuntimeError: there is a body that was not read.
        :raises ShadowModeError: the binding is in shadow mode.
        """
        return self._operations.detach()

    def abort(self, reason: str) -> None:
        """End the exchange or tunnel at any time, not in shadow mode: a running hook is cancelled, a response is cut.

        :param reason: a code for `Record.reason` (docs/reasons.md has those of the gateway).
        :raises ValueError: it does not look like a code.
        """
        if REASON.fullmatch(reason) is None:
            raise ValueError(f"{reason!r} is not a reason: use a-z, 0-9 and '._-', as in quota.over")
        if self.operations is not None:
            self.operations.abort(reason)

    @property
    def _operations(self) -> Operations:
        if self.operations is None:
            raise RuntimeError("the request is over: use its body in an earlier phase, and keep what the log needs")
        return self.operations

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.request_id or hex(id(self) % sys.maxsize)}>"


class _ReceivedRequest(Request):
    __slots__ = ()
    __init__ = object.__init__  # to call such a class takes two thirds of what `__new__` takes
