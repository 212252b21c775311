from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network

import pytest
from gateway_core.routing import (
    AddressCondition,
    ConditionError,
    Match,
    NotFound,
    Router,
    RouteRule,
    ValueCondition,
    rule_pattern,
)
from gateway_core.routing.conditions import RequestValues
from gateway_core.routing.request_tests import compile_tests, cookie_values


@dataclass
class Client:
    client_ip: str = ""
    scheme: str = "http"


def holds(rule: RouteRule[None], client: Client | None = None, path: str = "/", host: str = "") -> bool:
    values = RequestValues("", path, host, client)
    tests = compile_tests(rule, rule_pattern(rule))
    results = [test.passes(lambda _name: (), values) for test in tests]
    assert [not test.failure(lambda _name: (), values) for test in tests] == results
    return all(results)


NETWORKS = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("address", "inside"),
    [("10.9.8.7", True), ("11.0.0.1", False), ("fd00::1", True), ("fe80::1%eth0", False), ("2001:db8::1", False)],
)
def test_an_address_is_in_one_of_the_networks_or_in_none(address: str, inside: bool) -> None:
    one_of = RouteRule(id="r", payload=None, client_ip=AddressCondition(one_of=NETWORKS))
    none_of = RouteRule(id="r", payload=None, client_ip=AddressCondition(none_of=NETWORKS))

    assert holds(one_of, Client(address)) is inside
    assert holds(none_of, Client(address)) is not inside


def test_a_client_without_address_is_in_no_network_and_an_unreadable_one_meets_no_condition() -> None:
    one_of = RouteRule(id="r", payload=None, client_ip=AddressCondition(one_of=NETWORKS))
    none_of = RouteRule(id="r", payload=None, client_ip=AddressCondition(none_of=NETWORKS))

    assert [holds(one_of, Client("")), holds(none_of, Client(""))] == [False, True]
    assert [holds(rule, Client("unknown")) for rule in (one_of, none_of)] == [False, False]
    assert [holds(rule, None) for rule in (one_of, none_of)] == [False, False]


def test_a_scheme_that_is_not_known_meets_no_condition() -> None:
    rule = RouteRule(id="r", payload=None, scheme="https")

    assert [holds(rule, client) for client in (None, Client(), Client(scheme="https"))] == [False, False, True]


def test_cookies_are_read_by_their_whole_names() -> None:
    lines = ["a=1; b=2", 'xa=3; a="4" ; a', "A=5"]

    assert cookie_values(lambda name: lines if name == "cookie" else (), "a") == ["1", "4"]


@pytest.mark.parametrize(
    ("rule", "path", "host"),
    [
        (RouteRule(id="r", payload=None, path="/x/:p"), "/x/caf%25", ""),
        (RouteRule(id="r", payload=None, path="/x/user_:p"), "/x/user_caf%25", ""),
        (RouteRule(id="r", payload=None, path="/x/*p"), "/x/caf%25", ""),
        (RouteRule(id="r", payload=None, path_regex="/x/(?P<p>.*)"), "/x/caf%25", ""),
        (RouteRule(id="r", payload=None, hosts=(":p.example.com",)), "/x", "CAF%25.example.com:80"),
    ],
)
def test_a_parameter_is_read_decoded_wherever_it_was_captured(rule: RouteRule[None], path: str, host: str) -> None:
    expected = "caf%25" if host else "caf%"  # a label of a host is not decoded
    router = Router.build([_with(rule, expected)])

    assert isinstance(router.match("GET", host, path, "", lambda _: ()), Match)
    assert isinstance(Router.build([_with(rule, "x")]).match("GET", host, path, "", lambda _: ()), NotFound)


def _with(rule: RouteRule[None], value: str) -> RouteRule[None]:
    return RouteRule(
        id="r",
        payload=None,
        path=rule.path,
        path_regex=rule.path_regex,
        hosts=rule.hosts,
        params=(ValueCondition("p", value=value),),
    )


@pytest.mark.parametrize("hosts", [(), (":q.example.com",), (":p.example.com", "example.com")])
def test_a_condition_on_a_parameter_that_is_not_always_there_is_refused(hosts: tuple[str, ...]) -> None:
    rule = RouteRule(id="r", payload=None, path="/x/:other", hosts=hosts, params=(ValueCondition("p", value="1"),))

    with pytest.raises(ConditionError, match="no parameter 'p'"):
        compile_tests(rule, rule_pattern(rule))


def test_routes_with_more_conditions_come_first_and_the_others_take_what_is_left() -> None:
    client = AddressCondition(one_of=NETWORKS)
    rules = [
        RouteRule(id="plain", payload="plain", path="/", order=0),
        RouteRule(id="one", payload="one", path="/", scheme="https", order=1),
        RouteRule(id="two", payload="two", path="/", scheme="https", client_ip=client, order=2),
    ]
    router = Router.build(rules)

    def winner(who: Client) -> str:
        found = router.match("GET", "", "/", "", lambda _: (), who)
        assert isinstance(found, Match)
        return found.payload

    assert winner(Client()) == "plain"
    assert winner(Client(scheme="https")) == "one"
    assert winner(Client("10.0.0.1", "https")) == "two"
