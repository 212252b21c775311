from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from gateway_core.upstreams.discovery.dns_message import (
    Answer,
    DnsFormatError,
    Record,
    RecordType,
    Service,
    decode_answer,
    encode_name,
    encode_query,
    follow_aliases,
)
from hypothesis import given
from hypothesis import strategies as st

QUERY = encode_query(0x1234, "users.test", RecordType.A)
QUESTION = QUERY[12:]


def message(records: bytes = b"", count: int = 0, flags: int = 0x8180, question: bytes = QUESTION) -> bytes:
    return struct.pack("!6H", 0x1234, flags, 1, count, 0, 0) + question + records


def record(kind: int, data: bytes, ttl: int = 60, owner: bytes = b"\xc0\x0c", record_class: int = 1) -> bytes:
    return owner + struct.pack("!HHIH", kind, record_class, ttl, len(data)) + data


def test_a_query_asks_one_recursive_question() -> None:
    assert QUERY == b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05users\x04test\x00\x00\x01\x00\x01"


def test_every_kind_of_record_is_read() -> None:
    service = struct.pack("!3H", 10, 5, 8080) + encode_name("a.users.test")
    records = (
        record(1, bytes([10, 0, 0, 1]))
        + record(28, bytes(15) + b"\x01", ttl=1 << 31)
        + record(5, b"\x01b\xc0\x0c")
        + record(33, service)
        + record(16, b"\x03txt")
        + record(1, b"xx", record_class=3)
    )

    answer = decode_answer(message(records, 6), QUERY)

    assert answer.records == (
        Record("users.test", RecordType.A, 60, "10.0.0.1"),
        Record("users.test", RecordType.AAAA, 0, "::1"),
        Record("users.test", RecordType.CNAME, 60, "b.users.test"),
        Record("users.test", RecordType.SRV, 60, Service(10, 5, 8080, "a.users.test")),
    )


def test_names_compare_without_case() -> None:
    question = QUESTION.replace(b"users", b"USERS")

    answer = decode_answer(message(record(1, bytes(4)), 1, question=question), QUERY)

    assert answer.records[0].name == "users.test"


def test_a_truncated_answer_says_so_and_has_no_records() -> None:
    answer = decode_answer(message(b"\xc0", 9, flags=0x8380), QUERY)

    assert answer == Answer(0, is_truncated=True, records=())


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", "shorter than its header"),
        (message()[:20], "name ends after the message|label is longer"),
        (b"\x99" + message()[1:], "no response to the query"),
        (message(flags=0x0180), "no response to the query"),
        (message(flags=0x9180), "no response to the query"),
        (message(question=QUESTION.replace(b"users", b"other")), "another question"),
        (message(question=QUESTION[:-4] + b"\x00\x1c\x00\x01"), "another question"),
        (message(count=1), "name ends after"),
        (message(count=65535), "65535 records are more"),
        (message(record(1, bytes(3)), 1), "A record of 3 octets"),
        (message(record(28, bytes(4)), 1), "AAAA record of 4 octets"),
        (message(record(33, bytes(6)), 1), "SRV record of 6 octets"),
        (message(record(5, b"\x00\x00"), 1), "does not end with its name"),
        (message(record(1, bytes(4))[:-1], 1), "longer than the message"),
        (message(record(5, b"\xc0\x28"), 1), "points forward"),
        (message(record(5, b"\x80\x00"), 1), "unknown kind of label"),
        (message(record(5, (b"\x3f" + b"x" * 63) * 4 + b"\x00"), 1), "longer than 255"),
    ],
)
def test_what_is_no_proper_answer_is_refused(raw: bytes, text: str) -> None:
    with pytest.raises(DnsFormatError, match=text):
        decode_answer(raw, QUERY)


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_parse_or_be_refused(tail: bytes) -> None:
    for raw in (tail, message(tail, 3)):
        with suppress(DnsFormatError):
            decode_answer(raw, QUERY)


@given(st.integers(0, 200), st.integers(0, 255), st.integers(1, 60))
def test_no_damage_to_an_answer_does_more_than_that(position: int, value: int, cut: int) -> None:
    records = record(5, b"\x01b\xc0\x0c") + record(33, struct.pack("!3H", 1, 2, 3) + encode_name("x.test"))
    raw = bytearray(message(records, 2))
    raw[position % len(raw)] = value
    for damaged in (bytes(raw), bytes(raw[:-cut])):
        with suppress(DnsFormatError):
            decode_answer(damaged, QUERY)


@pytest.mark.parametrize("name", ["a..b", ".a", "x" * 64, ".".join(["x" * 60] * 5)])
def test_a_name_that_cannot_be_asked_for_is_refused(name: str) -> None:
    with pytest.raises(DnsFormatError):
        encode_name(name)


def test_aliases_are_followed_but_not_in_circles() -> None:
    def alias(name: str, target: str) -> Record:
        return Record(name, RecordType.CNAME, 60, target)

    address = Record("c", RecordType.A, 60, "10.0.0.1")
    other = Record("x", RecordType.A, 60, "10.9.9.9")

    assert follow_aliases(Answer(0, False, (alias("a", "b"), alias("b", "c"), address, other)), "A.", RecordType.A) == [
        address
    ]
    assert follow_aliases(Answer(0, False, (other,)), "a", RecordType.A) == []
    with pytest.raises(DnsFormatError, match="more than 16 aliases"):
        follow_aliases(Answer(0, False, (alias("a", "b"), alias("b", "a"))), "a", RecordType.A)
