"""The strict reading of request heads: one reading or none."""

from __future__ import annotations

import pytest
from gateway_core.messages.headers import headers_of_block
from gateway_core.observe.tracing.propagation import fields_of
from gateway_core.proxy.downstream.client import believed_facts
from gateway_core.proxy.wire.request_fields import RequestFacts, read_request_block
from gateway_core.snapshot import Trust
from hypothesis import given
from hypothesis import strategies as st

HOST = b"\r\nHost: a"

REFUSED = {
    "no host": b"\r\nAccept: a",
    "two hosts": HOST + b"\r\nHost: b",
    "two equal hosts": HOST + HOST,
    "host with a path": b"\r\nHost: a/b",
    "host with user information": b"\r\nHost: u@a",
    "empty host": b"\r\nHost: ",
    "host with a space": b"\r\nHost: a b",
    "length and coding": HOST + b"\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
    "two lengths": HOST + b"\r\nContent-Length: 1\r\nContent-Length: 1",
    "listed length": HOST + b"\r\nContent-Length: 1, 1",
    "plus": HOST + b"\r\nContent-Length: +1",
    "minus": HOST + b"\r\nContent-Length: -1",
    "hexadecimal": HOST + b"\r\nContent-Length: 0x1",
    "space inside": HOST + b"\r\nContent-Length: 1 1",
    "empty length": HOST + b"\r\nContent-Length: ",
    "overflow": HOST + b"\r\nContent-Length: " + b"9" * 19,
    "gzip, chunked": HOST + b"\r\nTransfer-Encoding: gzip, chunked",
    "chunked twice": HOST + b"\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "identity": HOST + b"\r\nTransfer-Encoding: identity",
    "xchunked": HOST + b"\r\nTransfer-Encoding: xchunked",
    "chunked with a parameter": HOST + b"\r\nTransfer-Encoding: chunked;q=1",
    "space before the colon": HOST + b"\r\nA : b",
    "space before the name": HOST + b"\r\n A: b",
    "folded": HOST + b"\r\nA: b\r\n c",
    "no colon": HOST + b"\r\nAccept",
    "empty name": HOST + b"\r\n: a",
    "bare lf": HOST + b"\r\nA: b\nC: d",
    "bare cr": HOST + b"\r\nA: b\rC: d",
    "nul": HOST + b"\r\nA: \0",
    "control character": HOST + b"\r\nA: \x01",
    "delete": HOST + b"\r\nA: \x7f",
    "name with a control character": HOST + b"\r\nTransfer\x0b-Encoding: chunked",
    "name with high bytes": HOST + b"\r\n\xc3\xa4: b",
}


@pytest.mark.parametrize("block", REFUSED.values(), ids=list(REFUSED))
def test_what_is_not_valid_to_the_letter_is_refused(block: bytes) -> None:
    assert read_request_block(block) is None


@pytest.mark.parametrize("known", [b"known.example", b"two.example"])
@pytest.mark.parametrize("names", [(b"Host", b"Host"), (b"host", b"Host"), (b"HOST", b"host")])
def test_two_hosts_are_refused_whichever_was_seen_before(known: bytes, names: tuple[bytes, bytes]) -> None:
    assert read_request_block(b"\r\nHost: " + known) is not None

    for values in ((b"one.example", known), (known, b"one.example"), (known, known)):
        lines = [b"\r\n%b: %b" % pair for pair in zip(names, values, strict=True)]
        assert read_request_block(b"".join(lines)) is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"Content-Length: 33", 33),
        (b"Content-Length:33", 33),
        (b"content-length:\t33 ", 33),
        (b"CONTENT-LENGTH:  33", 33),
        (b"Content-Length: 0", 0),
        (b"Content-Length: 033", 33),
    ],
)
def test_a_length_is_its_number_whatever_the_white_space_around_it(line: bytes, expected: int) -> None:
    for block in (HOST + b"\r\n" + line, b"\r\n" + line + HOST):
        facts = read_request_block(block)

        assert facts is not None
        assert (facts.content_length, facts.is_bare, facts.kept) == (expected, False, b"")


def test_a_coding_in_http_1_0_is_refused() -> None:
    assert read_request_block(HOST + b"\r\nTransfer-Encoding: chunked", http_1_0=True) is None


