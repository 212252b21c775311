"""Fields that upstreams would take for the word of a proxy, and for a plugin's, whatever their spelling."""

from __future__ import annotations

import tracemalloc

import pytest
from gateway_core.config import ClientAddressConfig
from gateway_core.config.values import parse_trusted_peer
from gateway_core.proxy.wire.forwarding import Arrived
from gateway_core.proxy.wire.untrusted import (
    GATEWAY_FIELDS,
    LOOP_FIELDS,
    UNTRUSTED_FAMILIES,
    UNTRUSTED_NAMES,
    folded,
    is_untrusted,
)
from gateway_core.snapshot import Trust
from hypothesis import given
from hypothesis import strategies as st

from tests.core.proxy.wire.test_forwarding import PEER, fields, read

CLAIMS = [
    *(b"X-Forwarded-" + name for name in b"For Host Proto Port Prefix Ssl Scheme Uri Server User Client-Cert".split()),
    *b"X-Real-IP X-Client-IP True-Client-IP CF-Connecting-IP Fastly-Client-IP X-Cluster-Client-IP".split(),
    *b"X-Original-URL X-Rewrite-URL X-Original-Host Forwarded Proxy X-ProxyUser-Ip X-Envoy-Internal".split(),
    *b"CloudFront-Viewer-Address X-Amzn-Oidc-Identity SSL-Client-Verify Client-Cert X-Accel-Mapping".split(),
    *b"X-Azure-ClientIP X-Request-Id Script-Name Remote-User X-Auth-Request-Email X-ARR-SSL WL-Proxy-SSL".split(),
]


@pytest.mark.parametrize("name", CLAIMS)
@pytest.mark.parametrize("disguise", [b"-", b"_", b"mixed", b"."])
@pytest.mark.parametrize("case", [bytes.upper, bytes.lower])
def test_untrusted_fields_of_strangers_are_gone_before_any_hook(name: bytes, disguise: bytes, case: object) -> None:
    assert callable(case)
    spelled = name.replace(b"-", b"_", 1) if disguise == b"mixed" else name.replace(b"-", disguise)
    line = b"\r\n%b: x \t" % case(spelled)

    facts, _ = read(b"\r\nA: b" + line + line + b"\r\nC: d", Arrived("10.0.0.1", "http", 80), Trust())

    assert facts.block == b"\r\nHost: a.example:8080\r\nA: b\r\nC: d"
    assert facts.lowered == facts.block.lower()
    assert facts.kept == b"\r\nA: b\r\nC: d"


def test_fields_that_clients_send_for_themselves_go_on() -> None:
    names = (
        b"X-Token X_Token X-HTTP-Method-Override traceparent X-Realm Forward X-Originality CF-Ray Proxy-Status "
        b"X-User-Id Authorization X-Correlation-Id CF-Access-Client-Id X-Amzn-Trace-Id Fastly-Debug"
    )
    lines = b"".join(b"\r\n%b: 1" % name for name in names.split())

    facts, _ = read(lines, Arrived("10.0.0.1", "http", 80), Trust())

    assert facts.kept == lines
    assert facts.block == b"\r\nHost: a.example:8080" + lines


def test_untrusted_fields_of_trusted_proxies_go_on_but_disguises_of_them_do_not() -> None:
    trust = Trust([parse_trusted_peer("10.0.0.1")])
    lines = b"\r\nX-Real-IP: 2.2.2.2\r\nX_Real_IP: 6.6.6.6\r\nSCRIPT_NAME: /app\r\nX_Forwarded_For: 6.6.6.6"

    facts, found = read(lines, Arrived("10.0.0.1", "http", 80), trust)

    assert facts.kept == b"\r\nX-Real-IP: 2.2.2.2\r\nSCRIPT_NAME: /app"
    assert found.client_ip == "10.0.0.1"


def test_connection_takes_nothing_away_that_a_trusted_proxy_wrote() -> None:
    trust = Trust([parse_trusted_peer("10.0.0.1")])
    listed = b"\r\nConnection: x-real-ip, x-forwarded-for, x-mine\r\nX-Mine: 1"

    facts, found = read(
        listed + b"\r\nX-Real-IP: 2.2.2.2\r\nX-Forwarded-For: 2.2.2.2", Arrived("10.0.0.1", "http", 80), trust
    )

    assert facts.kept == b"\r\nX-Real-IP: 2.2.2.2"
    assert found.client_ip == "2.2.2.2"


