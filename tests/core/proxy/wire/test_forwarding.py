"""Whom a request comes from, and what upstreams are told of it."""

from __future__ import annotations

import pytest
from gateway_core.config import ClientAddressConfig
from gateway_core.config.values import parse_trusted_peer
from gateway_core.messages.request_ids import id_of
from gateway_core.proxy.downstream.client import believed_facts
from gateway_core.proxy.wire.forwarding import Arrived, Origin, origin_of
from gateway_core.proxy.wire.request_fields import RequestFacts, read_request_block
from gateway_core.snapshot import Trust
from hypothesis import given
from hypothesis import strategies as st

PEER = ("10.0.0.1",)


def read(block: bytes, arrived: Arrived, trust: Trust, host: bytes = b"a.example:8080") -> tuple[RequestFacts, Origin]:
    facts = read_request_block(b"\r\nHost: " + host + block)
    assert facts is not None
    is_trusted = trust.believes(arrived.peer_ip, is_unix=arrived.is_unix)
    facts = believed_facts(facts, trust, is_trusted=is_trusted)
    return facts, origin_of(facts, arrived, trust, is_trusted=is_trusted)


def origin(
    block: bytes, peer: str = "10.0.0.1", trusted: tuple[str, ...] = (), scheme: str = "http", **client: object
) -> Origin:
    where = ClientAddressConfig.model_validate(client) if client else None
    trust = Trust([parse_trusted_peer(each) for each in trusted], where)
    return read(block, Arrived(peer, scheme, 80 if peer else 0, is_unix=not peer), trust)[1]


def fields(found: Origin) -> dict[bytes, bytes]:
    return {line.partition(b": ")[0]: line.partition(b": ")[2] for line in found.tail.split(b"\r\n")[1:]}


def test_what_a_stranger_says_of_itself_is_replaced() -> None:
    found = origin(
        b"\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=x"
    )

    assert found.client_ip == "10.0.0.1"
    assert found.scheme == "http"
    assert fields(found) == {
        b"X-Forwarded-For": b"10.0.0.1",
        b"X-Forwarded-Proto": b"http",
        b"X-Forwarded-Host": b"a.example:8080",
        b"X-Forwarded-Port": b"80",
        b"Forwarded": b'for=10.0.0.1;proto=http;host="a.example:8080"',
        b"Via": b"1.1 gateway",
    }


@given(
    host=st.sampled_from([b"a.example", b"a:8080", b"[::1]:80"]),
    peer=st.sampled_from(["10.0.0.1", "2001:db8::1", ""]),
    scheme=st.sampled_from(["http", "https"]),
    port=st.sampled_from([0, 443]),
    via=st.sampled_from([True, False, "edge"]),
    sent=st.sampled_from([b"", b"\r\nVia: 1.1 a", b"\r\nCDN-Loop: b", b"\r\nX-Forwarded-For: 6.6.6.6"]),
)
def test_the_fields_are_the_same_however_they_are_written(
    host: bytes, peer: str, scheme: str, port: int, via: bool | str, sent: bytes
) -> None:
    found = read(sent, Arrived(peer, scheme, port, is_unix=not peer), Trust(via=via), host)[1]

    assert found.tail == b"".join(line for _, line in found.lines)


