"""What goes upstream of a head that plugins changed."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter

import pytest
from gateway_core.config.values import parse_trusted_peer
from gateway_core.messages import FieldBlock, Headers
from gateway_core.messages.fields import field_names
from gateway_core.messages.headers import block_of, headers_of_block, written_lines
from gateway_core.proxy.wire.fields import split_block
from gateway_core.proxy.wire.forwarding import Arrived
from gateway_core.proxy.wire.outgoing import Outgoing, are_ordinary, edited_fields, outgoing_fields
from gateway_core.snapshot import Trust
from hypothesis import given
from hypothesis import strategies as st

from tests.core.proxy.wire.test_forwarding import read

ARRIVED = Arrived("10.0.0.1", "http", 80)


def sent(change: Callable[[Headers], Headers | None], came: bytes = b"", *, trusted: bool = False) -> Outgoing | None:
    """Return what goes upstream of a head once a plugin has changed it."""
    trust = Trust([parse_trusted_peer("10.0.0.0/8")] if trusted else [])
    facts, origin = read(came, ARRIVED, trust, b"a")
    headers = headers_of_block(facts.block)
    headers = change(headers) or headers
    return outgoing_fields(facts, origin, block_of(headers), written_lines(headers))


def set_field(name: str, value: str = "new") -> Callable[[Headers], None]:
    def change(headers: Headers) -> None:
        headers[name] = value

    return change


# fmt: off
NAMES = st.sampled_from([
    "Accept", "accept", "X-Accept", "Cookie", "Authorization", "X-Tag", "X_Tag", "Via", "X-Forwarded-For", "Host", "TE",
    "X-Request-Id", "Connection", "Content-Length", "traceparent", "X-Real-IP", "Max-Forwards", "Expect",
])
# fmt: on
VALUES = st.sampled_from(["", "1", "2", "accept: 1", "x-tag", "NTLM a", "Bearer a", "close"])
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
HOW = st.sampled_from(["add", "set", "remove", "remove any", "replace"])
CHANGES = st.lists(st.tuples(HOW, NAMES, VALUES), min_size=1, max_size=4)


@given(came=FIELDS, changes=CHANGES, trusted=st.booleans())
def test_what_takes_no_look_at_each_field_is_what_one_would_give(
    came: list[tuple[str, str]], changes: list[tuple[str, str, str]], trusted: bool
) -> None:
    trust = Trust([parse_trusted_peer("10.0.0.0/8")] if trusted else [])
    block = "".join(f"\r\n{name}: {value}" for name, value in came if name != "Host").encode()
    try:
        facts, origin = read(block, ARRIVED, trust, b"a")
    except AssertionError:
        return  # no head: two lengths
    headers = headers_of_block(facts.block)
    for how, name, value in changes:
        if how == "add":
            headers.add(name, value)
        elif how == "set":
            headers[name] = value
        elif how == "replace":
            headers.replace_only(name, FieldBlock([(name, value), ("X-More", value)]))
        elif how == "remove any":
            names = field_names([name, "X-Tag"])
            assert names is not None
            headers.remove_any(names)
        else:
            headers.remove(name)

    edited = edited_fields(facts, headers)

    if edited is not None:
        slow = outgoing_fields(facts, origin, _without_framing(headers), written_lines(headers))
        assert slow is not None
        assert not slow.has_request_id
        assert _by_name(slow.fields) == _by_name(edited + origin.tail)


def test_many_removed_fields_are_not_taken_out_one_by_one() -> None:
    def edited(number: int) -> bytes | None:
        came = b"\r\nAccept: 1" + b"\r\nX-Tag: 1" * number
        facts, _ = read(came, ARRIVED, Trust(), b"a")
        headers = headers_of_block(facts.block)
        headers.remove("X-Tag")
        return edited_fields(facts, headers)

    assert edited(17) is None
    assert edited(16) == b"\r\nAccept: 1"


def test_other_headers_in_place_of_those_that_came_are_looked_at() -> None:
    facts, _ = read(b"\r\nAccept: 1\r\nCookie: a=b", ARRIVED, Trust(), b"a")

    assert edited_fields(facts, Headers([("Accept", "2")])) is None
    assert edited_fields(facts, headers_of_block(facts.block).copy()) == b"\r\nAccept: 1\r\nCookie: a=b"


def _by_name(block: bytes) -> list[tuple[bytes, bytes]]:
    """Return the fields sorted by name: the order counts among those of one name only (RFC 9110 section 5.3)."""
    return sorted(split_block(block) or [], key=itemgetter(0))


def _without_framing(headers: Headers) -> bytes:
    for name in ("connection", "content-length", "transfer-encoding", "expect"):
        headers.remove(name)
    return block_of(headers)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda headers: headers.remove("cookie"), b"\r\nAccept: 1\r\nX-Accept: 1"),
        (lambda headers: headers.remove("accept"), b"\r\nX-Accept: 1\r\nCookie: a=b"),
        (set_field("Accept"), b"\r\nX-Accept: 1\r\nCookie: a=b\r\nAccept: new"),
        (set_field("X-New"), b"\r\nAccept: 1\r\nX-Accept: 1\r\nCookie: a=b\r\nX-New: new"),
        (set_field("Accept", "1"), b"\r\nX-Accept: 1\r\nCookie: a=b\r\nAccept: 1"),
        (lambda headers: headers.extend([("X-New", "1")]) or headers.remove("X-New"), None),
        (lambda headers: headers.remove("via"), None),
        (set_field("X_Tag"), None),
    ],
)  # fmt: skip
def test_ordinary_fields_are_removed_and_written_without_a_look_at_each(
    change: Callable[[Headers], None], expected: bytes | None
) -> None:
    came = b"\r\nAccept: 1\r\nVia: 1.1 b\r\nX-Accept: 1\r\nCookie: a=b"
    facts, _ = read(came, ARRIVED, Trust([parse_trusted_peer("10.0.0.0/8")]), b"a")
    headers = headers_of_block(facts.block)

    change(headers)

    assert edited_fields(facts, headers) == expected


def names_of(outgoing: Outgoing | None) -> dict[str, list[str]]:
    assert outgoing is not None
    found: dict[str, list[str]] = {}
    for name, value in headers_of_block(outgoing.fields).items():
        found.setdefault(name.lower(), []).append(value)
    return found


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "Forwarded", "Via"]
)
@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("came", [b"", b"\r\n%b: old", b"\r\n%b: new"])
def test_a_plugins_word_replaces_the_gateways(name: str, trusted: bool, came: bytes) -> None:
    came = came % name.encode() if came else b""

    outgoing = sent(set_field(name), came, trusted=trusted)

    assert names_of(outgoing)[name.lower()] == ["new"]
    assert len(names_of(outgoing)) == 6
    assert outgoing is not None
    assert not outgoing.has_request_id


@pytest.mark.parametrize("trusted", [False, True])
def test_a_request_id_of_a_plugin_is_the_only_one(trusted: bool) -> None:
    outgoing = sent(set_field("X-Request-Id", "mine"), b"\r\nX-Request-Id: mine", trusted=trusted)

    assert outgoing is not None
    assert outgoing.has_request_id
    assert names_of(outgoing)["x-request-id"] == ["mine"]


def test_what_plugins_leave_alone_is_the_gateways_to_write() -> None:
    came = b"\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 2.2.2.2"

    found = names_of(sent(set_field("X-Other"), came, trusted=True))

    assert found["x-forwarded-for"] == ["2.2.2.2, 10.0.0.1"]
    assert found["x-forwarded-proto"] == ["https"]
    assert found["x-real-ip"] == ["2.2.2.2"]


def test_what_a_plugin_removed_of_a_proxys_word_does_not_go_on() -> None:
    def change(headers: Headers) -> None:
        del headers["X-Forwarded-For"]

    found = names_of(sent(change, b"\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https", trusted=True))

    assert found["x-forwarded-for"] == ["10.0.0.1"]
    assert found["x-forwarded-proto"] == ["https"]


def test_untrusted_fields_of_a_plugin_go_on() -> None:
    found = names_of(sent(set_field("X-Real-IP", "7.7.7.7"), b"\r\nX-Real-IP: 6.6.6.6"))

    assert found["x-real-ip"] == ["7.7.7.7"]


@pytest.mark.parametrize("disguise", ["X_User_Id", "x-user_id", "X.User.Id", "x~user-ID"])
@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("same", [b"", b"\r\nX-User-Id: alice", b"\r\nx-user-id: eve"])
def test_a_clients_field_that_cgi_takes_for_a_plugins_is_removed(disguise: str, trusted: bool, same: bytes) -> None:
    came = b"\r\n%b: eve\r\nX_Other: 1%b" % (disguise.encode(), same)

    found = names_of(sent(set_field("X-User-Id", "alice"), came, trusted=trusted))

    assert found["x-user-id"] == ["alice"]
    assert disguise.lower() not in found
    assert found["x_other"] == ["1"]


def test_a_plugin_may_write_a_disguise_itself() -> None:
    def change(headers: Headers) -> None:
        headers["X-User-Id"] = "alice"
        headers["X_User_Id"] = "alice"

    found = names_of(sent(change, b"\r\nX.User.Id: eve\r\nX_User_Id: eve"))

    assert (found["x-user-id"], found["x_user_id"]) == (["alice"], ["alice"])
    assert "x.user.id" not in found


def test_a_plugins_disguise_removes_the_clients_plain_field() -> None:
    found = names_of(sent(set_field("X_User_Id", "alice"), b"\r\nX-User-Id: eve"))

    assert found["x_user_id"] == ["alice"]
    assert "x-user-id" not in found


@pytest.mark.parametrize("value", ["alice", "bob"])
def test_a_plugin_that_writes_every_field_over_again_is_understood(value: str) -> None:
    def change(headers: Headers) -> Headers:
        kept = [(name, text) for name, text in headers.items() if name.lower() != "x-user-id"]
        return Headers([*kept, ("X-User-Id", value)])

    found = names_of(sent(change, b"\r\nX_User_Id: eve\r\nX-User-Id: alice"))

    assert found["x-user-id"] == [value]
    assert "x_user_id" not in found


def test_a_copy_remembers_what_was_written() -> None:
    def change(headers: Headers) -> Headers:
        headers["X-User-Id"] = "alice"
        return headers.copy()

    assert "x_user_id" not in names_of(sent(change, b"\r\nX_User_Id: eve\r\nX-User-Id: alice"))


def test_two_spellings_of_a_client_go_on_if_no_plugin_has_a_field_of_that_name() -> None:
    found = names_of(sent(set_field("X-Other"), b"\r\nX_Tag: 1\r\nX-Tag: 2"))

    assert (found["x_tag"], found["x-tag"]) == (["1"], ["2"])


@pytest.mark.parametrize("line", [b"\r\nbad name: 1", b"\r\nHost: a/b", b"\r\nA: b\nC: d", b"\r\nno-colon"])
def test_what_is_not_valid_is_refused(line: bytes) -> None:
    def append(headers: Headers) -> None:
        headers._block += line
        headers._written += line
        headers._lowered_block = None

    assert sent(append) is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"\r\nX-Api: v2", True),
        (b"\r\nAuthorization: Bearer a", True),
        (b"\r\nAuthorization: NTLM a", False),
        (b"\r\nX-Api: v2\r\nHost: b", False),
        (b"\r\nX_Api: v2", False),
        (b"\r\nX-Forwarded-For: 10.0.0.1", False),
    ],
)
def test_lines_of_which_each_simply_goes_on_are_ordinary(lines: bytes, expected: bool) -> None:
    for _ in range(2):
        assert are_ordinary(lines) is expected


def test_what_is_remembered_of_lines_is_that_of_the_same_ones_however_many_there_are() -> None:
    for number in [*range(1200), *range(1200)]:
        assert are_ordinary(b"\r\nX-%d: Host" % number)
        assert not are_ordinary(b"\r\nX_%d: 1" % number)
