"""The fields of traces, with OpenTelemetry's own propagators as oracles."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
from gateway_core.observe.tracing import propagation
from gateway_core.observe.tracing.propagation import (
    MOST_BAGGAGE,
    Format,
    Remote,
    fields_of,
    lines_for,
    with_lines,
    without_fields,
)
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.textmap import Getter, TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ORACLES: dict[Format, TextMapPropagator] = {
    "w3c": TraceContextTextMapPropagator(),
    "b3": B3SingleFormat(),
    "b3multi": B3MultiFormat(),
}
logging.getLogger("opentelemetry").setLevel(logging.ERROR)


def read(block: bytes, formats: Sequence[Format]) -> Remote | None:
    return propagation.read_remote(fields_of(block), formats)


def without(head: bytes, *, keeps_baggage: bool) -> tuple[bytes, bool]:
    return without_fields(head, fields_of(head[:-4]), keeps_baggage=keeps_baggage)


def block_of(fields: Sequence[tuple[str, str]]) -> bytes:
    return b"".join(f"\r\n{name}: {value}".encode("latin-1") for name, value in fields)


def expected(each: Format, fields: Sequence[tuple[str, str]]) -> trace.SpanContext:
    """Return what OpenTelemetry reads."""
    carrier: dict[str, list[str]] = {}
    for name, value in fields:
        carrier.setdefault(name.lower(), []).append(value.strip(" \t"))
    found = trace.get_current_span(ORACLES[each].extract(carrier, getter=_Getter()))
    return found.get_span_context()


class _Getter(Getter[dict[str, list[str]]]):
    def get(self, carrier: dict[str, list[str]], key: str) -> list[str] | None:
        return carrier.get(key.lower())

    def keys(self, carrier: dict[str, list[str]]) -> list[str]:
        return list(carrier)


HEX = st.text("0123456789abcdef", min_size=1, max_size=34)
IDS = st.one_of(
    st.sampled_from([TRACE, TRACE[:16], SPAN, "0" * 32, "0" * 16, TRACE.upper(), ""]),
    st.text("0123456789abcdefABCDEFg", min_size=15, max_size=33),
    HEX,
)
TRACEPARENTS = st.one_of(
    st.builds(
        "{}-{}-{}-{}{}".format,
        st.sampled_from(["00", "01", "cc", "ff", "0", "0A"]),
        IDS,
        IDS,
        st.sampled_from(["00", "01", "02", "03", "ff", "1", "0G"]),
        st.sampled_from(["", "-", "-more", "more", " "]),
    ),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=80),
    st.just(f"00-{TRACE}-{SPAN}-01"),
)
MEMBERS = st.one_of(
    st.sampled_from(
        ["a=1", "b=2", "tenant@sys=x", "1a@sys=x", "1a=x", "A=1", "a", "a=", "", " ", "c=x y", "d= x", "e=é"]
    ),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30),
)
STATES = st.lists(MEMBERS, max_size=36).map(",".join)


@given(TRACEPARENTS, st.lists(STATES, max_size=2))
def test_a_traceparent_is_read_as_opentelemetry_reads_it(parent: str, states: list[str]) -> None:
    fields = [("traceparent", parent), *(("tracestate", state) for state in states)]

    found, oracle = read(block_of(fields), ("w3c",)), expected("w3c", fields)

    assert (found is not None) == oracle.is_valid
    if found is not None:
        assert (found.trace_id, found.span_id) == (f"{oracle.trace_id:032x}", f"{oracle.span_id:016x}")
        assert found.flags & 1 == oracle.trace_flags & 1
        pairs = [member.split("=", 1) for member in found.state.split(",") if member]
        assert pairs == [list(pair) for pair in oracle.trace_state.items()]


@given(
    IDS, IDS, st.sampled_from(["0", "1", "d", "true", "True", "false", "x", None]), st.sampled_from(["1", "0", None])
)
def test_b3_in_several_fields_is_read_as_opentelemetry_reads_it(
    trace_id: str, span_id: str, sampled: str | None, flags: str | None
) -> None:
    given_fields = {"X-B3-TraceId": trace_id, "X-B3-SpanId": span_id, "X-B3-Sampled": sampled, "X-B3-Flags": flags}
    fields = [(name, value) for name, value in given_fields.items() if value]

    found, oracle = read(block_of(fields), ("b3multi",)), expected("b3multi", fields)

    assert (found is not None) == oracle.is_valid
    if found is not None:
        assert (found.trace_id, found.span_id) == (f"{oracle.trace_id:032x}", f"{oracle.span_id:016x}")
        assert bool(found.flags & 1) == bool(oracle.trace_flags & 1)


@given(st.lists(st.one_of(IDS, st.sampled_from(["0", "1", "d"])), min_size=1, max_size=6))
def test_b3_in_one_field_is_read_as_opentelemetry_reads_it(parts: list[str]) -> None:
    fields = [("b3", "-".join(parts))]

    found, oracle = read(block_of(fields), ("b3",)), expected("b3", fields)

    assert (found is not None) == oracle.is_valid
    if found is not None:
        assert (found.trace_id, found.span_id) == (f"{oracle.trace_id:032x}", f"{oracle.span_id:016x}")
        if found.is_decided:  # a decision that is left to us is none of OpenTelemetry's words
            assert bool(found.flags & 1) == bool(oracle.trace_flags & 1)


@given(
    st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 1), st.sampled_from(["w3c", "b3", "b3multi"])
)
def test_what_is_written_is_read_the_same_by_opentelemetry_and_here(
    trace_id: int, span_id: int, flags: int, each: Format
) -> None:
    ids = f"{trace_id:032x}", f"{span_id:016x}"
    lines = lines_for((each,), ids[0].encode(), ids[1].encode(), flags, "a=1,b=2" if each == "w3c" else "")
    fields = [tuple(line.split(": ", 1)) for line in lines.decode().split("\r\n") if line]

    oracle = expected(each, fields)  # type: ignore[arg-type]  # pairs
    own = read(lines, (each,))

    assert (oracle.trace_id, oracle.span_id, oracle.trace_flags & 1) == (trace_id, span_id, flags)
    assert own is not None
    assert (own.trace_id, own.span_id, own.flags, own.state) == (*ids, flags, "a=1,b=2" if each == "w3c" else "")


def test_the_first_format_with_a_valid_span_counts() -> None:
    block = block_of([("b3", f"{'a' * 32}-{'b' * 16}-1"), ("traceparent", f"00-{TRACE}-{SPAN}-01")])

    both = read(block, ("w3c", "b3")), read(block, ("b3", "w3c"))

    assert [each and each.trace_id for each in both] == [TRACE, "a" * 32]


def test_several_traceparents_contradict_each_other() -> None:
    block = block_of([("traceparent", f"00-{TRACE}-{SPAN}-01"), ("Traceparent", f"00-{'a' * 32}-{SPAN}-01")])

    assert read(block, ("w3c",)) is None


@pytest.mark.parametrize("members", [33, 700])
def test_a_tracestate_with_too_many_members_or_bytes_is_dropped_and_the_parent_stays(members: int) -> None:
    state = ",".join(f"k{number}=0123456789" for number in range(members))

    found = read(block_of([("traceparent", f"00-{TRACE}-{SPAN}-01"), ("tracestate", state)]), ("w3c",))

    assert found is not None
    assert found.state == ""


def test_the_random_flag_of_level_2_is_kept_and_unknown_flags_are_not() -> None:
    found = read(block_of([("traceparent", f"00-{TRACE}-{SPAN}-ff")]), ("w3c",))

    assert found is not None
    assert found.flags == 3


HEAD = (
    b"GET / HTTP/1.1\r\nHost: a\r\nTraceParent: x\r\nX-B3-TraceId: y\r\nb3: z\r\nX-Other: kept\r\nbaggage: a=1\r\n\r\n"
)


def test_fields_of_another_span_do_not_go_on_and_others_do() -> None:
    trusted, untrusted = without(HEAD, keeps_baggage=True), without(HEAD, keeps_baggage=False)

    assert trusted == (b"GET / HTTP/1.1\r\nHost: a\r\nX-Other: kept\r\nbaggage: a=1\r\n\r\n", False)
    assert untrusted == (b"GET / HTTP/1.1\r\nHost: a\r\nX-Other: kept\r\n\r\n", True)


@pytest.mark.parametrize(
    "baggage", [b"a=" + b"x" * MOST_BAGGAGE, b"a=" + b"x" * 65536, b",".join(b"k%d=v" % n for n in range(65))]
)
def test_baggage_beyond_its_limits_is_dropped_whole(baggage: bytes) -> None:
    head, is_dropped = without(b"GET / HTTP/1.1\r\nbaggage: %b\r\n\r\n" % baggage, keeps_baggage=True)

    assert (head, is_dropped) == (b"GET / HTTP/1.1\r\n\r\n", True)


def test_the_limits_of_baggage_hold_for_all_of_its_fields_together() -> None:
    half = b"baggage: a=" + b"x" * (MOST_BAGGAGE // 2)

    head, is_dropped = without(b"GET / HTTP/1.1\r\n%b\r\n%b\r\n\r\n" % (half, half), keeps_baggage=True)

    assert (head, is_dropped) == (b"GET / HTTP/1.1\r\n\r\n", True)


@given(st.sampled_from(sorted(propagation.FIELD_NAMES)))
def test_a_block_with_any_field_of_a_trace_is_looked_at(name: bytes) -> None:
    line = name.title() + b": x"

    assert fields_of(b"\r\nHost: a\r\n" + line + b"\r\nx-other: y") == ((name, line),)
    assert fields_of(b"\r\nHost: a\r\nx-other: " + line) == ()


LINES = st.lists(
    st.sampled_from([
        b"traceparent: a", b"traceparent: ab", b"Traceparent: a", b"tracestate: a", b"b3: a", b"b3: a, traceparent: a",
        b"X-B3-Flags: 1", b"x-traceparent: a", b"accept: traceparent: a", b"baggage: a=1", b"baggage: a=12", b"a: b",
    ]),
    max_size=8,
)  # fmt: skip


@given(LINES, st.booleans())
def test_exactly_the_lines_of_another_span_are_taken_out_whatever_is_around_them(
    lines: list[bytes], keeps_baggage: bool
) -> None:
    head = b"".join([b"\r\n" + line for line in lines])
    gone = propagation.FIELD_NAMES - ({b"baggage"} if keeps_baggage else set())

    found, is_dropped = without_fields(head, fields_of(head), keeps_baggage=keeps_baggage)

    kept = [line for line in lines if line.partition(b":")[0].lower() not in gone]
    assert sorted(found.split(b"\r\n")[1:]) == sorted(kept)
    assert is_dropped == (not keeps_baggage and any(line.startswith(b"baggage") for line in lines))


@pytest.mark.parametrize("last", [b"X-Request-Id: 7", b"X-Other: 7"])
def test_the_fields_of_a_span_stand_before_the_id_of_the_request(last: bytes) -> None:
    found = with_lines(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % last, b"\r\ntraceparent: x")

    expected_lines = [last, b"traceparent: x"] if b"Other" in last else [b"traceparent: x", last]
    assert found == b"\r\n".join([b"GET / HTTP/1.1", b"Host: a", *expected_lines, b"", b""])
