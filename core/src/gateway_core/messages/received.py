"""What a request comes with: its head as it was read, the connection, the route that was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, Protocol, TypedDict

from gateway_core.messages.field_search import value_in
from gateway_core.messages.headers import Headers, cookie_of, frozen_headers
from gateway_core.messages.path import ReadPath


@dataclass(frozen=True, slots=True)
class RouteInfo:
    """What plugins may know of a route."""

    id: str
    pattern: str = ""
    """The path, prefix or expression as the configuration writes it (``http.route`` of OpenTelemetry)."""
    description: str = ""
    rewrite: Callable[[Mapping[str, str], str], str] | None = field(default=None, repr=False, compare=False)
    """Makes the path that goes upstream from the parameters and the raw path of a request; None leaves it."""

    def sent_path(self, params: Mapping[str, str], raw_path: str) -> str:
        """Return the path that goes upstream, as the route rewrites it."""
        try:
            return raw_path if self.rewrite is None else self.rewrite(params, raw_path)
        except ValueError:  # there is no such path, and the request was refused with 400
            return raw_path


@dataclass(frozen=True, slots=True)
class TlsInfo:
    """What was agreed on for a connection with TLS."""

    version: str
    """``TLSv1.2`` or ``TLSv1.3``."""
    cipher: str
    """OpenSSL's name of the cipher suite."""
    peer: Mapping[str, Any] | None = None
    """The verified client certificate as ``ssl.SSLSocket.getpeercert`` gives it, or None."""
    certificate: bytes | None = field(default=None, repr=False)
    """The same certificate in DER: what thumbprints are made of (RFC 8705 section 3.1)."""


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


class Peer(Protocol):
    """The other end of a connection."""

    @property
    def port(self) -> int: ...
    @property
    def local_port(self) -> int: ...
    @property
    def tls(self) -> TlsInfo | None: ...


class Arrival(Protocol):
    """How requests come in: what is known of a connection and of the configuration that was in force."""

    @property
    def client_ip(self) -> str: ...
    @property
    def peer_ip(self) -> str: ...
    @property
    def scheme(self) -> str: ...
    @property
    def peer(self) -> Peer: ...
    @property
    def config_version(self) -> str: ...
    @property
    def is_trusted(self) -> bool: ...
    @property
    def read_path(self) -> ReadPath: ...


class HeadFacts(Protocol):
    """The fields of a request's head."""

    @property
    def upgrade(self) -> bytes | None:
        """The protocol that is asked for."""

    @property
    def host(self) -> str: ...
    @property
    def block(self) -> bytes: ...
    @property
    def lowered(self) -> bytes: ...
    @property
    def raw(self) -> bytes:
        """The block that was read."""

    @property
    def authorization(self) -> bytes | None:
        """The value of Authorization, with white space around it, if it is known that there is exactly one."""

    @property
    def sent(self) -> tuple[str, bytes] | None:
        """Request-target and block as they came, if the head was read as another one; else None."""


class RequestHead(Protocol):
    """A request's head as it was read."""

    @property
    def method(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def raw_path(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def path_flags(self) -> int: ...
    @property
    def query_string(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def facts(self) -> HeadFacts: ...
    @property
    def origin(self) -> Arrival: ...


class ReceivedHead:
    """A request's head as it came, before anything was removed. Read-only: changes raise TypeError."""

    __slots__ = ("_head",)

    _head: RequestHead | tuple[str, str, bytes]

    def __init__(self, head: RequestHead | tuple[str, str, bytes]) -> None:
        """Show a head that was read, or method, request-target and field block of one that was made."""
        _set_head(self, head)

    @property
    def method(self) -> str:
        head = self._head
        return head[0] if isinstance(head, tuple) else head.method

    @property
    def target(self) -> str:
        """The request-target as it was sent (RFC 9112 section 3.2)."""
        head = self._head
        if isinstance(head, tuple):
            return head[1]
        sent = head.facts.sent
        return head.target if sent is None else sent[0]

    @property
    def upgrade(self) -> str | None:
        """The protocol that is asked for, in lower case, or None."""
        head = self._head
        if not isinstance(head, tuple):
            protocol = head.facts.upgrade
            return None if protocol is None else protocol.decode("latin-1").lower()
        options = ",".join(self.headers.get_all("connection")).lower().split(",")
        if "upgrade" not in [each.strip() for each in options]:
            return None
        return self.headers.get("upgrade", "").partition(",")[0].strip().lower() or None

    @property
    def headers(self) -> Headers:
        """The fields as they were sent."""
        head = self._head
        if isinstance(head, tuple):
            return frozen_headers(head[2])
        facts = head.facts
        if facts.sent is not None:
            return frozen_headers(facts.sent[1])
        return frozen_headers(facts.raw, facts.lowered if facts.block is facts.raw else None)

    def first_value(self, name: str) -> bytes | None:
        """Return the first value of a field as its bytes: quicker than ``headers.get_bytes`` if that is all."""
        head = self._head
        if not isinstance(head, tuple):
            facts = head.facts
            if facts.block is facts.raw and facts.sent is None:  # as mostly: nothing was rewritten or removed
                return value_in(facts.block, facts.lowered, name)
        return self.headers.get_bytes(name)

    def cookie(self, name: str) -> str | None:
        """Return a cookie's value (RFC 6265 section 4.2), or None."""
        return cookie_of(self.headers, name)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise TypeError(f"request.received is read-only, so {name} cannot be set: change the request itself")

    def __delattr__(self, name: str) -> NoReturn:
        raise TypeError(f"request.received is read-only, so {name} cannot be deleted")

    def __repr__(self) -> str:
        return f"<ReceivedHead {self.method}>"


_set_head: Final = vars(ReceivedHead)["_head"].__set__  # takes half the time of object.__setattr__
