"""Responses that are not valid to the letter: what is refused, what is repaired, and what goes on then."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from gateway_core.proxy.wire.bodies import BadChunkError, ChunkDecoder
from gateway_core.proxy.wire.fields import split_block
from gateway_core.proxy.wire.repairs import BadResponseError, Leniency, may_begin_head, repair_fields
from gateway_core.proxy.wire.response_head import CHUNKED, ResponseHead, read_response_head
from hypothesis import given
from hypothesis import strategies as st

REPAIR, TOLERANT = Leniency.REPAIR, Leniency.TOLERANT

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 2\r\n"
CODING = b"Transfer-Encoding: chunked\r\n"


@dataclass(frozen=True)
class Case:
    """A response with the body `ok`."""

    data: bytes
    least: Leniency | None
    """The least leniency that takes it; None is refused always."""
    block: bytes = b""
    """The fields that go on."""
    keeps: bool = False
    """Whether the connection may serve another request: its framing was not repaired."""
    nginx: bool = True
    haproxy: bool = True
    """Whether nginx 1.22 takes it, and HAProxy 2.6 with accept-invalid-http-response: what was seen, for comparison."""


CASES = {
    "plain": Case(OK + LENGTH + b"A: b\r\n\r\nok", REPAIR, b"\r\nA: b", keeps=True),
    # What the RFCs let a recipient repair.
    "white space before a colon": Case(
        OK + LENGTH + b"A \t: b\r\n\r\nok", REPAIR, b"\r\nA: b", keeps=True, nginx=False
    ),
    "white space before a framing colon": Case(OK + b"Content-Length : 2\r\n\r\nok", REPAIR, nginx=False),
    "folded line": Case(
        OK + LENGTH + b"A: b\r\n \t c\r\n\td\r\n\r\nok", REPAIR, b"\r\nA: b c d", keeps=True, nginx=False
    ),
    "folded framing": Case(OK + b"Content-Length:\r\n 2\r\n\r\nok", REPAIR, nginx=False),
    "folded challenge": Case(
        OK + LENGTH + b"WWW-Authenticate :\r\n NTLM\r\n\r\nok",
        REPAIR,
        b"\r\nWWW-Authenticate: NTLM",
        keeps=True,
        nginx=False,
    ),
    "white space before the first field": Case(
        OK + b" A: b\r\n\tc\r\n" + LENGTH + b"B: d\r\n\r\nok", REPAIR, b"\r\nB: d", nginx=False
    ),
    "minor version": Case(b"HTTP/1.2 200 OK\r\n" + LENGTH + b"\r\nok", REPAIR, keeps=True),
    "lf ends every line": Case(b"HTTP/1.1 200 OK\nContent-Length: 2\nA: b\n\nok", REPAIR, b"\r\nA: b"),
    "two equal lengths": Case(OK + LENGTH + LENGTH + b"\r\nok", REPAIR),
    "a list of equal lengths": Case(OK + b"Content-Length: 2, 2\r\n\r\nok", REPAIR),
    "chunks in 1.0": Case(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + CODING + b"\r\n2\r\nok\r\n0\r\n\r\n", REPAIR
    ),
    "space behind a chunk size": Case(OK + CODING + b"\r\n2 \t\r\nok\r\n0 \r\n\r\n", REPAIR),
    "white space before a trailer's colon": Case(
        OK + CODING + b"\r\n2\r\nok\r\n0\r\nT : 1\r\n\r\n", REPAIR, keeps=True, haproxy=False
    ),
    # What other proxies take as well.
    "one bare lf": Case(OK + LENGTH + b"A: b\nB: c\r\n\r\nok", TOLERANT, b"\r\nA: b\r\nB: c"),
    "lf behind the status line": Case(b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok", TOLERANT),
    "lf as the empty line": Case(OK + LENGTH + b"\nok", TOLERANT),
    "one crlf among lfs": Case(b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\nok", TOLERANT),
    "empty lines before": Case(b"\r\n\n" + OK + LENGTH + b"\r\nok", TOLERANT, nginx=False),
    "two spaces": Case(b"HTTP/1.1  200 OK\r\n" + LENGTH + b"\r\nok", TOLERANT, keeps=True),
    "tab": Case(b"HTTP/1.1\t200\tOK\r\n" + LENGTH + b"\r\nok", TOLERANT, keeps=True),
    "control byte in the reason": Case(b"HTTP/1.1 200 O\x01K\r\n" + LENGTH + b"\r\nok", TOLERANT, keeps=True),
    "control byte": Case(OK + LENGTH + b"A: b\x01c\x7fd\r\n\r\nok", TOLERANT, b"\r\nA: b c d", keeps=True),
    "nul": Case(OK + LENGTH + b"A: b\0c\r\n\r\nok", TOLERANT, b"\r\nA: b c", keeps=True, nginx=False),
    "bare cr": Case(
        OK + LENGTH + b"A: b\rSet-Cookie: c\r\n\r\nok",
        TOLERANT,
        b"\r\nA: b Set-Cookie: c",
        keeps=True,
        nginx=False,
        haproxy=False,
    ),
    "name that is no token": Case(OK + LENGTH + b"A(b): c\r\nD: e\r\n\r\nok", TOLERANT, b"\r\nD: e"),
    "space in a name": Case(OK + LENGTH + b"A b: c\r\n\r\nok", TOLERANT, nginx=False),
    "no colon": Case(OK + LENGTH + b"A\r\n\r\nok", TOLERANT, haproxy=False),
    "no name": Case(OK + LENGTH + b": b\r\n\r\nok", TOLERANT, nginx=False, haproxy=False),
    "length and coding": Case(OK + LENGTH + CODING + b"\r\n2\r\nok\r\n0\r\n\r\n", TOLERANT),
    "identity": Case(OK + LENGTH + b"Transfer-Encoding: identity\r\n\r\nok", TOLERANT, haproxy=False),
    "lf behind a chunk size": Case(OK + CODING + b"\r\n2\nok\r\n0\r\n\r\n", TOLERANT),
    "lf behind a chunk": Case(OK + CODING + b"\r\n2\r\nok\n0\r\n\r\n", TOLERANT),
    "lf ends the trailers": Case(OK + CODING + b"\r\n2\r\nok\r\n0\r\n\n", TOLERANT),
    "lf among the trailers": Case(OK + CODING + b"\r\n2\r\nok\r\n0\r\nT: 1\n\r\n", TOLERANT),
    "no colon in a trailer": Case(OK + CODING + b"\r\n2\r\nok\r\n0\r\nT\r\n\r\n", TOLERANT, haproxy=False),
    # What has two readings, whoever takes it.
    "two lengths": Case(OK + LENGTH + b"Content-Length: 3\r\n\r\nok", None, haproxy=False),
    "a list of lengths": Case(OK + b"Content-Length: 2, 3\r\n\r\nok", None, haproxy=False),
    "signed length": Case(OK + b"Content-Length: +2\r\n\r\nok", None, haproxy=False),
    "control byte in the framing": Case(
        OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None, haproxy=False
    ),
    "two codings": Case(OK + CODING + CODING + b"\r\n2\r\nok\r\n0\r\n\r\n", None, haproxy=False),
    "chunked twice": Case(OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None, haproxy=False),
    "other coding": Case(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None, haproxy=False),
    "space before a chunk size": Case(OK + CODING + b"\r\n 2\r\nok\r\n0\r\n\r\n", None, nginx=False, haproxy=False),
    "hexadecimal prefix": Case(OK + CODING + b"\r\n0x2\r\nok\r\n0\r\n\r\n", None, nginx=False, haproxy=False),
    "lower-case protocol": Case(b"http/1.1 200 OK\r\n" + LENGTH + b"\r\nok", None, haproxy=False),
    "other protocol": Case(b"ICY 200 OK\r\n" + LENGTH + b"\r\nok", None, nginx=False, haproxy=False),
    "short status": Case(b"HTTP/1.1 20 OK\r\n" + LENGTH + b"\r\nok", None),
    "long status": Case(b"HTTP/1.1 2000 OK\r\n" + LENGTH + b"\r\nok", None),
    "status below 100": Case(b"HTTP/1.1 099 OK\r\n" + LENGTH + b"\r\nok", None),
}


@dataclass(frozen=True)
class Read:
    """What was read of a response."""

    head: ResponseHead
    body: bytes
    keeps: bool


def read(data: bytes, leniency: Leniency, cuts: list[int] | None = None) -> Read | None:
    """Read a response whose bytes are cut anywhere; None if it is refused."""
    bounds = [0, *sorted({cut % (len(data) + 1) for cut in cuts or []}), len(data)]
    head: ResponseHead | None = None
    decoder: ChunkDecoder | None = None
    held = body = b""
    try:
        for start, end in pairwise(bounds):
            piece = data[start:end]
            if head is None:
                held += piece
                head = read_response_head(held, 1000, leniency)
                if head is None:
                    continue
                piece = held[head.size :]
                decoder = ChunkDecoder(leniency) if head.length == CHUNKED else None
            body += piece if decoder is None else decoder.feed(piece)
    except (BadResponseError, BadChunkError):
        return None
    assert head is not None
    assert decoder is None or decoder.done
    return Read(head, body, head.keep_alive and (decoder is None or not decoder.is_repaired))


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
@pytest.mark.parametrize("leniency", [REPAIR, TOLERANT], ids=["repair", "tolerant"])
def test_what_is_taken_goes_on_repaired_and_what_has_two_readings_is_refused(case: Case, leniency: Leniency) -> None:
    result = read(case.data, leniency)

    assert (result is not None) is (case.least is not None and leniency >= case.least)
    if result is not None:
        assert (result.head.block, result.body, result.keeps) == (case.block, b"ok", case.keeps)
        assert split_block(result.head.block) is not None
        assert split_block(b"\r\nA: " + result.head.reason.encode("latin-1")) is not None


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_tolerant_takes_all_that_another_proxy_takes_unless_it_has_two_readings(case: Case) -> None:
    if case.least is None:
        # nginx takes the last of two lengths, or any coding with "chunked" in it; HAProxy refuses all of these, but
        # for statuses, which both only pass on.
        assert (
            not case.haproxy or b"HTTP/1.1 20 " in case.data or b"HTTP/1.1 2000" in case.data or b" 099 " in case.data
        )
    if case.nginx and case.haproxy and case.least is not None:
        assert read(case.data, TOLERANT) is not None


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
@pytest.mark.parametrize("leniency", [REPAIR, TOLERANT], ids=["repair", "tolerant"])
@pytest.mark.parametrize("size", [1, 3])
def test_small_pieces_mean_what_the_whole_means(case: Case, leniency: Leniency, size: int) -> None:
    whole = read(case.data, leniency)
    pieces = read(case.data, leniency, list(range(size, len(case.data), size)))

    assert (whole is None) is (pieces is None)
    if whole is not None and pieces is not None:
        assert (pieces.head.block, pieces.body, pieces.keeps) == (whole.head.block, whole.body, whole.keeps)


PARTS = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"A", b"A: b", b"Content-Length: 2", b"Transfer-Encoding: chunked",
     b"Connection: close", b"\0", b"ok", b"2", b"0", b";"]
)  # fmt: skip


@given(
    st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.0 404", b"\r\nHTTP/1.1 200 OK", b"HTTP/1.1  200"]),
    st.lists(PARTS, max_size=14).map(b"".join),
    st.sampled_from([REPAIR, TOLERANT]),
    st.lists(st.integers(0, 1000), max_size=8),
)
def test_any_cut_of_any_head_means_the_same(line: bytes, rest: bytes, leniency: Leniency, cuts: list[int]) -> None:
    data = line + rest
    results = []
    for pieces in ([], cuts):
        bounds = [0, *sorted({cut % (len(data) + 1) for cut in pieces}), len(data)]
        outcome: object = None
        for end in bounds[1:]:
            try:
                head = read_response_head(data[:end], 1000, leniency)
            except BadResponseError:
                outcome = "refused"
                break
            if head is not None:
                outcome = (head.size, head.block, head.length, head.keep_alive)
                break
        results.append(outcome)

    whole, pieced = results
    assert pieced == whole or (pieced is None) or (whole is None)
    if whole is None:
        # An incomplete head may be refused early, never taken early.
        assert pieced in {None, "refused"}


@given(st.lists(PARTS, max_size=14).map(b"".join), st.sampled_from([REPAIR, TOLERANT]))
def test_whatever_is_taken_is_valid_to_the_letter_when_it_goes_on(rest: bytes, leniency: Leniency) -> None:
    try:
        head = read_response_head(OK + rest + b"\r\n\r\n", 1000, leniency)
    except BadResponseError:
        return
    if head is not None:
        again = read_response_head(b"HTTP/1.1 200 OK" + head.block + b"\r\n\r\n", 1000, Leniency.STRICT)
        assert again is not None
        assert again.block == head.block


def test_a_head_may_be_as_long_as_the_limit_and_no_longer() -> None:
    data = OK + LENGTH + b"\r\n"

    assert read_response_head(data, len(data)) is not None
    with pytest.raises(BadResponseError, match="too large"):
        read_response_head(data[:-2] + b"A: b" * 10, len(data))


def test_one_field_of_thousands_of_folds_is_joined_once() -> None:
    fields, _ = repair_fields([b"A: b", *[b" c"] * 5000], REPAIR)

    assert fields == [(b"a", b"A: b" + b" c" * 5000)]


@pytest.mark.parametrize("data", [b"", b"H", b"HTTP/1.", b"HTTP/1.1 200"])
def test_a_beginning_of_a_head_is_told_from_garbage(data: bytes) -> None:
    assert may_begin_head(data, REPAIR)
    assert may_begin_head(b"\r\n" + data, TOLERANT)
    assert not may_begin_head(b"\r\n" + data, REPAIR)
    assert not may_begin_head(b"x" + data, TOLERANT)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bytes.fromhex("15030100020246"), "no HTTP/1 response but TLS: its url needs https"),
        (bytes.fromhex("000012040000000000"), "no HTTP/1 response but HTTP/2: the upstream needs protocol: http2"),
        (bytes.fromhex("000008070000000000"), "no HTTP/1 response but HTTP/2: the upstream needs protocol: http2"),
        (b"SSH-2.0-OpenSSH_9.2", "what it sends is no HTTP/1 response"),
        (bytes(9), "what it sends is no HTTP/1 response"),
    ],
)
def test_another_protocol_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(BadResponseError) as caught:
        read_response_head(data, 1000, Leniency.STRICT)

    assert str(caught.value).endswith(reason)
