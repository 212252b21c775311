"""A request in progress, as plugins see it."""

from __future__ import annotations

import sys
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Protocol, TypedDict, Unpack
from urllib.parse import parse_qsl

from gateway_core.errors import BadPathError
from gateway_core.messages.headers import Headers
from gateway_core.messages.identity import Identity
from gateway_core.messages.path import ReadPath, read_path

_NO_PARAMS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RouteInfo:
    """What plugins may know of a route."""

    id: str
    pattern: str = ""
    """The path, prefix or expression as the configuration writes it (``http.route`` of OpenTelemetry)."""
    description: str = ""
    rewrite: Callable[[Mapping[str, str], str], str] | None = field(default=None, repr=False, compare=False)
    """Makes the path that goes upstream from the parameters and the raw path of a request; None leaves it."""


@dataclass(frozen=True, slots=True)
class TlsInfo:
    """What was agreed on for a connection with TLS."""

    version: str
    """``TLSv1.2`` or ``TLSv1.3``."""
    cipher: str
    """OpenSSL's name of the cipher suite."""
    peer: Mapping[str, Any] | None = None
    """The verified client certificate as ``ssl.SSLSocket.getpeercert`` gives it, or None."""


class Peer(Protocol):
    """The other end of a connection."""

    @property
    def port(self) -> int: ...
    @property
    def local_port(self) -> int: ...
    @property
    def tls(self) -> TlsInfo | None: ...


class Arrival(Protocol):
    """How requests come in: what a lane knows of a connection and of the configuration that was in force."""

    @property
    def peer(self) -> Peer: ...
    @property
    def config_version(self) -> str: ...
    @property
    def is_trusted(self) -> bool: ...
    @property
    def read_path(self) -> ReadPath: ...


class RequestOrigin(TypedDict, total=False):
    """Where a request comes from: attributes of `Request`."""

    client_ip: str
    peer_ip: str
    peer_port: int
    local_port: int
    tls: TlsInfo | None
    config_version: str
    scheme: str
    version: str
    request_id: str
    started: float