def test_http_1_0_may_do_without_host() -> None:
    facts = read_request_block(b"\r\nAccept: a", http_1_0=True)

    assert facts is not None
    assert facts.host == ""


FIELD_LINES = st.sampled_from(
    [
        *(b"Accept: a", b"x-custom: 1", b"X_Odd: 1", b"X-FORWARDED-FOR: 1.1.1.1", b"x-forwarded-for: 2.2.2.2"),
        *(b"X-Forwarded-Proto: https", b"X_Forwarded_Proto: https", b"Via: 1.1 a", b"X-Real-IP: 3.3.3.3"),
        *(b"X_Real_IP: 4.4.4.4", b"X.Real.IP: 5.5.5.5", b"Forwarded: for=6.6.6.6", b"X-Request-Id: i", b"close: 1"),
        *(
            b"Connection: close, Authorization",
            b"Connection: X-Real-IP, x-custom, via, Max-Forwards",
            b"Max-Forwards: 3",
        ),
        *(
            b"Authorization: NTLM x",
            b"authorization: Bearer y",
            b"Authorization: Basic z",
            b"AUTHORIZATION: Bearer w",
            b"Content-Length: 3",
            b"Upgrade: websocket",
        ),
    ]
)


@given(st.lists(FIELD_LINES, max_size=4), st.booleans())
def test_authorization_is_noted_when_plugins_see_exactly_one(lines: list[bytes], is_trusted: bool) -> None:
    facts = read_request_block(HOST + b"".join([b"\r\n" + line for line in lines]), is_trusted=is_trusted)

    if facts is not None:
        seen = headers_of_block(facts.block).get_all("authorization")
        noted = [] if facts.authorization is None else [facts.authorization.strip().decode()]
        assert noted == (seen if len(seen) == 1 else [])


@pytest.mark.parametrize(
    ("http_1_0", "connection", "expected"),
    [
        (False, b"", True),
        (False, b"keep-alive", True),
        (False, b"close", False),
        (False, b"Close, x", False),
        (True, b"", False),
        (True, b"keep-alive", True),
        (True, b"keep-alive, close", False),
    ],
)
def test_whether_the_connection_goes_on(http_1_0: bool, connection: bytes, expected: bool) -> None:
    facts = read_request_block(HOST + b"\r\nConnection: " + connection, http_1_0)

    assert facts is not None
    assert facts.keep_alive is expected


@pytest.mark.parametrize(
    ("upgrade", "expected"), [(b"websocket", b"websocket"), (b"h2c", None), (b"h2c, WebSocket", b"websocket")]
)
def test_upgrades_to_http_2_are_not_passed_on(upgrade: bytes, expected: bytes | None) -> None:
    facts = read_request_block(HOST + b"\r\nConnection: upgrade\r\nUpgrade: " + upgrade)

    assert facts is not None
    assert facts.upgrade == expected


def test_listed_hop_by_hop_and_forwarding_fields_are_not_kept() -> None:
    facts = read_request_block(
        HOST + b"\r\nConnection: x-mine\r\nX-Mine: 1\r\nTE: trailers\r\nX-Forwarded-For: 1.2.3.4\r\nX-Other: 2"
    )

    assert facts is not None
    assert facts.kept == b"\r\nX-Other: 2"
    assert facts.forwarding == {b"x-forwarded-for": b"1.2.3.4"}


def test_plugins_do_not_see_what_connection_lists() -> None:
    facts = read_request_block(HOST + b"\r\nConnection: x-mine, Host\r\nX-Mine: 1\r\nX-Other: 2\r\nContent-Length: 1")

    assert facts is not None
    assert facts.block == HOST + b"\r\nConnection: x-mine, Host\r\nX-Other: 2\r\nContent-Length: 1"
    assert facts.lowered == facts.block.lower()
    assert facts.raw != facts.block


@pytest.mark.parametrize("name", [b"X_Forwarded_For", b"x_request_id", b"Content_Length", b"TRANSFER_ENCODING"])
def test_what_cgi_takes_for_a_field_of_the_gateway_goes_no_further(name: bytes) -> None:
    facts = read_request_block(HOST + b"\r\n" + name + b": 1\r\nX_Other: 2")

    assert facts is not None
    assert facts.kept == b"\r\nX_Other: 2"
    assert not facts.chunked
    assert facts.content_length == -1


