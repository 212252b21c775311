from __future__ import annotations

import pytest
from gateway_core.messages.headers import headers_of_block
from gateway_plugin_logger.fields import readers
from hypothesis import given
from hypothesis import strategies as st

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def as_bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/b?x=1&y", "/a/b"),
        ("/a", "/a"),
        ("/a?", "/a"),
        ("/a?b?c", "/a"),
        ("http://host:80/a/b?x", "/a/b"),
        ("http://host", "/"),
        ("http://host?x=1", "/"),
        ("*", "*"),
        ("host:443", "host:443"),
        ("", ""),
    ],
)
def test_the_path_is_the_one_that_the_client_sent(target: str, path: str) -> None:
    assert readers.path(target) == path


@pytest.mark.parametrize(
    ("traceparent", "is_valid"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-adds", True),
        (f"00-{TRACE}-{SPAN}-01-more", False),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}", False),
        (f"0-0{TRACE}-{SPAN}-01", False),
        ("", False),
        (None, False),
    ],
)
def test_only_a_valid_traceparent_is_believed(traceparent: str | None, is_valid: bool) -> None:
    assert readers.trace_id(as_bytes(traceparent)) == (TRACE if is_valid else None)
    assert readers.span_id(as_bytes(traceparent)) == (SPAN if is_valid else None)


@given(st.binary(max_size=80))
def test_no_bytes_break_the_reading_of_a_traceparent(value: bytes) -> None:
    part = readers.trace_id(value)

    assert part is None or (len(part) == 32 and part.encode() in value)


def test_texts_of_many_values_are_those_of_their_bytes() -> None:
    texts = readers.Texts()

    for number in [*range(1200), *range(1200)]:
        assert texts[b"a%d" % number] == f"a{number}"
    assert len(texts) <= 512
    assert texts[b"x" * 5000] == "x" * 5000
    assert b"x" * 5000 not in texts


def test_header_values_are_read_as_utf8_and_odd_bytes_are_kept_visible() -> None:
    headers = headers_of_block(b"\r\nUser-Agent: Caf\xc3\xa9 \xff")

    assert readers.Texts()[headers.get_bytes("user-agent") or b""] == "Café \\xff"
    assert readers.header_list(headers, "user-agent") == "Café \\xff"


def test_claims_are_found_by_their_whole_name_and_then_by_the_dots(make_event: object) -> None:
    event = make_event(claims={"a": {"b": {"c": 1}}, "https://x.y/role": "admin", "a.b": "flat"})  # type: ignore[operator]

    assert readers.make_claim_reader("a.b")(event.request) == "flat"
    assert readers.make_claim_reader("a.b.c")(event.request) == 1
    assert readers.make_claim_reader("https://x.y/role")(event.request) == "admin"
    assert readers.make_claim_reader("a.x.c")(event.request) is None
