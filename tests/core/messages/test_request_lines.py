from __future__ import annotations

import pytest
from gateway_core.messages import FieldBlock, FieldNames, Request
from gateway_core.messages.headers import written_lines
from gateway_core.messages.request_lines import arrival_of, lines_added, request_block
from hypothesis import given
from hypothesis import strategies as st

from tests.core.proxy.wire.test_placed_head import make

NAMES = ("X-User", "x-user", "X_User", "Accept", "X-Other")


def request_of(*lines: str) -> Request:
    """Return a request whose head was read, with Host and these fields."""
    return Request.for_head(make(fields="".join(f"\r\n{line}" for line in lines).encode()), "1", 0.0)


@given(
    st.lists(st.sampled_from(NAMES), max_size=3),
    st.lists(st.tuples(st.sampled_from(NAMES), st.booleans(), st.booleans()), max_size=4),
    st.sets(st.sampled_from(NAMES), min_size=1).map(sorted),
)
def test_added_fields_are_those_that_extend_would_add(
    came: list[str], steps: list[tuple[str, bool, bool]], unless: list[str]
) -> None:
    lines = [f"{name}: 1" for name in came]
    quick, general = request_of(*lines), request_of(*lines)
    names = FieldNames(unless)

    for name, is_conditional, looks in steps:
        fields = FieldBlock({name: "2"})
        is_there = is_conditional and general.headers.has_any(names)
        if not is_there:
            general.headers.extend(fields)
        assert quick.add_fields(fields, names if is_conditional else None) is not is_there
        assert request_block(quick) == request_block(general)
        assert quick.headers_key == general.headers_key
        if looks:
            assert quick.headers.items() == general.headers.items()

    assert quick.headers.items() == general.headers.items()
    assert written_lines(quick.headers) == written_lines(general.headers)


def test_lines_that_hooks_added_are_told_from_other_changes() -> None:
    head = make(fields=b"\r\nA: 1")
    untouched, looked_at, quick, changed, moved = (Request.for_head(head, "1", 0.0) for _ in range(5))
    assert looked_at.headers["A"] == "1"
    quick.add_fields(FieldBlock({"B": "2"}))
    changed.headers["A"] = "2"
    moved.raw_path = "/elsewhere"

    assert lines_added(untouched, head) == b""
    assert lines_added(looked_at, head) == b""
    assert lines_added(quick, head) == b"\r\nB: 2"
    assert lines_added(changed, head) is None
    assert lines_added(moved, head) is None


def test_credentials_that_were_added_stand_beside_those_that_came() -> None:
    request = request_of("Authorization: Bearer a")
    assert request.authorization == "Bearer a"

    request.add_fields(FieldBlock({"Authorization": "Bearer b"}))

    assert request.authorization is None


@pytest.mark.parametrize("sent", ["User-Agent: a ", "user-agent:a", "USER-AGENT:\ta"])
def test_a_first_value_is_found_however_its_name_is_spelled(sent: str) -> None:
    assert request_of("Accept: b", sent, "User-Agent2: c").first_value("User-Agent") == b"a"


def test_a_first_value_is_one_of_the_fields_as_hooks_left_them() -> None:
    added, removed = request_of(), request_of("User-Agent: a")
    added.add_fields(FieldBlock({"user-agent": "b"}))
    removed.headers.remove("User-Agent")

    assert added.first_value("User-Agent") == b"b"
    assert removed.first_value("User-Agent") is None
    assert request_of().first_value("User-Agent") is None
    assert Request("GET", "/", {"User-Agent": "c"}).first_value("User-Agent") == b"c"


def test_only_a_request_that_came_over_a_connection_has_an_arrival() -> None:
    assert arrival_of(request_of()) is not None
    assert arrival_of(Request("GET", "/")) is None