def test_what_a_trusted_proxy_says_is_believed_and_added_to() -> None:
    found = origin(
        b"\r\nX-Forwarded-For: 1.1.1.1, 10.0.0.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b.example"
        b"\r\nX-Forwarded-Port: 443\r\nForwarded: for=1.1.1.1, for=10.0.0.2;by=x\r\nX-Request-Id: abc-1\r\nVia: 1.1 a",
        trusted=("10.0.0.1", "10.0.0.2"),
    )

    assert found.client_ip == "1.1.1.1"
    assert found.scheme == "https"
    assert id_of(found.id_line) == "abc-1"
    assert fields(found) == {
        b"X-Forwarded-For": b"1.1.1.1, 10.0.0.2, 10.0.0.1",
        b"X-Forwarded-Proto": b"https",
        b"X-Forwarded-Host": b"b.example",
        b"X-Forwarded-Port": b"443",
        b"Forwarded": b'for=1.1.1.1, for=10.0.0.2;by=x, for=10.0.0.1;proto=https;host="b.example"',
        b"Via": b"1.1 a, 1.1 gateway",
    }


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        (b"6.6.6.6, 2.2.2.2, 10.0.0.2", "2.2.2.2"),
        (b"6.6.6.6,2.2.2.2,10.0.0.2:55", "2.2.2.2"),
        (b"10.0.0.3, 10.0.0.2", "10.0.0.3"),  # all are trusted: the first one
        (b"2.2.2.2:1234, 10.0.0.2", "2.2.2.2"),
        (b"2001:DB8:0::1", "2001:db8::1"),
        (b"[2001:db8::1]:443", "2001:db8::1"),
        (b"::ffff:2.2.2.2", "2.2.2.2"),
        (b"6.6.6.6, ::ffff:10.0.0.2", "6.6.6.6"),
        # No address where the client's would be: the peer, not an entry that the client may have written.
        (b"6.6.6.6, unknown, 10.0.0.2", "10.0.0.1"),
        (b"6.6.6.6, _hidden", "10.0.0.1"),
        (b"6.6.6.6, , 10.0.0.2", "10.0.0.1"),
        (b"6.6.6.6,", "10.0.0.1"),
        (b"010.0.0.9", "10.0.0.1"),
        (b"6.6.6.6 7.7.7.7", "10.0.0.1"),
        (b"", "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_not_a_trusted_proxys(chain: bytes, client: str) -> None:
    found = origin(b"\r\nX-Forwarded-For: " + chain, trusted=("10.0.0.0/8",))

    assert found.client_ip == client


@pytest.mark.parametrize(
    ("chain", "hops", "client"),
    [
        (b"6.6.6.6, 2.2.2.2", 1, "2.2.2.2"),
        (b"6.6.6.6, 2.2.2.2, 3.3.3.3", 2, "2.2.2.2"),
        (b"6.6.6.6, 10.0.0.7", 1, "10.0.0.7"),  # counted, whether it is trusted or not
        (b"2.2.2.2", 2, "10.0.0.1"),
        (b"2.2.2.2, unknown", 1, "10.0.0.1"),
        (b"6.6.6.6, , 3.3.3.3", 2, "10.0.0.1"),  # an empty entry is an entry
    ],
)
def test_hops_count_entries_from_the_right(chain: bytes, hops: int, client: str) -> None:
    block = b"\r\nX-Forwarded-For: " + chain.replace(b", ", b"\r\nX-Forwarded-For: ")

    assert origin(b"\r\nX-Forwarded-For: " + chain, trusted=("10.0.0.0/8",), hops=hops).client_ip == client
    assert origin(block, trusted=("10.0.0.0/8",), hops=hops).client_ip == client


def test_hops_read_no_forwarded() -> None:
    assert origin(b"\r\nForwarded: for=2.2.2.2", trusted=PEER, hops=1).client_ip == "10.0.0.1"


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        (b"\r\nTrue-IP: 2.2.2.2", "2.2.2.2"),
        (b"\r\nTRUE-ip:\t2.2.2.2 ", "2.2.2.2"),
        (b"\r\nTrue-IP: [2001:db8::1]:5", "2001:db8::1"),
        (b"\r\nTrue-IP: 2.2.2.2, 3.3.3.3", "10.0.0.1"),
        (b"\r\nTrue-IP: 2.2.2.2\r\nTrue-IP: 3.3.3.3", "10.0.0.1"),
        (b"\r\nTrue_IP: 2.2.2.2", "10.0.0.1"),
        (b"\r\nTrue-IP: nonsense", "10.0.0.1"),
        (b"\r\nConnection: true-ip\r\nTrue-IP: 2.2.2.2", "2.2.2.2"),
        (b"", "10.0.0.1"),
    ],
)
def test_a_header_holds_one_address_or_none(lines: bytes, client: str) -> None:
    chain = b"\r\nX-Forwarded-For: 9.9.9.9"

    assert origin(chain + lines, trusted=PEER, header="true-ip").client_ip == client
    assert origin(chain + lines, trusted=(), header="true-ip").client_ip == "10.0.0.1"


def test_via_is_kept_whoever_sent_it_so_that_loops_show() -> None:
    assert fields(origin(b"\r\nVia: 1.1 gateway"))[b"Via"] == b"1.1 gateway, 1.1 gateway"


