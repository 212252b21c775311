from __future__ import annotations

import pytest
from gateway_core.routing.hosts import host_rank, normalize_host, parse_host, wider_hosts
from gateway_core.routing.problems import HostError


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
