from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network

import pytest
from gateway_core.errors import TextTooLongError
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
from gateway_core.routing.conditions import RequestValues, compile_conditions, compile_tests, cookie_values, parse_query


def holds(condition: ValueCondition, *values: str | None) -> bool:
    found = [value for value in values if value is not None]
    conditions = compile_conditions((condition,), ())
    assert conditions is not None
    return conditions.hold(lambda name: found if name == "x-a" else (), RequestValues(""))


@pytest.mark.parametrize(
    ("condition", "accepted", "refused"),
    [
        (ValueCondition("X-A", value="2"), ["2"], ["", "22", "x", None]),
        (ValueCondition("X-A", value=""), [""], ["2", None]),
        (ValueCondition("X-A", regex="[0-9]+"), ["2", "22"], ["", "2x", None]),
        (ValueCondition("X-A", regex=".*"), ["", "2", "\n", "2\n2"], [None]),
        (ValueCondition("X-A", regex="2$"), ["2"], ["2\n", None]),
        (ValueCondition("X-A", present=True), ["", "2"], [None]),
        (ValueCondition("X-A", present=False), [None], ["", "2"]),
    ],
)
def test_conditions_accept_and_refuse(
    condition: ValueCondition, accepted: list[str | None], refused: list[str | None]
) -> None:
    assert [value for value in accepted if not holds(condition, value)] == []
    assert [value for value in refused if holds(condition, value)] == []


def test_query_parameters_are_decoded_as_a_form_is() -> None:
    assert parse_query("a=1&a=2&&b&c=x+y%21&%64=1&e=%ff") == {
        "a": ["1", "2"],
        "b": [""],
        "c": ["x y!"],
        "d": ["1"],
        "e": ["\ufffd"],
    }


@pytest.mark.parametrize("condition", [ValueCondition("x-a", value="2"), ValueCondition("x-a", regex="[2]")])
@pytest.mark.parametrize("values", [("2", "x"), ("x", "2"), ("x", "2", "y")])
def test_one_of_several_values_is_enough(condition: ValueCondition, values: tuple[str, ...]) -> None:
    query = compile_conditions((), (condition,))
    assert query is not None

    assert holds(condition, *values)
    assert query.hold(lambda name: (), RequestValues("&".join(f"x-a={value}" for value in values)))
    assert not holds(condition, "x", "y")


def test_a_parameter_is_absent_only_if_no_value_is_there() -> None:
    condition = compile_conditions((), (ValueCondition("a", present=False),))
    assert condition is not None

    assert condition.hold(lambda name: (), RequestValues("b=1"))
    assert not condition.hold(lambda name: (), RequestValues("b=1&a="))


@pytest.mark.parametrize("values", [("a" * 8193,), ("1", "a" * 8193)])
def test_a_value_that_is_too_long_refuses_the_request(without_re2: None, values: tuple[str, ...]) -> None:
    header = compile_conditions((ValueCondition("x-a", regex="[a-z]+!"),), ())
    query = compile_conditions((), (ValueCondition("x-a", regex="[a-z]+!"),))
    assert header is not None
    assert query is not None

    with pytest.raises(TextTooLongError) as caught:
        header.hold(lambda name: values, RequestValues(""))
    assert caught.value.status == 431

    with pytest.raises(TextTooLongError) as caught:
        query.hold(lambda name: (), RequestValues("&".join(f"x-a={value}" for value in values)))
    assert caught.value.status == 400


def test_query_parameters_are_compared_with_case() -> None:
    conditions = compile_conditions((), (ValueCondition("Beta", value="1"),))

    assert conditions is not None
    assert conditions.hold(lambda name: (), RequestValues("Beta=1"))
    assert not conditions.hold(lambda name: (), RequestValues("beta=1"))


@pytest.mark.parametrize(
    ("condition", "remedy"),
    [
        (ValueCondition("x"), "exactly one of value, regex, present, one_of and none_of, it has 0"),
        (ValueCondition("x", value="1", present=True), "it has 2"),
        (ValueCondition("x", regex="("), "regex '(' is not a regular expression: missing )"),
    ],
)
def test_conditions_that_cannot_be_evaluated_are_refused(condition: ValueCondition, remedy: str) -> None:
    with pytest.raises(ConditionError) as caught:
        compile_conditions((condition,), ())

    assert remedy in str(caught.value)
    assert "header 'x'" in str(caught.value)


def test_no_conditions_compile_to_none() -> None:
    assert compile_conditions((), ()) is None


@dataclass
class Client:
    client_ip: str = ""
    scheme: str = "http"


def passes_tests(rule: RouteRule[None], client: Client | None = None, path: str = "/", host: str = "") -> bool:
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

    assert passes_tests(one_of, Client(address)) is inside
    assert passes_tests(none_of, Client(address)) is not inside


def test_a_client_without_address_is_in_no_network_and_an_unreadable_one_meets_no_condition() -> None:
    one_of = RouteRule(id="r", payload=None, client_ip=AddressCondition(one_of=NETWORKS))
    none_of = RouteRule(id="r", payload=None, client_ip=AddressCondition(none_of=NETWORKS))

    assert [passes_tests(one_of, Client("")), passes_tests(none_of, Client(""))] == [False, True]
    assert [passes_tests(rule, Client("unknown")) for rule in (one_of, none_of)] == [False, False]
    assert [passes_tests(rule, None) for rule in (one_of, none_of)] == [False, False]


def test_a_scheme_that_is_not_known_meets_no_condition() -> None:
    rule = RouteRule(id="r", payload=None, scheme="https")

    assert [passes_tests(rule, client) for client in (None, Client(), Client(scheme="https"))] == [False, False, True]


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