@pytest.mark.parametrize(("value", "expected"), [(b"0", 0), (b"7", 7), (b"x", -1), (b"-1", -1), (b"9" * 20, -1)])
def test_how_often_a_request_may_be_forwarded_goes_on_and_is_known(value: bytes, expected: int) -> None:
    facts = read_request_block(HOST + b"\r\nMax-Forwards: " + value)

    assert facts is not None
    assert facts.max_forwards == expected
    assert facts.kept == b"\r\nMax-Forwards: " + value


@given(st.lists(st.sampled_from([*b"\r\n:aAbB \t\0\x7f\xff1,-Host"]), max_size=40).map(bytes))
def test_what_is_accepted_has_one_line_a_field(tail: bytes) -> None:
    facts = read_request_block(HOST + b"\r\n" + tail)

    if facts is not None:
        lines = facts.kept.split(b"\r\n")[1:]
        assert all(b":" in line and not line[:1].isspace() for line in lines)
        assert facts.kept.count(b"\n") == facts.kept.count(b"\r") == len(lines)


METHODS = {"ask_for", "drop", "have_unknown_length", "hide", "know_call", "with_forwarding"}
FACTS = {name for name in dir(RequestFacts) if name[0] != "_"} - METHODS - {"has_odd_names"}


@given(st.lists(FIELD_LINES, max_size=12), st.booleans())
def test_heads_of_strangers_are_read_as_if_their_claims_were_removed_later(lines: list[bytes], http_1_0: bool) -> None:
    block = b"".join([b"\r\n" + line for line in ([] if http_1_0 else [b"Host: a"]) + lines])

    at_once = read_request_block(block, http_1_0, is_trusted=False)
    later = read_request_block(block, http_1_0)

    assert (at_once is None) is (later is None)
    if at_once is not None and later is not None:
        later = believed_facts(later, Trust(), is_trusted=False)
        for name in FACTS:
            assert getattr(at_once, name) == getattr(later, name), name


USUAL_LINES = st.sampled_from(
    [
        *(b"Host: a", b"host: a", b"Host:a", b"Host: other", b"Content-Length: 3", b"content-length: 3"),
        *(b"Content-Length:33", b"Content-Length: 3 ", b"Content-Length: 3x", b"Content-Length: ", b"Accept: a"),
        *(b"Content-Length: " + b"9" * 19, b"Connection: close", b"connection: keep-alive", b"Connection:close"),
        *(b"Connection: keep-alive ", b"Authorization: Bearer x", b"Authorization: NTLM x", b"authorization: Basic x"),
        *(b"Close: 1", b"Transfer-Encoding: chunked", b"X-New: 1", b"Connection: accept"),
    ]
)


@given(st.lists(USUAL_LINES, max_size=5))
def test_heads_that_are_read_the_short_way_mean_what_they_mean_in_the_long_one(lines: list[bytes]) -> None:
    """A field that only the long way knows makes it decide; it must change nothing else."""
    block = b"".join([b"\r\n" + line for line in lines])
    assert read_request_block(b"\r\nHost: a") is not None

    short = read_request_block(block)
    long = read_request_block(block + b"\r\nTE: gzip")

    assert (short is None) is (long is None)
    if short is not None and long is not None:
        for name in FACTS - {"raw", "block", "lowered"}:
            assert getattr(short, name) == getattr(long, name), name
        assert long.block == short.block + b"\r\nTE: gzip"