@pytest.mark.parametrize("sent", [b"X-User-Id", b"x_user_id", b"X-User_ID", b"x.user.id"])
@pytest.mark.parametrize("peers", [(), PEER])
def test_stripped_fields_are_removed_from_every_peer(sent: bytes, peers: tuple[str, ...]) -> None:
    trust = Trust([parse_trusted_peer(each) for each in peers], None, ["X-User-Id", "Via"])

    facts, found = read(b"\r\n%b: 7\r\nX-User-Ids: 8\r\nVia: 1.1 x" % sent, Arrived("10.0.0.1", "http", 80), trust)

    assert facts.kept == b"\r\nX-User-Ids: 8"
    assert facts.block == b"\r\nHost: a.example:8080\r\nX-User-Ids: 8"
    assert fields(found)[b"Via"] == b"1.1 gateway"


def test_the_list_is_written_as_names_are_compared() -> None:
    assert all(folded(name) == name for name in (*GATEWAY_FIELDS, *UNTRUSTED_FAMILIES, *UNTRUSTED_NAMES))
    assert not [name for name in UNTRUSTED_NAMES if name.startswith(UNTRUSTED_FAMILIES)], "families have them already"


_WORDS = sorted({word for name in (*UNTRUSTED_NAMES, *GATEWAY_FIELDS) for word in name.split(b"-")} | {b"user", b"id"})
_SEPARATORS = [bytes([each]) for each in b"-_.~+!"]


@st.composite
def names(draw: st.DrawFn) -> bytes:
    words = draw(st.lists(st.sampled_from(_WORDS), min_size=1, max_size=4))
    if draw(st.booleans()):
        words = draw(st.sampled_from(sorted(UNTRUSTED_NAMES | GATEWAY_FIELDS))).split(b"-")
    name = words[0]
    for word in words[1:]:
        name += draw(st.sampled_from(_SEPARATORS)) + word
    return name.title() if draw(st.booleans()) else name


@given(st.lists(names(), max_size=8), st.lists(names(), max_size=2), st.booleans())
def test_whatever_comes_no_name_is_left_that_cgi_takes_for_a_claim(
    sent: list[bytes], listed: list[bytes], trusted: bool
) -> None:
    lines = b"".join(b"\r\n%b: x" % name for name in sent if name.lower() not in {b"host", b"upgrade", b"connection"})
    if listed:
        lines += b"\r\nConnection: " + b", ".join(listed)
    trust = Trust([parse_trusted_peer("10.0.0.1")] if trusted else [], None, ["X-User-Id"])

    facts, _ = read(lines, Arrived("10.0.0.1", "http", 80), trust)

    assert facts.lowered == facts.block.lower()
    left = [line.partition(b":")[0].lower() for line in facts.block.split(b"\r\n")[1:]]
    assert b"x-user-id" not in map(folded, left)
    claims = [name for name in left if is_untrusted(folded(name)) and name not in LOOP_FIELDS]
    assert trusted or claims == []
    # From a trusted proxy, one spelling of each that the gateway or the proxy itself may have written.
    assert not [name for name in left if folded(name) in GATEWAY_FIELDS and name not in GATEWAY_FIELDS]
    assert not [name for name in claims if folded(name) != name and folded(name) in claims]
    assert set(facts.claims) == {name for name in claims if name not in GATEWAY_FIELDS}
    # What goes on is what plugins see, but for what the gateway reads and writes itself.
    assert set(facts.kept.split(b"\r\n")) <= set(facts.block.split(b"\r\n"))


def test_what_clients_make_up_is_not_remembered_without_bounds() -> None:
    trust = Trust([parse_trusted_peer("10.0.0.0/8")], ClientAddressConfig(header="My-IP"))
    arrived = Arrived("10.0.0.1", "http", 80)

    def send(number: int) -> None:
        text = b"%d" % number + b"x" * 20_000
        names = (b"X-Forwarded-For", b"X-Forwarded-Host", b"Forwarded", b"My-IP", b"X-" + text, b"X_" + text)
        _, found = read(b"".join(b"\r\n%b: %b" % (name, text) for name in names), arrived, trust)
        assert found.client_ip == "10.0.0.1"
        trust.is_trusted(text.decode())

    send(0)
    tracemalloc.start()
    for number in range(300):
        send(number)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert grown < 200_000
