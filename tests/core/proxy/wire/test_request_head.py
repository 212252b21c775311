"""One reader of heads, one verdict: the rules, and how it compares with other readers of HTTP/1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from gateway_core.messages.fields import TOKEN_BYTES, VALUE_BYTES
from gateway_core.proxy.wire.fields import valid_host
from gateway_core.proxy.wire.request_fields import read_request_block
from gateway_core.proxy.wire.request_head import (
    ALLOWED_METHODS,
    HeadProblem,
    RequestHead,
    late_head,
    read_head,
    skip_empty_lines,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.core.proxy.wire.oracles import ORACLES, AiohttpOracle, H11Oracle, Reading

GET = b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"


def read(data: bytes, start: int = 0, most: int = 65536, fields: int = 100) -> RequestHead | HeadProblem | None:
    return read_head(data, start, most, fields)


def accepted(data: bytes) -> RequestHead:
    head = read(data)
    assert isinstance(head, RequestHead), head
    return head


def refused(data: bytes) -> HeadProblem:
    problem = read(data)
    assert isinstance(problem, HeadProblem), problem
    return problem


# -- the rules


@pytest.mark.parametrize("before", [b"", b"rest of something else", GET])
@pytest.mark.parametrize("behind", [b"", b"body", GET, b"\0"])
def test_a_head_ends_with_its_empty_line_whatever_is_before_and_behind(before: bytes, behind: bytes) -> None:
    head = read(before + GET + behind, len(before))

    assert isinstance(head, RequestHead)
    assert (head.method, head.target, head.version, head.size) == ("GET", "/a?b", "1.1", len(GET))
    assert (head.facts.host, head.line) == ("x", b"GET /a?b HTTP/1.1")


def test_empty_lines_before_a_head_count_to_it() -> None:
    head = accepted(b"\r\n\r\n" + GET)

    assert (head.target, head.size) == ("/a?b", len(GET) + 4)


@pytest.mark.parametrize(
    ("data", "rest"), [(b"", b""), (b"\r\n\r\n", b""), (b"\r\nG", b"G"), (b"\n", b"\n"), (b"G", b"G")]
)
def test_empty_lines_are_skipped(data: bytes, rest: bytes) -> None:
    assert data[skip_empty_lines(data, 0) :] == rest


@pytest.mark.parametrize("place", range(len(GET)))
def test_a_head_that_is_cut_anywhere_is_waited_for(place: int) -> None:
    assert read(GET[:place]) is None


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505, "version-unsupported"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "version-unsupported"),
        (b"GET / HTTP/1.1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
        (b"GET /\r\n\r\n", 400, "bad-request"),
        (b"get / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
        (b"GET /#a HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
        (b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
        (b"GET / HTTP/1.1\r\nA: b\r\n\r\n", 400, "bad-request"),
        (b"GET / HTTP/1.1\nHost: x\r\n", 400, "bad-request"),
        (b"\x16\x03\x01", 400, "bad-request"),
        (b"\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
        (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method-not-allowed"),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method-not-allowed"),
        (b"GET /" + b"a" * 65536, 414, "head-too-large"),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 65536, 431, "head-too-large"),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 65536 + b"\r\n\r\n", 431, "head-too-large"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 102, 431, "head-too-large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100 + b"\r\n", 431, "head-too-large"),
    ],
)
def test_what_is_not_served_is_refused_with_status_and_reason(data: bytes, status: int, reason: str) -> None:
    problem = refused(data)

    assert (problem.status, problem.reason) == (status, reason)
    assert problem.detail


def test_a_refusal_has_what_could_be_read() -> None:
    problem = refused(b"HEAD /a HTTP/1.1\r\nHost: x\r\nBad name: 1\r\nUser-Agent: u\r\nNul: \0\r\n\r\n")

    assert (problem.method, problem.target, problem.block) == ("HEAD", "/a", b"\r\nHost: x\r\nUser-Agent: u")
    assert refused(b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n").allow == ALLOWED_METHODS
    assert late_head(b"PUT /b HTTP/1.1\r\nHo")[:5] == (
        408,
        "head-timeout",
        "the head did not come within limits.header_timeout",
        "PUT",
        "/b",
    )


@pytest.mark.parametrize(
    ("target", "expected", "host"),
    [
        ("http://a:81/b?c", "/b?c", "a:81"),
        ("HTTP://a", "/", "a"),
        ("http://a?b", "/?b", "a"),
        ("https://[::1]/", "/", "[::1]"),
    ],
)
def test_an_absolute_target_names_the_host(target: str, expected: str, host: str) -> None:
    head = accepted(f"GET {target} HTTP/1.1\r\nA: b\r\nHost: x\r\n\r\n".encode())

    assert (head.target, head.facts.host, head.facts.kept, head.line) == (expected, host, b"\r\nA: b", b"")


@pytest.mark.parametrize("target", ["ftp://a/", "http://u@a/", "http:///a", "http://a/#b", "http://[::1/", "a", "*"])
def test_what_is_no_target_is_refused(target: str) -> None:
    assert refused(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).status == 400


def test_every_forwarding_of_an_options_counts() -> None:
    head = accepted(b"OPTIONS / HTTP/1.1\r\nHost: x\r\nMax-Forwards: 2\r\nA: b\r\n\r\n")

    assert head.facts.max_forwards == 1
    assert head.facts.kept == b"\r\nA: b\r\nMax-Forwards: 1"


def test_fields_that_are_known_are_not_read_again_unless_they_differ() -> None:
    known = read_request_block(b"\r\nHost: x")
    assert known is not None

    same = read_head(GET, 0, 65536, 100, known=known)
    other = read_head(GET.replace(b"x", b"y"), 0, 65536, 100, known=known)
    counted = read_request_block(b"\r\nHost: x\r\nMax-Forwards: 0")
    options = read_head(b"OPTIONS / HTTP/1.1\r\nHost: x\r\nMax-Forwards: 5\r\n\r\n", 0, 65536, 100, known=counted)

    assert isinstance(same, RequestHead)
    assert same.facts is known
    assert isinstance(other, RequestHead)
    assert other.facts.host == "y"
    assert isinstance(options, RequestHead)
    assert options.facts.max_forwards == 4


@pytest.mark.parametrize("name", [b"User-Agent", b"Content-Type", b"Authorization", b"Sec-WebSocket-Key", b"X-A"])
@pytest.mark.parametrize("framing", [b"", b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_fields_may_be_repeated_whatever_frames_the_body(name: bytes, framing: bytes) -> None:
    line = name + b": 1\r\n"

    assert accepted(b"POST / HTTP/1.1\r\nHost: x\r\n" + line + framing + line + b"\r\n").facts.kept.count(name) == 2


# -- the short way and the thorough one


def meaning(head: RequestHead | HeadProblem | None) -> object:
    if not isinstance(head, RequestHead):
        return head
    names = ("method", "target", "raw_path", "query_string", "version", "line", "has_body", "flags", "responder")
    facts = ("raw", "block", "kept", "host", "content_length", "chunked", "keep_alive", "is_bare", "forwarding")
    return [getattr(head, name) for name in names] + [getattr(head.facts, name) for name in facts]


@given(st.text('/.%;\\?#"<>aF2 \x00\x7f\xe4', max_size=8))
def test_every_target_means_the_same_in_the_short_way_and_the_thorough_one(target: str) -> None:
    data = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % target.encode("latin-1")

    assert meaning(read(data)) == meaning(read(b"\r\n" + data))  # an empty line makes it the thorough way


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_of_a_target_is_taken_or_refused_in_both_ways(byte: int) -> None:
    for target in (b"/%c" % byte, b"/a%cb" % byte, b"/?%c" % byte, b"/%%%c?" % byte, b"%c" % byte):
        data = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target

        assert meaning(read(data)) == meaning(read(b"\r\n" + data)), target


# -- other readers

FIELDS = st.sampled_from([
    b"Accept: */*", b"X-A:   padded \t", b"TE: trailers", b"Connection: keep-alive", b"Connection: Upgrade",
    b"Upgrade: h2c", b"Upgrade: websocket", b"User-Agent: a", b"User-Agent: b", b"Content-Type: a/b", b"Expect: other",
    b"Content-Type: c/d", b"Authorization: x", b"X-Forwarded-For: 1.2.3.4", b"A : b", b" folded", b"no-colon",
    b": no-name", b"Bad(name): x", b"Nul: \0", b"High: \xff", b"Ctl: \x01", b"Del: \x7f", b"Tab: a\tb", b"Empty:",
    b"Host: y", b"Content-Length: 0", b"Content-Length: x", b"Content-Length: 5", b"Content-Length: 5, 5",
    b"Content-Length: +5", b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding: gzip, chunked", b"Lf: a\nb", b"Cr: a\rb", b"Max-Forwards: 3",
])  # fmt: skip
METHODS = st.sampled_from([
    *[b"GET"] * 9, b"POST", b"HEAD", b"PUT", b"OPTIONS", b"M-SEARCH", b"get", b"G(T", b"FOO", b"", b"CONNECT", b"TRACE",
])  # fmt: skip
TARGETS = st.sampled_from([
    *[b"/"] * 9, b"/a?b=c", b"/%zz", b"/a b", b"/\xff", b"/\x7f", b"/a\tb", b"http://y/a", b"HTTP://y", b"http://u@y/",
    b"ftp://y/", b"*", b"a", b'/"<>', b"/{}|^`", b"/a#b", b"//a", b"", b"http://[::1/a", b"https://y?x",
])  # fmt: skip
VERSIONS = st.sampled_from([
    *[b"HTTP/1.1"] * 9, b"HTTP/1.0", b"HTTP/1.2", b"http/1.1", b"HTTP/2.0", b"HTTP/1.10", b"HTTP/11", b"", b"HTTP/0.9",
    b"HTTP/1.1 ",
])  # fmt: skip
HOSTS = st.sampled_from([
    *[b"Host: x\r\n"] * 9, b"", b"Host: a/b\r\n", b"host:x:80\r\n", b"Host:\r\n", b"Host: a,b\r\n", b"Host: a%zz\r\n",
])  # fmt: skip
BEFORE = st.sampled_from([*[b""] * 15, b"\r\n", b"\n", b"\r\n\r\n", b" "])


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    line = b" ".join((draw(METHODS), draw(TARGETS), draw(VERSIONS)))
    fields = b"".join(line + b"\r\n" for line in draw(st.lists(FIELDS, max_size=3)))
    return draw(BEFORE) + line + b"\r\n" + draw(HOSTS) + fields + b"\r\n"


def is_refused_on_purpose(reading: Reading, data: bytes) -> bool:
    """Whether a head that another reader takes has one of the things that are refused here by intent.

    RFC 9112 asks for it (Host, framing), or readers behind the gateway could take it in two ways.
    """
    hosts, lengths = ([value for key, value in reading.fields if key == name] for name in (b"host", b"content-length"))
    codings = [value.lower() for key, value in reading.fields if key == b"transfer-encoding"]
    target, method = reading.target, data.strip(b"\r\n").partition(b" ")[0]  # aiohttp in Python makes it upper-case
    is_absolute = target.lower().startswith((b"http://", b"https://"))
    return (
        data.startswith(b"\n")
        or re.search(rb"\r\n[ \t]", data) is not None  # h11 unfolds lines (RFC 9112 section 5.2)
        or reading.version not in {b"1.0", b"1.1"}
        or method in {b"CONNECT", b"TRACE"}
        or not method.isupper()
        or not all(0x20 < byte < 0x7F for byte in target)
        or b"#" in target
        or not (target.startswith(b"/") or is_absolute or (target == b"*" and method == b"OPTIONS"))
        or (is_absolute and (b"@" in target or b"[" in target))
        or (len(hosts) != 1 and (reading.version == b"1.1" or len(hosts) > 1))
        or not all(map(valid_host, hosts))
        or SEVERAL_LENGTHS.search(data) is not None  # h11 takes equal ones for one
        or not all(value.isdigit() for value in lengths)
        or (bool(codings) and (bool(lengths) or codings != [b"chunked"] or reading.version == b"1.0"))
        or any(
            value.translate(None, VALUE_BYTES) or name.translate(None, TOKEN_BYTES) for name, value in reading.fields
        )
    )


SEVERAL_LENGTHS = re.compile(rb"\r\ncontent-length:(?:[^\r]*,|.*\r\ncontent-length:)", re.IGNORECASE | re.DOTALL)
AIOHTTP_SINGLETONS = (b"user-agent", b"content-type", b"authorization", b"max-forwards", b"expect")
KNOWN_TO_AIOHTTP_IN_C = (b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"M-SEARCH")


def is_taken_on_purpose(name: str, head: RequestHead, data: bytes) -> bool:
    """Whether another reader refuses for a reason of its own what RFC 9110 allows."""
    lowered = head.facts.raw.lower()
    if name == "h11":
        return data.startswith(b"\r\n")  # RFC 9112 section 2.2: a server should ignore an empty line
    if any(lowered.count(b"\r\n%b:" % field) > 1 for field in AIOHTTP_SINGLETONS):
        return True  # aiohttp takes one only of each
    return name == "aiohttp in C" and head.method.encode() not in KNOWN_TO_AIOHTTP_IN_C


@pytest.fixture(scope="module", params=list(ORACLES))
def oracle(request: pytest.FixtureRequest) -> Iterator[tuple[str, AiohttpOracle | H11Oracle]]:
    other: Any = ORACLES[request.param]()
    yield request.param, other
    other.close()


@given(data=heads())
def test_other_readers_agree_but_for_what_is_listed(oracle: tuple[str, AiohttpOracle | H11Oracle], data: bytes) -> None:
    name, other = oracle

    head, reading = read(data), other.read(data)

    if not isinstance(head, RequestHead):
        assert reading is None or is_refused_on_purpose(reading, data)
    elif reading is None:
        assert is_taken_on_purpose(name, head, data)
    else:
        assert (head.method.encode(), head.version.encode()) == (reading.method, reading.version)
        if reading.target[:1] in b"/*":
            assert head.target.encode() == reading.target
        if b"://" not in data and head.facts.max_forwards < 0:
            assert [(key, value.lower()) for key, value in fields_of(head.facts.raw)] == [
                (key, value.lower()) for key, value in reading.fields
            ]


@given(data=heads())
def test_every_head_means_the_same_in_the_short_way_and_the_thorough_one(data: bytes) -> None:
    assert meaning(read(data)) == meaning(read(b"\r\n" + data))


def fields_of(block: bytes) -> list[tuple[bytes, bytes]]:
    lines = [line.partition(b":") for line in block.split(b"\r\n")[1:]]
    return [(name.lower(), value.strip(b" \t")) for name, _, value in lines]


@given(data=heads(), places=st.lists(st.integers(0, 500), max_size=3))
def test_a_head_that_comes_in_parts_is_read_the_same(data: bytes, places: list[int]) -> None:
    whole = read(data)
    found = None
    for place in sorted({place % (len(data) + 1) for place in places} | {len(data)}):
        found = read(data[:place])
        if found is not None:
            break

    if isinstance(whole, RequestHead):
        assert isinstance(found, RequestHead)
        assert (found.method, found.target, found.facts.raw) == (whole.method, whole.target, whole.facts.raw)
    else:
        # What can never become a head is refused as soon as that is known.
        assert isinstance(found, HeadProblem) is isinstance(whole, HeadProblem)


@pytest.mark.parametrize("size", [65, 66, 100_000])
@pytest.mark.parametrize("rest", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_empty_lines_without_end_are_no_head(size: int, rest: bytes) -> None:
    found = read_head(b"\r\n" * size + rest, 0, 65536, 100)

    assert isinstance(found, HeadProblem)
    assert found.status == 400
