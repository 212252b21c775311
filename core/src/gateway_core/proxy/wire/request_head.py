"""The one reader of HTTP/1 request heads: bytes in, a head or a refusal out (RFC 9112 sections 2, 3 and 5).

There is one reading of a head or none. `read_head` has two ways with the same verdict. The short one is for what nearly
every client sends, a known method and an origin-form target of HTTP/1.1: a few look-ups decide. Everything else takes
the thorough one: other methods and versions, other forms of the target, empty lines before the head, and whatever is
refused. The fields are read by `read_fields` in both.

A `RequestHead` is what the bytes say. `RequestHead.place` adds what depends on who sent them (`Origin`: the client's
address, the forwarding fields) and on the configuration (the match path, whether the path is refused).

Stricter than the grammar on purpose: a line ends with CRLF, never with LF alone; methods have no lower-case letters; a
target is printable ASCII without a fragment. What is a matter of the path policy (escapes, dot segments) comes later.

A refusal carries all that could be read, since refused requests are logged as well.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from gateway_core.errors import BadPathError
from gateway_core.messages import Request
from gateway_core.messages.fields import TOKEN_BYTES, VALUE_BYTES, FieldNames
from gateway_core.messages.path import CHALLENGE_PREFIX
from gateway_core.messages.request_lines import request_block
from gateway_core.proxy.wire.fields import valid_host
from gateway_core.proxy.wire.forwarding import Origin
from gateway_core.proxy.wire.head_fields import HeadFields
from gateway_core.proxy.wire.known_blocks import TRACE_PLACE, TRACE_SIZE, TRACE_STARTS, KnownBlocks
from gateway_core.proxy.wire.request_fields import RequestFacts, read_fields, read_request_block
from gateway_core.reasons import (
    BAD_REQUEST,
    HEAD_TIMEOUT,
    HEAD_TOO_LARGE,
    LOOP_DETECTED,
    METHOD_NOT_ALLOWED,
    PATH_REFUSED,
    VERSION_UNSUPPORTED,
)
from gateway_core.routing import Match, PathPolicy

if TYPE_CHECKING:
    from gateway_core.snapshot import CompiledRoute

ALLOWED_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
"""What Allow says of the gateway itself."""

_REFUSED_METHODS: Final = frozenset({b"CONNECT", b"TRACE"})
_ANY_TARGET_BYTES: Final = bytes(range(0x21, 0x7F)).replace(b"#", b"")
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
_EMPTY_LINES: Final = re.compile(rb"(?:\r\n){1,64}")
_END: Final = b"\r\n\r\n"

_USUAL_LINE: Final = re.compile(
    # Classes are those of `TARGET_BYTES`: of a path without "?", and of a plain one without "%", ";" and "\" as well.
    r"(GET|POST|PUT|DELETE|PATCH|HEAD|OPTIONS|PROPFIND|REPORT) "
    r"((/[!$&-:=@-\[\]-~]*+([%;\\][!$-;=@-~]*+)?+)(?:\?([!$-;=?-~]*+))?+) HTTP/1\.1"
)
"""The request line of nearly every request: method, target, path, what of the path is not plain (see
`gateway_core.messages.path.is_plain_path`), query."""
match_usual_line: Final = _USUAL_LINE.fullmatch
_traced_blocks, _first_blocks = KnownBlocks(TRACE_SIZE), KnownBlocks(0)

HEAD_ONLY: Final = 1
"""Flag of a request: its response has no body, because its method is HEAD."""
IN_CHUNKS: Final = 2
"""Flag: its body goes out in chunks."""
MAY_SWITCH: Final = 4
"""Flag: it asks for another protocol."""
BINDS: Final = 32
"""Flag: the connection belongs to one client from here on, and never goes back to the pool."""
FOR_GATEWAY, FOR_CHALLENGES = "gateway", "challenges"


class RequestHead(HeadFields):
    """A request's head: what its bytes say, and what that means from this client under one configuration (`place`).

    Never changed once it is placed. It refers to no snapshot, so an exchange that outlives its snapshot may keep it.
    """

    __slots__ = (
        "_is_plain", "facts", "flags", "framing", "has_body", "is_usual", "line", "match", "method", "origin", "path",
        "path_flags", "query_string", "raw_path", "refusal", "responder", "says_priority", "says_timeout", "size",
        "tail", "target", "version",
    )  # fmt: skip

    def __init__(
        self, method: str, target: str, path: str, query: str, facts: RequestFacts, line: bytes, size: int,
        is_plain: bool = False, is_for_gateway: bool = False,
    ) -> None:  # fmt: skip
        """Describe a head of HTTP/1.1 that is to be placed.

        :param path: that of the target, as it was sent.
        :param query: that of the target, empty if there is none.
        :param size: bytes from where the reading began, empty lines before the head included.
        :param is_plain: whether it is known that the path is its own match path.
        """
        self.method = method
        self.target = target
        """In origin form; or ``*``, for OPTIONS only."""
        self.facts = facts
        """What the fields say; without those that their sender may not send, once the head is placed."""
        self.line = line
        """The request line without its CRLF if it may go upstream as it is; else empty."""
        self.size = size
        self.raw_path = self.path = path
        """The match path is found when the head is placed (:mod:`gateway_core.messages.path`)."""
        self.query_string = query
        self._is_plain = is_plain
        # All that each request reads of its head is stored, also what is mostly the same: it takes eight times as long
        # to find a default in the class.
        self.version = "1.1"  # or "1.0", "2"
        self.is_usual = True
        """Whether a response of known length needs nothing but that length."""
        self.path_flags = 0
        self.refusal: tuple[int, str, str] | None = None
        """Status, reason code and detail if the request is not to be routed at all."""
        self.flags = 0
        """What the upstream's connection has to know of the request."""
        self.framing: bytes | None = b""
        """The lines that frame the request upstream, if they follow from the head alone and are known; else None."""
        self.responder = FOR_GATEWAY if is_for_gateway else ""
        """What comes before routes: `FOR_CHALLENGES`, or `FOR_GATEWAY` for an OPTIONS of its own; mostly empty."""
        self.match: Match[CompiledRoute] | None = None
        """The route, if it was found from the head alone: of a head that was repeated (`CachedHead`)."""
        self.has_body = False  # a body follows that is read
        self.says_priority = self.says_timeout = False
        """Whether there is a Priority field (RFC 9218), or a grpc-timeout; of heads that came over HTTP/2."""
        if not facts.is_bare:
            self.has_body = (facts.content_length > 0 or facts.chunked) and not is_for_gateway
            if facts.chunked or facts.expect or facts.takes_trailers or facts.upgrade is not None:
                self.framing = None
            elif facts.content_length >= 0:
                self.framing = b"\r\nContent-Length: %d" % facts.content_length
            if facts.chunked or facts.upgrade is not None or facts.binds:
                self.flags = flags_for(method, facts)
        if method == "HEAD":
            self.flags, self.is_usual = flags_for(method, facts), False

    def place(self, origin: Origin, path_policy: PathPolicy, refusal: tuple[int, str, str] | None = None) -> None:
        """Say where the head comes from; once, for who has just read it.

        :param path_policy: how paths are read when they arrive.
        :param refusal: why no listener takes the request.
        """
        self.origin = origin
        self.tail = self.facts.kept + origin.tail
        """The fields that go upstream behind Host."""
        self.refusal = refusal or self.refusal
        if not self._is_plain or origin.is_loop or path_policy.folds_case:
            self._read_path(path_policy)

    def _read_path(self, path_policy: PathPolicy) -> None:
        if self.origin.is_loop:
            self.refusal = self.refusal or (508, LOOP_DETECTED, "the request has passed this gateway again and again")
            return
        try:
            self.path, self.path_flags = path_policy.read(self.raw_path)
        except BadPathError as error:
            self.refusal = self.refusal or (400, PATH_REFUSED, str(error))
        if not self.responder and self.path.startswith(CHALLENGE_PREFIX):  # which no plain path does
            self.responder = FOR_CHALLENGES

    def came_over_http2(self, *, has_body: bool) -> None:
        """Note that the head came over HTTP/2, where frames say what ends a body and names are in lower case."""
        self.version, block = "2", self.facts.block
        self.says_priority = block.find(b"\r\npriority:") >= 0
        self.says_timeout = block.find(b"\r\ngrpc-timeout:") >= 0
        if has_body and self.facts.content_length < 0 and self.responder != FOR_GATEWAY:
            self.facts.have_unknown_length()
            self.has_body, self.framing = True, None
            self.flags |= IN_CHUNKS

    def know_framing(self, framing: bytes) -> None:
        """Note the lines that frame each request with this head upstream."""
        self.framing = framing

    def drop_reserved(self, request: Request, reserved: FieldNames | None) -> None:
        """Remove the fields that only a chain's bindings may set."""
        if reserved is None:
            return
        facts = self.facts
        if request_block(request) is not facts.block or (
            not self.is_free_of(reserved) and reserved.are_in(facts.lowered)
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


class HeadProblem(NamedTuple):
    """Why there is no head in the bytes; the connection cannot be used any further."""

    status: int
    reason: str
    """A code of `gateway_core.reasons`."""
    detail: str
    """For logs."""
    method: str = ""
    """Method, target and fields as far as they could be read."""
    target: str = ""
    block: bytes = b""
    allow: tuple[str, ...] = ()


def skip_empty_lines(data: bytes, start: int) -> int:
    """Return where the empty lines before a head end (RFC 9112 section 2.2).

    What is left behind a good number of them is no head: who sends megabytes of them is not served for free.
    """
    found = _EMPTY_LINES.match(data, start)
    return start if found is None else found.end()


def read_head(
    data: bytes,
    start: int,
    max_bytes: int,
    max_headers: int,
    *,
    is_trusted: bool = True,
    known: RequestFacts | None = None,
) -> RequestHead | HeadProblem | None:
    """Return the head that begins at ``start``, to be placed; None if it is not complete and may still become one.

    :param max_bytes: bytes that a head may have, without its empty line.
    :param max_headers: fields that a head may have.
    :param is_trusted: False leaves out the fields that only proxies may send.
    :param known: fields that were read before, of a head in HTTP/1.1 and origin form from the same peer: the same
        block has the same facts.
    """
    line_end = data.find(b"\r\n", start)
    # Most requests have no body and come alone: to search for the end of a browser's head costs 0.4 us more. If there
    # is an end before this one, the fields are not valid, and the thorough way looks for it. Not for requests behind
    # others, whose end would be far away again and again.
    end = len(data) - 4 if not start and data[-4:] == _END else data.find(_END, line_end) if line_end >= 0 else -1
    if start < line_end <= end <= start + max_bytes:
        line, block = data[start:line_end], data[line_end:end]
        found = match_usual_line(line.decode("latin-1"))
        if found is not None:
            if known is not None and known.raw == block:
                facts: RequestFacts | None = known
            elif not is_trusted and (known is None or block[TRACE_PLACE] in TRACE_STARTS):
                blocks = _traced_blocks if block[TRACE_PLACE] in TRACE_STARTS else _first_blocks
                facts = blocks.read(block, max_headers)
            else:
                facts = read_fields(block, data[line_end + 2 : end + 2], max_headers, is_trusted)
            if facts is not None and facts.max_forwards < 0:
                method, target, path, odd, query = found.groups("")
                is_plain = not odd and "//" not in path and "/." not in path
                return RequestHead(method, target, path, query, facts, line, end + 4 - start, is_plain)
    return _read_slowly(data, start, max_bytes, max_headers, is_trusted)


def _read_slowly(
    data: bytes, start: int, max_bytes: int, max_headers: int, is_trusted: bool
) -> RequestHead | HeadProblem | None:
    """Return the head, whatever is unusual about it, or the first reason to refuse it."""
    begin = skip_empty_lines(data, start)
    if data.startswith(b"\r\n", begin):
        return HeadProblem(400, BAD_REQUEST, "too many empty lines came in place of a request")
    end = data.find(_END, begin)
    stop = len(data) if end < 0 else end
    if begin == stop or data[begin:stop] == b"\r":
        return None
    if data[begin] not in TOKEN_BYTES:
        return HeadProblem(400, BAD_REQUEST, "what came is not a request of HTTP/1")
    line_end = data.find(b"\r\n", begin, stop)
    line = data[begin : stop if line_end < 0 else line_end]
    if stop - begin > max_bytes:
        if len(line) > max_bytes:
            return HeadProblem(414, HEAD_TOO_LARGE, "the request line is longer than limits.max_head_bytes")
        return refusal(line, b"", 431, HEAD_TOO_LARGE, "the head is larger than limits.max_head_bytes")
    if data.count(b"\n", begin, stop) != data.count(b"\r\n", begin, stop):
        return refusal(line.partition(b"\n")[0], b"", 400, BAD_REQUEST, "a line of the head ends with LF alone")
    block = b"" if line_end < 0 else data[line_end:stop]
    if block.count(b"\r\n") > max_headers:
        return refusal(line, b"", 431, HEAD_TOO_LARGE, "the head has more fields than limits.max_headers")
    if end < 0:
        return None
    return _read_lines(line, block, end + 4 - start, is_trusted)


def _read_lines(line: bytes, block: bytes, size: int, is_trusted: bool) -> RequestHead | HeadProblem:
    """Return the head that a request line and a block of fields make."""
    problem = _line_problem(line, block)
    if problem is not None:
        return problem
    method, target, version = line.decode("ascii").split(" ")
    is_1_0 = version == "HTTP/1.0"
    facts = read_request_block(block, is_1_0, is_trusted=is_trusted)
    if facts is None:
        return refusal(line, block, 400, BAD_REQUEST, "the header fields are not valid")
    is_asterisk = target == "*" and method == "OPTIONS"
    if target[0] != "/" and not is_asterisk:
        absolute = _absolute_form(target, block, is_1_0, is_trusted)
        if absolute is None:
            return refusal(line, block, 400, BAD_REQUEST, "the request-target is not valid")
        target, facts = absolute
        line = b""
    is_for_gateway = is_asterisk or (method == "OPTIONS" and facts.max_forwards == 0)
    if method == "OPTIONS" and facts.max_forwards > 0 and not is_asterisk:
        facts = _forwarded_once(target, facts, is_1_0, is_trusted)
    path, _, query = target.partition("?")
    line = b"" if is_1_0 else line
    head = RequestHead(method, target, path, query, facts, line, size, is_for_gateway=is_for_gateway)
    if is_1_0:
        head.version, head.is_usual = "1.0", False
    return head


def _line_problem(line: bytes, block: bytes) -> HeadProblem | None:
    """Return what is wrong with a request line; None if it is one that may be served."""
    parts = line.split(b" ")
    if len(parts) != 3:
        return refusal(line, block, 400, BAD_REQUEST, "the request line has not three parts")
    method, target, version = parts
    if _VERSION.fullmatch(version) is None:
        return refusal(line, block, 400, BAD_REQUEST, "the request line does not end with an HTTP version")
    if version not in {b"HTTP/1.1", b"HTTP/1.0"}:
        # Clients of HTTP/2 understand neither; people who read their logs take 505 for an upstream's.
        status = 400 if line == b"PRI * HTTP/2.0" else 505
        return refusal(line, block, status, VERSION_UNSUPPORTED, "the HTTP version is not 1.0 or 1.1")
    if method.translate(None, TOKEN_BYTES) or not method.isupper():
        return refusal(line, block, 400, BAD_REQUEST, "the method is not valid")
    if method in _REFUSED_METHODS:
        problem = refusal(line, block, 405, METHOD_NOT_ALLOWED, "the gateway does not serve the method")
        return problem._replace(allow=ALLOWED_METHODS)
    if not target or target.translate(None, _ANY_TARGET_BYTES):
        return refusal(line, block, 400, BAD_REQUEST, "the request-target is not valid")
    return None


def refusal(line: bytes, block: bytes, status: int, reason: str, detail: str) -> HeadProblem:
    """Return a refusal with what the request line says, and the fields that are valid by themselves."""
    method, _, rest = line.partition(b" ")
    target = rest.partition(b" ")[0]
    lines = block.split(b"\r\n")[1:]
    valid = [each for each in lines if not each.translate(None, VALUE_BYTES) and _is_field(each)]
    return HeadProblem(
        status,
        reason,
        detail,
        "" if method.translate(None, TOKEN_BYTES) else method.decode("ascii"),
        "" if target.translate(None, _ANY_TARGET_BYTES) else target.decode("ascii"),
        b"".join([b"\r\n" + each for each in valid]),
    )


def late_head(data: bytes) -> HeadProblem:
    """Return the refusal of a head of which only the beginning came in time."""
    line = data.partition(b"\r\n")[0]
    return refusal(line, b"", 408, HEAD_TIMEOUT, "the head did not come within limits.header_timeout")


def _is_field(line: bytes) -> bool:
    name, colon, _ = line.partition(b":")
    return bool(name and colon) and not name.translate(None, TOKEN_BYTES)


def _absolute_form(target: str, block: bytes, is_1_0: bool, is_trusted: bool) -> tuple[str, RequestFacts] | None:
    """Return the origin form of an absolute one; its authority takes the place of Host (RFC 9112 section 3.2.2)."""
    try:
        parts = urlsplit(target)
    except ValueError:  # half an IPv6 address, for example
        return None
    authority = parts.netloc.encode("ascii")
    if parts.scheme not in {"http", "https"} or not valid_host(authority):
        return None
    fields = [line for line in block.split(b"\r\n")[1:] if not line.lower().startswith(b"host:")]
    rebuilt = b"\r\nHost: " + authority + b"".join([b"\r\n" + line for line in fields])
    changed = read_request_block(rebuilt, is_1_0, is_trusted=is_trusted, sent=(target, block))
    rest = target[len(parts.scheme) + 3 + len(parts.netloc) :]
    if changed is None:
        return None
    return rest if rest.startswith("/") else "/" + rest, changed


def _forwarded_once(target: str, facts: RequestFacts, is_1_0: bool, is_trusted: bool) -> RequestFacts:
    """Return what a head says once its Max-Forwards is one less (RFC 9110 section 7.6.2)."""
    kept = [line for line in facts.raw.split(b"\r\n")[1:] if not line.lower().startswith(b"max-forwards:")]
    kept.append(b"Max-Forwards: %d" % (facts.max_forwards - 1))
    sent = facts.sent or (target, facts.raw)
    changed = read_request_block(b"".join([b"\r\n" + line for line in kept]), is_1_0, is_trusted=is_trusted, sent=sent)
    assert changed is not None  # it was valid with the number before
    return changed
