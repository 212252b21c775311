"""What field names mean, before any value is read."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from gateway_core.config import ClientAddressConfig
from gateway_core.config.values import parse_trusted_peer
from gateway_core.proxy.wire.field_names import (
    REPEATING,
    SPECIAL_NAMES,
    Kind,
    classify,
    has_special_fields,
    is_known_line,
    is_removed,
    know_line,
    other_names,
    plain_names,
    read_name,
    request_trailers,
)
from gateway_core.snapshot import Trust

PEER = ["10.0.0.1"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (b"accept", Kind.PLAIN),
        (b"x-anything", Kind.PLAIN),
        (b"content-length", Kind.SPECIAL),
        (b"x-forwarded-for", Kind.SPECIAL),
        (b"x-real-ip", Kind.UNTRUSTED),
        (b"x_anything", Kind.ODD),
        (b"x_real.ip", Kind.ODD_UNTRUSTED),
        (b"content_length", Kind.DISGUISED),
        (b"x_forwarded-for", Kind.DISGUISED),
    ],
)
def test_a_name_is_plain_read_by_the_gateway_or_a_claim_however_it_is_written(name: bytes, kind: Kind) -> None:
    assert classify(name, SPECIAL_NAMES) is kind


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"\xc3\xa4", b"a\x00"])
def test_a_name_that_is_no_token_is_none(name: bytes) -> None:
    assert read_name(name) is None


def test_only_names_without_a_meaning_are_passed_on_unseen() -> None:
    special = [name for name in plain_names if classify(name.lower(), SPECIAL_NAMES) is not Kind.PLAIN]

    assert special == []
    assert not {b"authorization", b"close"} & {name.lower() for name in plain_names}
    assert not plain_names & other_names.keys()


@pytest.mark.parametrize(
    ("line", "expected"), [(b"Accept: a", False), (b"TE: trailers", True), (b"host: a", True), (b"X_A: b", True)]
)
def test_a_glance_finds_fields_that_do_not_simply_go_on(line: bytes, expected: bool) -> None:
    assert has_special_fields(b"\r\nA: host: b\r\n" + line) is expected


def test_lines_are_remembered_of_fields_that_simply_go_on() -> None:
    assert plain_names >= REPEATING


def test_lines_that_clients_make_up_take_a_bounded_amount_of_memory() -> None:
    lines = [b"User-Agent: %d" % number for number in range(10000)]
    long = b"Accept: " + b"a" * 300

    for line in (*lines, long):
        know_line(line)

    assert is_known_line(lines[-1])
    assert sum(map(is_known_line, lines)) <= 2048
    assert not is_known_line(long)


@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_trailer_is_no_way_around_what_a_client_may_not_say(is_trusted: bool) -> None:
    block = b"\r\nX-Sum: 1\r\nX-Real-IP: 2\r\nX_Real_IP: 3\r\nX-Forwarded-For: 4\r\nContent_Length: 5"

    kept = request_trailers(block, is_trusted=is_trusted)

    assert kept == b"\r\nX-Sum: 1" + (b"\r\nX-Real-IP: 2\r\nX_Real_IP: 3" if is_trusted else b"")


@pytest.mark.parametrize(
    ("name", "peers", "removed"),
    [
        ("x-real-ip", (), True),
        ("x_real_ip", (), True),
        ("my-ip", (), True),
        ("x-real-ip", PEER, False),
        ("my-ip", PEER, False),
        ("via", (), False),
        ("cdn-loop", (), False),
        ("accept", (), False),
        ("x-user-id", PEER, True),
        ("x_user_id", (), True),
    ],
)
def test_whether_a_field_is_gone_before_routing_can_be_told_of_its_name(
    name: str, peers: Sequence[str], removed: bool
) -> None:
    trust = Trust([parse_trusted_peer(peer) for peer in peers], ClientAddressConfig(header="My-IP"), ["x-user-id"])

    assert is_removed(name, [trust]) is removed