def through(block: bytes, via: bool | str, trusted: tuple[str, ...] = ()) -> Origin:
    trust = Trust([parse_trusted_peer(each) for each in trusted], via=via)
    return read(block, Arrived("10.0.0.1", "http", 80), trust)[1]


@pytest.mark.parametrize("trusted", [(), PEER])
@pytest.mark.parametrize(
    ("via", "block", "sent"),
    [
        (True, b"", {b"Via": b"1.1 gateway"}),
        ("edge-1", b"\r\nVia: 1.0 a", {b"Via": b"1.0 a, 1.1 edge-1"}),
        ("edge-1", b"\r\nCDN-Loop: a; x=1", {b"Via": b"1.1 edge-1", b"CDN-Loop": b"a; x=1"}),
        (False, b"", {b"CDN-Loop": b"gateway"}),
        (False, b"\r\nVia: 1.0 a\r\nCDN-Loop: a", {b"Via": b"1.0 a", b"CDN-Loop": b"a, gateway"}),
    ],
)
def test_either_via_or_cdn_loop_gets_our_entry(
    via: bool | str, block: bytes, sent: dict[bytes, bytes], trusted: tuple[str, ...]
) -> None:
    found = fields(through(block, via, trusted))

    assert {name: value for name, value in found.items() if name in {b"Via", b"CDN-Loop"}} == sent


@pytest.mark.parametrize(
    ("via", "block", "is_loop"),
    [
        (True, b"\r\nVia: " + b", ".join([b"1.1 gateway"] * 8), True),
        (True, b"\r\nVia: " + b", ".join([b"1.1 gateway"] * 7), False),
        (True, b"\r\nVia: 1.1 gateway" * 8, True),
        (True, b"\r\nVia: " + b", ".join([b"1.1 other"] * 20), False),
        (True, b"\r\nCDN-Loop: " + b", ".join([b"gateway"] * 20), False),
        ("edge-1", b"\r\nVia: " + b", ".join([b"1.1 edge-1"] * 8), True),
        ("edge-1", b"\r\nVia: " + b", ".join([b"1.1 gateway"] * 20), False),
        (False, b"\r\nCDN-Loop: " + b", ".join([b"gateway;a=1", b"gateway"] * 4), True),
        (False, b"\r\nCDN-Loop: " + b", ".join([b"gateway"] * 7), False),
        (False, b"\r\nVia: " + b", ".join([b"1.1 gateway"] * 20), False),
    ],
)
def test_a_loop_shows_in_the_field_that_gets_our_entry(via: bool | str, block: bytes, is_loop: bool) -> None:
    assert through(block, via).is_loop is is_loop


def test_an_ipv6_address_is_quoted_in_forwarded() -> None:
    assert fields(origin(b"", peer="::1"))[b"Forwarded"].startswith(b'for="[::1]";')


def test_a_unix_socket_has_no_address_and_is_trusted_only_by_name() -> None:
    chain = b"\r\nX-Forwarded-For: 1.1.1.1"

    stranger = origin(chain, peer="", trusted=("0.0.0.0/0", "::/0"))
    assert stranger.client_ip == ""
    assert fields(stranger)[b"X-Forwarded-For"] == b"unknown"
    assert fields(stranger)[b"Forwarded"].startswith(b"for=unknown;")

    proxy = origin(chain, peer="", trusted=("unix:",))
    assert proxy.client_ip == "1.1.1.1"
    # Servers behind the gateway that count hops count this one as well.
    assert fields(proxy)[b"X-Forwarded-For"] == b"1.1.1.1, unknown"


def test_unix_trusts_no_address() -> None:
    assert origin(b"\r\nX-Forwarded-For: 1.1.1.1", trusted=("unix:",)).client_ip == "10.0.0.1"


@pytest.mark.parametrize("given", [b"a b", b"a\xff", b"a" * 129, b"<script>"])
def test_a_request_id_that_is_none_is_not_kept(given: bytes) -> None:
    assert origin(b"\r\nX-Request-Id: " + given, trusted=PEER).id_line == b""


# -- scheme, host and port