class Request:
    """One request, from its head to its log line.

    ``method``, ``raw_path``, ``query_string``, ``headers`` and ``upstream`` may be changed by the hooks whose
    documentation says so; the rest is for reading.
    """

    # Defaults stand in the class, not in __init__: most requests never change most of them.
    client_ip = ""
    """The client's address: the peer's, or what a trusted proxy says of it."""
    peer_ip = ""
    """The address that the connection came from; empty for a unix socket."""
    scheme = "http"
    version = "1.1"
    request_id = ""
    started = 0.0
    """Monotonic seconds at which the head was complete."""
    path_was_set = False
    """Whether a plugin set `raw_path`."""
    path_flags = 0
    """What the path has that ``path_policy`` decides on (:mod:`gateway_core.messages.path`)."""
    route: RouteInfo | None = None
    params: Mapping[str, str] = _NO_PARAMS
    upstream: str | None = None
    """Name of the upstream that a plugin wants instead of the route's."""
    identity: Identity | None = None
    claims: Mapping[str, Any] = _NO_PARAMS
    """Verified claims of the caller; empty if nobody verified any."""
    arrival: Arrival | None = None
    """Where the following attributes are read from when somebody asks; for lanes."""
    _headers: Headers | None = None
    _state: dict[str, Any] | None = None
    plugin_times: Sequence[tuple[str, str, float]] = ()
    """(binding, phase, seconds) of each hook so far, if a binding of the route asks for it with ``wants_times``."""
    _body_kept_waiting = False
    """Whether a hook was given up while it waited for the client's body."""
    _read_body: Callable[[int], Awaitable[bytes]] | None = None
    _watch_body: Callable[[Callable[[bytes], None]], None] | None = None

    def __init__(
        self,
        method: str,
        target: str,
        block: bytes = b"",
        lowered_block: bytes | None = None,
        host: str = "",
        **origin: Unpack[RequestOrigin],
    ) -> None:
        self.method = method
        self.target = target
        """The request-target as it was sent."""
        self._raw_path, _, self.query = target.partition("?")
        try:
            self._path, self.path_flags = read_path(self._raw_path)
        except BadPathError:  # it is going to be refused
            self._path = self._raw_path
        self.head_block = block
        self.lowered_block = lowered_block
        self.host = host
        """The authority that was asked for, as sent: ``example.com:8080``."""
        if origin:
            self.__dict__.update(origin)

    @property
    def path(self) -> str:
        """The path as routes match it: decoded once, without path parameters and runs of ``/``.

        ``%2F``, ``%25``, ``%5C`` and bytes that are no UTF-8 stay escapes. Conditions, limits and rules of access look
        at this one, because all spellings of a path have it in common.
        """
        return self._path

    @property
    def raw_path(self) -> str:
        """The path as it was sent, which is what goes upstream.

        Setting it sets `path` as well.

        :raises BadPathError: what is set is not a path that a request may have; the client gets 400 unless the hook
            catches it.
        """
        return self._raw_path

    @raw_path.setter
    def raw_path(self, raw_path: str) -> None:
        read = read_path if self.arrival is None else self.arrival.read_path
        self._path, self.path_flags = read(raw_path)
        self._raw_path = raw_path
        self.path_was_set = True

    @property
    def query_string(self) -> str:
        """What stands behind the ``?``, as it was sent."""
        return self.query

    @query_string.setter
    def query_string(self, query_string: str) -> None:
        self.query = query_string

    def set_path(self, raw_path: str, path: str, path_flags: int) -> None:
        """Take a path that was read already; for lanes and test kits."""
        self._raw_path, self._path, self.path_flags = raw_path, path, path_flags

    # Few ask for these, so requests carry none of them; what is given to the constructor or assigned counts instead.

    @cached_property
    def peer_port(self) -> int:
        """The port that the connection came from; 0 for a unix socket."""
        return 0 if self.arrival is None else self.arrival.peer.port

    @cached_property
    def local_port(self) -> int:
        """The port that the connection came in at; 0 for a unix socket."""
        return 0 if self.arrival is None else self.arrival.peer.local_port

    @cached_property
    def tls(self) -> TlsInfo | None:
        """What was agreed on for the connection; None without TLS."""
        return None if self.arrival is None else self.arrival.peer.tls

    @cached_property
    def tls_peer(self) -> Mapping[str, Any] | None:
        """The verified client certificate as ``ssl.SSLSocket.getpeercert`` gives it, or None."""
        return None if self.tls is None else self.tls.peer

    @cached_property
    def config_version(self) -> str:
        """The version of the configuration that serves this request, as status pages show it."""
        return "" if self.arrival is None else self.arrival.config_version

    @property
    def headers(self) -> Headers:
        """The head's fields; changes go upstream.

        Fields that only a trusted proxy may send (X-Forwarded-For and its kind) are here only if one sent them. What is
        written under the name of a field that the gateway writes (X-Forwarded-*, Forwarded, Via, X-Request-Id) goes
        upstream instead of its own.
        """
        headers = self._headers
        if headers is None:
            headers = self._headers = Headers(block=self.head_block, lowered=self.lowered_block)
        return headers

    @headers.setter
    def headers(self, headers: Headers) -> None:
        self._headers = headers

    def header(self, name: str) -> str | None:
        """Return a field's first value, or None."""
        return self.headers.get(name)

    def header_values(self, name: str) -> list[str]:
        """Return the values of all fields of a name, in order."""
        return self.headers.get_all(name)

    @property
    def current_block(self) -> bytes:
        """The header block as it is now, changed or not (see `Headers`)."""
        headers = self._headers
        return self.head_block if headers is None else headers.block

    @property
    def state(self) -> dict[str, Any]:
        """Where plugins leave things for later hooks and other plugins, under keys that begin with their name."""
        state = self._state
        if state is None:
            state = self._state = {}
        return state

    @property
    def query_params(self) -> list[tuple[str, str]]:
        """The query as decoded (name, value) pairs, in order; how many there may be is for `limits.max_head_bytes`."""
        return parse_qsl(self.query, keep_blank_values=True) if self.query else []

    def cookie(self, name: str) -> str | None:
        """Return a cookie's value (RFC 6265 section 4.2), or None."""
        for line in self.headers.get_all("cookie"):
            for pair in line.split(";"):
                key, equals, value = pair.partition("=")
                if equals and key.strip() == name:
                    return value.strip().strip('"')
        return None

    @property
    def sent_path(self) -> str:
        """The path that goes upstream: `raw_path`, and what the route makes of it (``strip_path``, ``rewrite``)."""
        rewrite = None if self.route is None else self.route.rewrite
        try:
            return self._raw_path if rewrite is None else rewrite(self.params, self._raw_path)
        except ValueError:  # there is no such path, and the request was answered 400
            return self._raw_path

    def set_body_reader(
        self,
        read: Callable[[int], Awaitable[bytes]],
        watch: Callable[[Callable[[bytes], None]], None] | None = None,
    ) -> None:
        """Say how `read` gets the body and how `watch_body` is told of it; for lanes and test kits."""
        self._read_body = read
        self._watch_body = watch

    def watch_body(self, watch: Callable[[bytes], None]) -> None:
        """Have ``watch`` called with each piece of the body as it comes, and with what came already.

        The body is neither changed nor held up. Only before the request goes upstream; a request without a body never
        calls it. ``watch`` must not raise.
        """
        if self._watch_body is not None:
            self._watch_body(watch)

    async def read(self, limit: int = 1 << 20) -> bytes:
        """Return the whole body; what was read is still sent upstream.

        Only in an ``async`` hook, before the request goes upstream.

        :param limit: bytes at most.
        :raises BodyTooLargeError: the body is larger; the client is answered 413 unless the hook answers otherwise.
        """
        if self._read_body is None:
            return b""
        try:
            return await self._read_body(limit)
        except CancelledError:
            self._body_kept_waiting = True
            raise

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.request_id or hex(id(self) % sys.maxsize)}>"
