"""What a request's head means on its connection and under one configuration: what an exchange begins with.

`RequestHead` is what the bytes say. Here is added what depends on who sent them (`Origin`: the client's address, the
forwarding fields) and on the configuration (the match path, whether the path is refused). It is immutable and refers to
no snapshot, so an exchange that outlives its snapshot may keep it.
"""

from __future__ import annotations

from typing import Final

from gateway_core.errors import BadPathError
from gateway_core.messages import Request
from gateway_core.messages.fields import FieldNames
from gateway_core.messages.path import is_plain_path
from gateway_core.messages.request import request_block
from gateway_core.proxy.upstream.connection import BINDS, HEAD_ONLY, IN_CHUNKS, MAY_SWITCH
from gateway_core.proxy.wire.forwarding import Origin
from gateway_core.proxy.wire.request_fields import RequestFacts
from gateway_core.reasons import LOOP_DETECTED, PATH_REFUSED
from gateway_core.routing import Match, PathPolicy
from gateway_core.snapshot import CompiledRoute

UNDECIDED: Final = -1


class InboundHead:
    """A request's head with its context; never changed."""

    __slots__ = (
        "decided_body",
        "facts",
        "flags",
        "has_body",
        "is_for_gateway",
        "is_usual",
        "line",
        "match",
        "method",
        "origin",
        "path",
        "path_flags",
        "query_string",
        "raw_path",
        "refusal",
        "tail",
        "target",
        "version",
    )

    def __init__(
        self,
        method: str,
        target: str,
        version: str,
        facts: RequestFacts,
        origin: Origin,
        path_policy: PathPolicy,
        line: bytes = b"",
    ) -> None:
        """Read the path; the fields are read already.

        :param facts: without the fields that their sender may not send.
        :param line: the request line, without its CRLF, if it is HTTP/1.1 and may go upstream as it is.
        """
        self.method = method
        self.target = target
        self.version = version
        self.facts = facts
        self.origin = origin
        self.line = line
        self.raw_path, _, self.query_string = target.partition("?")
        self.path = self.raw_path
        self.path_flags = 0
        self.refusal: tuple[int, str, str] | None = None
        """Status, reason code and detail if the request is not to be routed at all."""
        if path_policy.folds_case or origin.is_loop or not is_plain_path(self.raw_path):
            self._read_path(path_policy)
        self.tail = facts.kept + origin.tail
        """The fields that go upstream behind Host."""
        is_plain = method != "HEAD" and not facts.chunked and facts.upgrade is None and not facts.binds
        self.flags = 0 if is_plain else flags_for(method, facts)
        """What the upstream's connection has to know of the request."""
        self.is_usual = version == "1.1" and method != "HEAD"
        """Whether a response of known length needs nothing but that length."""
        self.is_for_gateway = method == "OPTIONS" and (target == "*" or facts.max_forwards == 0)
        """Whether it is an OPTIONS that asks about the gateway itself (RFC 9110 sections 7.6.2 and 9.3.7)."""
        self.has_body = (facts.content_length > 0 or facts.chunked) and not self.is_for_gateway
        """Whether a body follows that is read."""
        self.decided_body = UNDECIDED
        """Bytes of a complete body at most with which nothing is left to decide before the request is sent to the one
        target of its route; 0 only without a body, `UNDECIDED` if there is something in any case."""
        self.match: Match[CompiledRoute] | None = None
        """The route, if it was found from the head alone."""

    def _read_path(self, path_policy: PathPolicy) -> None:
        if self.origin.is_loop:
            self.refusal = 508, LOOP_DETECTED, "the request has passed this gateway again and again"
            return
        try:
            self.path, self.path_flags = path_policy.read(self.raw_path)
        except BadPathError as error:
            self.refusal = 400, PATH_REFUSED, str(error)

    def drop_reserved(self, request: Request, reserved: FieldNames | None) -> None:
        """Remove the fields that only a chain's bindings may set."""
        if reserved is None:
            return
        facts = self.facts
        if request_block(request) is not facts.block or (
            not self.is_free_of(reserved) and reserved.are_in(facts.lowered, facts.has_odd_names)
        ):
            request.headers.remove_any(reserved)

    def is_free_of(self, reserved: FieldNames) -> bool:  # noqa: ARG002 - a cached head knows
        """Return whether it is known that the head has none of some fields."""
        return False


def flags_for(method: str, facts: RequestFacts) -> int:
    """Return what an upstream's connection has to know of a request with a method, which a hook may have changed."""
    return (
        (HEAD_ONLY if method == "HEAD" else 0)
        | (IN_CHUNKS if facts.chunked else 0)
        | (MAY_SWITCH if facts.upgrade is not None else 0)
        | (BINDS if facts.binds else 0)
    )
