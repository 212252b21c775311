from __future__ import annotations

import pytest
from gateway_plugin_acme.names import (
    Abilities,
    Wanted,
    covers,
    is_public,
    name_problem,
    names_of,
    plan_listed,
    plan_served,
)
from hypothesis import given
from hypothesis import strategies as st

DNS = Abilities(has_dns=True)
PLAIN = Abilities()

labels = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
hosts = st.builds(lambda wild, name: f"{wild}{name}.example.com", st.sampled_from(["", "*."]), labels)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("example.com", ""),
        ("*.example.com", ""),
        ("xn--bcher-kva.example.com", ""),
        ("bücher.example.com", "has to be written as it is in DNS: with xn--"),
        ("192.0.2.1", "is an address, not a name"),
        ("[::1]", "is an address, not a name"),
        ("a..example.com", "is not a host name"),
        ("-a.example.com", "is not a host name"),
        ("*.*.example.com", "is not a host name"),
        ("a/b.example.com", "is not a host name"),
        ("a" * 64 + ".example.com", "is not a host name"),
        (".".join(["abcdefg"] * 40), "is not a host name"),
    ],
)
def test_a_name_is_looked_at_before_an_authority_is_asked(name: str, problem: str) -> None:
    assert name_problem(name) == problem


@pytest.mark.parametrize(
    "name", ["localhost", "intranet", "printer.local", "db.internal", "a.test", "x.onion", "a.arpa"]
)
def test_names_that_no_public_authority_issues_for(name: str) -> None:
    assert not is_public(name)
    assert name in plan_listed([[name]], PLAIN).refused
    assert plan_listed([[name]], Abilities(is_private=True)).wanted == (Wanted((name,)),)


def test_listed_names_are_one_certificate_each_or_one_for_a_list() -> None:
    plan = plan_listed([["a.example.com"], ["b.example.com", "c.example.com"]], PLAIN)

    assert [each.names for each in plan.wanted] == [("a.example.com",), ("b.example.com", "c.example.com")]


def test_a_wildcard_needs_dns() -> None:
    assert "only DNS-01 can prove" in plan_listed([["*.example.com"]], PLAIN).refused["*.example.com"]
    assert plan_listed([["*.example.com"]], DNS).wanted == (Wanted(("*.example.com",)),)


def test_hosts_of_a_listener_and_its_routes_get_a_certificate_each() -> None:
    plan = plan_served(["A.example.com"], ["b.example.com", "a.example.com", ":tenant.example.org"], [], DNS)

    assert [each.names for each in plan.wanted] == [("a.example.com",), ("b.example.com",), ("*.example.org",)]


def test_what_a_wildcard_covers_gets_none_of_its_own() -> None:
    plan = plan_served(["*.example.com"], ["a.example.com", "a.b.example.com"], [], DNS)

    assert [each.names for each in plan.wanted] == [("*.example.com",), ("a.b.example.com",)]


def test_names_of_remote_documents_need_the_listeners_hosts_and_a_quota() -> None:
    remote = ["a.example.com", "evil.example.org", "b.example.com", "c.example.com"]
    plan = plan_served(["*.example.com"], [], remote, Abilities(remote_quota=2))

    assert [each.names for each in plan.wanted] == [("a.example.com",), ("b.example.com",)]
    assert "add it to hosts of the listener" in plan.refused["evil.example.org"]
    assert "raise remote_quota" in plan.refused["c.example.com"]
    assert plan.replaced == ("*.example.com",)


@given(st.lists(hosts), st.lists(hosts), st.lists(hosts), st.booleans(), st.integers(0, 5))
def test_each_name_is_had_once_or_refused(
    own: list[str], routes: list[str], remote: list[str], has_dns: bool, quota: int
) -> None:
    plan = plan_served(own, routes, remote, Abilities(has_dns=has_dns, remote_quota=quota))
    had = list(names_of(plan.wanted))

    assert len(had) == len(set(had))
    for host in (*own, *routes):
        assert host in plan.refused or any(covers(name, host) for name in had)
    extra = set(had) - {*own, *routes}
    assert len(extra) <= quota
    assert all(any(covers(pattern, host) for pattern in own) for host in extra)


@given(st.sets(hosts, min_size=1), st.sets(hosts, min_size=1))
def test_certificates_for_other_names_are_stored_elsewhere(first: set[str], second: set[str]) -> None:
    one, other = Wanted(tuple(sorted(first))), Wanted(tuple(sorted(second)))

    assert (one.id == other.id) == (first == second)
    assert "/" not in one.id
    assert "*" not in one.id