@pytest.mark.parametrize(
    ("lines", "scheme"),
    [
        (b"X-Forwarded-Proto: HTTPS", "https"),
        (b"X-Forwarded-Proto: https,http", "https"),
        (b"X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http", "https"),
        (b"X-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https, http", "https"),
        # It grew with the chain: what 2.2.2.2 used is its own entry, and what it says of others does not count.
        (b"X-Forwarded-For: 2.2.2.2, 10.0.0.2\r\nX-Forwarded-Proto: https, http", "https"),
        (b"X-Forwarded-For: 6.6.6.6, 2.2.2.2\r\nX-Forwarded-Proto: https, http", "http"),
        (b"X-Forwarded-Proto: wss", "https"),
        (b"X-Forwarded-Proto: ftp", "http"),
        (b"X-Forwarded-Proto:", "http"),
        (b"X-Forwarded-Ssl: on", "https"),
        (b"Front-End-Https: On", "https"),
        (b"CloudFront-Forwarded-Proto: https", "https"),
        (b"X-Forwarded-Scheme: https", "https"),
        (b"X-Forwarded-Protocol: ssl", "https"),
        (b"X-Forwarded-Proto: http\r\nX-Forwarded-Ssl: on\r\nFront-End-Https: on", "http"),
        (b"Forwarded: for=2.2.2.2;proto=https", "https"),
        (b'Forwarded: FOR="2.2.2.2:55" ; Proto="HTTPS"', "https"),
        (b"Forwarded: for=6.6.6.6;proto=https, for=2.2.2.2;proto=http, for=10.0.0.2;proto=https", "http"),
        # nginx passes on what its client wrote as Forwarded, and so do others that write X-Forwarded-*.
        (b"X-Forwarded-For: 2.2.2.2\r\nForwarded: for=6.6.6.6;proto=https", "http"),
        (b"X-Forwarded-Host: a\r\nForwarded: for=6.6.6.6;proto=https", "http"),
        (b"Accept: */*", "http"),
    ],
)
def test_the_scheme_is_the_one_that_the_client_used(lines: bytes, scheme: str) -> None:
    found = origin(b"\r\n" + lines, trusted=("10.0.0.0/8",))

    assert found.scheme == scheme
    assert fields(found)[b"X-Forwarded-Proto"] == scheme.encode()
    assert origin(b"\r\n" + lines).scheme == "http", "a stranger's word counted"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (b"b.example", b"b.example"),
        (b"b.example:8443", b"b.example:8443"),
        (b"b.example, inner.example", b"b.example"),
        (b"[2001:db8::1]:1", b"[2001:db8::1]:1"),
        (b"b.example/x", b"a.example:8080"),
        (b"user@b.example", b"a.example:8080"),
        (b'b"example', b"a.example:8080"),
        (b"b example", b"a.example:8080"),
        (b"", b"a.example:8080"),
    ],
)
def test_a_host_that_is_none_is_not_sent_on(given: bytes, sent: bytes) -> None:
    found = origin(b"\r\nX-Forwarded-Host: " + given, trusted=PEER)

    assert fields(found)[b"X-Forwarded-Host"] == sent
    assert b'host="%b"' % sent in fields(found)[b"Forwarded"]