TRUSTED_LINES = st.sampled_from(
    [
        *(b"Host: a", b"Accept: a", b"User-Agent: b", b"X-Forwarded-For: 1.1.1.1", b"x-forwarded-for: 2.2.2.2"),
        *(b"X-Forwarded-For:3.3.3.3 \t", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: c", b"X-Request-Id: i"),
        *(b"X-Forwarded-For: 1.1.1.11", b"Via: 1.1 a", b"X-Real-IP: 3.3.3.3", b"Forwarded: for=6.6.6.6", b"Proxy: a"),
        *(b"X_Real_IP: 4.4.4.4", b"Content-Length: 3", b"Connection: close", b"X-Forwarded-Port", b"User-Agent"),
    ]
)


@given(st.lists(TRUSTED_LINES, max_size=8), st.booleans())
def test_fields_of_proxies_mean_the_same_in_both_ways(lines: list[bytes], is_trusted: bool) -> None:
    block = b"".join([b"\r\n" + line for line in lines])

    short = read_request_block(block, is_trusted=is_trusted)
    long = read_request_block(block + b"\r\nTE: gzip", is_trusted=is_trusted)

    assert (short is None) is (long is None)
    if short is not None and long is not None:
        for name in FACTS - {"raw", "block", "lowered"}:
            assert getattr(short, name) == getattr(long, name), name
        assert long.block == short.block + b"\r\nTE: gzip"


def test_a_line_that_came_before_is_read_like_the_first_one() -> None:
    once = read_request_block(b"\r\nUser-Agent: known\r\nHost: a")
    again = read_request_block(b"\r\nHost: a\r\nUser-Agent: known\r\nUser-Agent: known\r\nUser-Agent: other")

    assert once is not None
    assert again is not None
    assert again.kept == b"\r\nUser-Agent: known\r\nUser-Agent: known\r\nUser-Agent: other"
    assert read_request_block(b"\r\nHost: a\r\nUser-Agent: known\n\rX: y") is None
    assert read_request_block(b"\r\nUser-Agent: known") is None


def test_fields_are_read_without_host_in_http_1_0() -> None:
    facts = read_request_block(b"\r\nConnection: keep-alive", http_1_0=True)
    assert facts is not None
    assert facts.keep_alive


@pytest.mark.parametrize("option", ["x-mine", "close", "x-1, x-2, x-3, x-4, x-mine"])
def test_fields_that_connection_lists_go_no_further(option: str) -> None:
    name = option.rpartition(" ")[2].encode()
    facts = read_request_block(HOST + b"\r\nConnection: " + option.encode() + b"\r\n" + name.title() + b": 1")
    assert facts is not None
    assert name not in facts.lowered.replace(b"connection: " + option.encode(), b"")
    assert facts.kept == b""


@pytest.mark.parametrize("value", [b"NTLM a", b" \t negotiate", b"Kerberos,", b"NEGO2"])
def test_credentials_that_bind_are_found_in_any_spelling(value: bytes) -> None:
    for name in (b"Authorization", b"authorization", b"aUTHORIZATION"):
        facts = read_request_block(HOST + b"\r\n" + name + b":" + value)
        assert facts is not None
        assert facts.binds


def test_trailer_goes_on_with_the_names_of_those_that_may_be_trailers() -> None:
    facts = read_request_block(HOST + b"\r\nTrailer: X-Sum, Content-Length\r\nTrailer: Host, B, b c, TE")

    assert facts is not None
    assert facts.trailer == b"\r\nTrailer: X-Sum, B"


TRACE_LINES = st.lists(
    st.sampled_from([
        b"traceparent: a", b"Traceparent: ab", b"TRACESTATE: a=1", b"baggage: k=v", b"b3: 0", b"X-B3-TraceId: 1",
        b"x-b3-flags:1", b"X_B3_TraceId: 1", b"Connection: close", b"Connection: traceparent, baggage",
        b"Connection: b3, keep-alive, x-b3-flags", b"X-Forwarded-For: 10.0.0.1", b"X-Real-IP: 10.0.0.1",
        b"Authorization: Bearer x", b"Content-Length: 0", b"TE: trailers", b"Accept: */*", b"X-Own: traceparent: a",
    ]),
    max_size=9,
    unique=True,
)  # fmt: skip


@given(TRACE_LINES, st.booleans(), st.booleans(), st.integers(0, 9))
def test_the_fields_of_a_trace_are_those_of_the_block_that_goes_on_however_the_head_is_read(
    lines: list[bytes], is_trusted: bool, http_1_0: bool, position: int
) -> None:
    lines.insert(position, b"Host: a")
    block = b"".join([b"\r\n" + line for line in lines])

    facts = read_request_block(block, http_1_0, is_trusted=is_trusted)

    if facts is not None:
        assert facts.trace == fields_of(facts.block)
        assert facts.trace == fields_of(facts.kept)
