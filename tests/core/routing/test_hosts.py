from __future__ import annotations

import pytest
from gateway_core.routing import HostError, ListenerRule, ListenerTable, Refusal
from gateway_core.routing.hosts import host_rank, normalize_host, parse_host, wider_hosts


@pytest.mark.parametrize(
    ("received", "normalized"),
    [
        ("api.example.com", "api.example.com"),
        ("API.Example.COM:8080", "api.example.com"),
        ("example.com.", "example.com"),
        ("example.com.:80", "example.com"),
        ("[::1]:80", "[::1]"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
        ("[broken", "[broken"),
        ("", ""),
    ],
)
def test_hosts_are_compared_without_case_port_and_final_dot(received: str, normalized: str) -> None:
    assert normalize_host(received) == normalized
    assert normalize_host(normalized) == normalized


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("Example.com", "example.com"),
        ("*.Example.org", "*.example.org"),
        ("*", "*"),
        ("localhost", "localhost"),
        ("my_service", "my_service"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "[::1]"),
        ("[::1]", "[::1]"),
        ("example.com.", "example.com"),
    ],
)
def test_hosts_of_routes_are_brought_to_one_form(text: str, parsed: str) -> None:
    assert parse_host(text) == parsed


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("example.com:80", "has a port"),
        ("http://example.com", "has a '/'"),
        ("*example.com", "misplaced '*'"),
        ("a.*.com", "misplaced '*'"),
        ("", "is not a host name"),
        ("*.", "misplaced '*'"),
        ("a..b", "is not a host name"),
        ("a b", "is not a host name"),
    ],
)
def test_hosts_that_cannot_match_are_refused_with_a_remedy(text: str, remedy: str) -> None:
    with pytest.raises(HostError) as caught:
        parse_host(text)

    assert remedy in str(caught.value)
    assert repr(text) in str(caught.value)


def test_the_most_specific_pattern_ranks_first() -> None:
    patterns = ["*", "*.com", "*.example.com", "a.example.com"]
    ranks = [host_rank([pattern], "a.example.com") for pattern in patterns]

    assert None not in ranks
    assert ranks == sorted(ranks, key=lambda rank: -(rank or 0))
    assert host_rank(["*.example.com"], "example.com") is None
    assert host_rank(["*.example.com"], ".example.com") is None
    assert host_rank([], "example.com") is None


def test_wider_patterns_are_listed_from_the_most_specific_on() -> None:
    assert wider_hosts("a.b.com") == ["a.b.com", ":.b.com", "*.b.com", "*.com", "*"]
    assert wider_hosts("*.b.com") == ["*.b.com", "*.com", "*"]
    assert wider_hosts("[::1]") == ["[::1]", "*"]
    assert wider_hosts("*") == ["*"]


CA = ("required", "ca.pem", "")
WEB = ListenerRule("web")
PARTNERS = ListenerRule("partners", ("partners.example.com",), CA)
EXAMPLE = ListenerRule("example", ("*.example.com", "example.com"))
DEEP = ListenerRule("deep", ("*.deep.example.com",))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("partners.example.com", "partners"),
        ("PARTNERS.example.com.:443", "partners"),
        ("example.com", "example"),
        ("a.b.example.com", "example"),
        ("a.deep.example.com", "deep"),
        ("deep.example.com", "example"),
        ("other.test", "web"),
        ("notexample.com", "web"),
        ("", "web"),
        ("[::1]:443", "web"),
    ],
)
def test_the_most_specific_host_decides(host: str, expected: str) -> None:
    table = ListenerTable([WEB, PARTNERS, EXAMPLE, DEEP])

    assert table.for_host(host, CA if expected == "partners" else None) == expected


def test_a_host_of_no_listener_is_refused() -> None:
    table = ListenerTable([PARTNERS, EXAMPLE])

    assert table.for_host("other.test") is Refusal.NO_LISTENER
    assert table.for_host("") is Refusal.NO_LISTENER
    assert Refusal.NO_LISTENER.value == 404


@pytest.mark.parametrize("listener", [PARTNERS, EXAMPLE, WEB])
@pytest.mark.parametrize("name", ["partners.example.com", "other.test", "", None])
def test_a_listener_that_is_alone_takes_every_connection(listener: ListenerRule[str], name: str | None) -> None:
    table = ListenerTable([listener])

    assert table.for_server_name(name) is listener
    assert table.for_host(name or "", listener.client_auth) == listener.payload


@pytest.mark.parametrize(
    ("rules", "name", "expected"),
    [
        ((PARTNERS, WEB, EXAMPLE), "partners.example.com", "partners"),
        ((PARTNERS, WEB, EXAMPLE), "Other.Example.com", "example"),
        ((PARTNERS, WEB, EXAMPLE), "other.test", "web"),
        ((PARTNERS, WEB, EXAMPLE), None, "web"),
        ((PARTNERS, DEEP, EXAMPLE), None, "deep"),
        ((PARTNERS, EXAMPLE), "other.test", "example"),
        ((PARTNERS, ListenerRule("p2", ("p2.test",), ("required", "ca2.pem", ""))), None, "partners"),
    ],
)
def test_tls_begins_with_the_listener_that_the_server_name_is_of(
    rules: tuple[ListenerRule[str], ...], name: str | None, expected: str
) -> None:
    found = ListenerTable(rules).for_server_name(name)

    assert found is not None
    assert found.payload == expected


def test_strict_sni_refuses_handshakes_for_no_name_and_for_unknown_ones() -> None:
    strict = ListenerRule("web", ("web.example.com",), None, strict_sni=True)
    table = ListenerTable([strict, PARTNERS])

    assert table.for_server_name(None) is None
    assert table.for_server_name("other.test") is None
    assert table.for_server_name("partners.example.com") is PARTNERS


@pytest.mark.parametrize(
    ("host", "client_auth", "expected"),
    [
        ("partners.example.com", None, Refusal.MISDIRECTED),
        ("partners.example.com", ("optional", "ca.pem", ""), Refusal.MISDIRECTED),
        ("partners.example.com", CA, "partners"),
        ("other.test", CA, Refusal.MISDIRECTED),
        ("other.test", None, "web"),
    ],
)
def test_a_request_for_a_listener_with_other_client_authentication_is_misdirected(
    host: str, client_auth: object, expected: object
) -> None:
    assert ListenerTable([WEB, PARTNERS]).for_host(host, client_auth) == expected


def test_a_table_needs_listeners_whose_hosts_can_be_matched() -> None:
    with pytest.raises(ValueError, match="at least one listener"):
        ListenerTable([])
    with pytest.raises(HostError):
        ListenerTable([ListenerRule("a", ("a b",))])


@pytest.mark.parametrize("name", ["", "other.test"])
def test_strict_sni_of_a_listener_for_all_hosts_is_left_to_its_certificates(name: str) -> None:
    strict = ListenerRule("strict", strict_sni=True)

    assert ListenerTable([PARTNERS, strict]).for_server_name(name) is strict