@pytest.mark.parametrize(
    ("lines", "port"),
    [
        (b"X-Forwarded-Port: 8443", b"8443"),
        (b"X-Forwarded-Port: 443, 80", b"443"),
        (b"X-Forwarded-Port: 0", b"80"),
        (b"X-Forwarded-Port: 70000", b"80"),
        (b"X-Forwarded-Port: +1", b"80"),
        (b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: b.example", b"443"),
        (b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: b.example:444", b"444"),
        (b"X-Forwarded-Proto: https", b"8080"),  # the one in Host
        (b"X-Forwarded-For: 2.2.2.2", b"80"),
    ],
)
def test_the_port_goes_with_the_scheme_and_the_host(lines: bytes, port: bytes) -> None:
    assert fields(origin(b"\r\n" + lines, trusted=PEER))[b"X-Forwarded-Port"] == port


# -- Forwarded


@pytest.mark.parametrize(
    ("value", "client"),
    [
        (b"for=2.2.2.2", "2.2.2.2"),
        (b'for="[2001:db8::1]:4711"', "2001:db8::1"),
        (b'for="[2001:DB8::1]"', "2001:db8::1"),
        (b"for=6.6.6.6, for=2.2.2.2;by=10.0.0.2, for=10.0.0.2", "2.2.2.2"),
        (b"for=unknown", "10.0.0.1"),
        (b"for=_secret", "10.0.0.1"),
        (b"by=10.0.0.2", "10.0.0.1"),
        (b"for=2.2.2.2;for=3.3.3.3", "10.0.0.1"),
        (b"2.2.2.2", "10.0.0.1"),
        # A client opens a quote; what the proxy appends is read nevertheless.
        (b'for="6.6.6.6, for=2.2.2.2', "2.2.2.2"),
        (b'for=6.6.6.6;host="x, for=2.2.2.2;proto=https', "2.2.2.2"),
        (b'for=2.2.2.2;host="a, for=6.6.6.6"', "2.2.2.2"),
        (b'for=2.2.2.2;host="a\\", for=6.6.6.6"', "2.2.2.2"),
    ],
)
def test_forwarded_of_a_trusted_proxy_is_read_from_the_right(value: bytes, client: str) -> None:
    assert origin(b"\r\nForwarded: " + value, trusted=("10.0.0.0/8",)).client_ip == client
    assert origin(b"\r\nForwarded: " + value).client_ip == "10.0.0.1"


def test_a_chain_in_forwarded_goes_on_in_both_languages() -> None:
    sent = fields(origin(b'\r\nForwarded: for="[2001:db8::1]";proto=https, for=_x', trusted=PEER))

    assert sent[b"X-Forwarded-For"] == b"2001:db8::1, unknown, 10.0.0.1"
    assert sent[b"Forwarded"].startswith(b'for="[2001:db8::1]";proto=https, for=_x, for=10.0.0.1;')


def test_a_forwarded_that_contradicts_x_forwarded_for_does_not_go_on() -> None:
    sent = fields(origin(b"\r\nX-Forwarded-For: 2.2.2.2:1\r\nForwarded: for=6.6.6.6;proto=https", trusted=PEER))

    assert sent[b"X-Forwarded-For"] == b"2.2.2.2:1, 10.0.0.1"
    assert sent[b"Forwarded"] == b'for=2.2.2.2, for=10.0.0.1;proto=http;host="a.example:8080"'


def test_the_part_of_forwarded_that_is_malformed_does_not_go_on() -> None:
    sent = fields(origin(b'\r\nForwarded: for="6.6.6.6, for=2.2.2.2', trusted=PEER))

    assert sent[b"Forwarded"] == b'for=2.2.2.2, for=10.0.0.1;proto=http;host="a.example:8080"'


ADDRESSES = st.sampled_from(["203.0.113.1", "10.0.0.2", "10.0.0.3", "unknown", '"[2001:db8::1]:80"', ""])
FORWARDING = st.fixed_dictionaries(
    {},
    optional={
        "X-Forwarded-For": st.lists(ADDRESSES, max_size=3).map(", ".join),
        "X-Forwarded-Proto": st.sampled_from(["https", "http", "https, http", "ftp"]),
        "X-Forwarded-Host": st.sampled_from(["b.example", "c.example:444", "b c"]),
        "X-Forwarded-Port": st.sampled_from(["443", "0"]),
        "X-Scheme": st.sampled_from(["https", "http"]),
        "X-Request-Id": st.sampled_from(["a", "b"]),
        "Forwarded": st.sampled_from(["for=203.0.113.9;proto=https", "for=10.0.0.2", "x"]),
        "Via": st.just("1.1 a"),
    },
)
REMEMBERING = Trust([parse_trusted_peer("10.0.0.0/8")])


@given(FORWARDING, st.sampled_from([b"a.example", b"z.example:8080"]), st.sampled_from(["10.0.0.1", "10.0.0.2"]))
def test_what_proxies_say_is_the_same_whether_it_was_said_before_or_not(
    said: dict[str, str], host: bytes, peer: str
) -> None:
    block = "".join([f"\r\n{name}: {value}" for name, value in said.items()]).encode()
    arrived = Arrived(peer, "http", 8080)

    _, remembered = read(block, arrived, REMEMBERING, host)
    _, fresh = read(block, arrived, Trust([parse_trusted_peer("10.0.0.0/8")]), host)

    for name in ("client_ip", "scheme", "id_line", "is_trusted", "is_loop", "lines", "tail"):
        assert getattr(remembered, name) == getattr(fresh, name), name
