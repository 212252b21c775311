from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest
from gateway_plugin_ratelimit.conditions import compile_condition, compile_exemptions
from gateway_plugin_sdk import Request


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({"method": ["GET", "HEAD"]}, True),
        ({"method": ["POST"]}, False),
        ({"client_ip": ["10.0.0.0/8", "192.0.2.0/24"]}, True),
        ({"client_ip": ["2001:db8::/32"]}, False),
        ({"header:X-Tier": ["gold"]}, True),
        ({"header:X-Tier": ["*"]}, True),
        ({"header:X-Other": ["*"]}, False),
        ({"identity": ["ann"]}, True),
        ({"claim:roles": ["admin"]}, True),
        ({"claim:roles": ["owner"]}, False),
        ({"claim:verified": ["true"]}, True),
        ({"claim:level": ["3"]}, True),
        ({"claim:none": ["None"]}, False),
        ({"host": ["Example.com"]}, True),
        ({"host": ["example.com."]}, True),
        ({"claim:org.id": ["7"]}, True),
        ({"claim:set": ["b"]}, True),
        ({"method": ["GET"], "header:X-Tier": ["silver"]}, False),
        ({"method": ["GET"], "header:X-Tier": ["silver", "gold"]}, True),
    ],
)
def test_every_source_must_have_one_of_its_values(request_of: Callable[..., Request], when: Any, holds: Any) -> None:
    request = request_of(
        headers={"X-Tier": "gold"},
        identity="ann",
        claims={
            "roles": ["user", "admin"],
            "verified": True,
            "level": 3,
            "org": MappingProxyType({"id": 7}),
            "set": frozenset("ab"),
        },
    )

    assert compile_condition(when)(request) is holds


@pytest.mark.parametrize("when", [{"client_ip": ["10.0.0"]}, {"nothing": ["a"]}])
def test_a_condition_that_can_never_be_tested_is_refused(when: Any) -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0|nothing"):
        compile_condition(when)


def test_an_ipv4_client_is_recognised_in_ipv6(request_of: Callable[..., Request]) -> None:
    assert compile_condition({"client_ip": ["10.0.0.0/8"]})(request_of(client_ip="::ffff:10.1.2.3"))


def test_no_conditions_are_no_function(request_of: Callable[..., Request]) -> None:
    assert compile_exemptions([]) is None
    either = compile_exemptions([{"method": ["PUT"]}, {"method": ["GET"]}])

    assert either is not None
    assert either(request_of())


@pytest.mark.parametrize(
    ("target", "method", "holds"),
    [
        ("/login", "POST", True),
        ("/login/", "POST", True),
        ("/login/x", "POST", False),
        ("/loginx", "POST", False),
        ("/api", "POST", True),
        ("/api/users/7", "POST", True),
        ("/apis", "POST", False),
        ("/", "POST", False),
    ],
)
def test_paths_are_exact_or_everything_below(
    request_of: Callable[..., Request], target: str, method: str, holds: bool
) -> None:
    assert compile_condition({"path": ["/login", "/api/*"]})(request_of(method, target)) is holds


def test_head_does_not_pass_by_a_limit_for_get(request_of: Callable[..., Request]) -> None:
    assert compile_condition({"method": ["GET"]})(request_of("HEAD"))
    assert not compile_condition({"method": ["HEAD"]})(request_of("GET"))


@pytest.mark.parametrize("path", ["login", "/%6cogin", "//login", "/login;x", "/a*", "/a/*/b", "/login?x=1"])
def test_a_path_that_no_request_can_have_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="write the path as the route sees it"):
        compile_condition({"path": [path]})


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/", {"X-HTTP-Method-Override": "DELETE"}),
        ("/", {"x_http_method_override": "delete "}),
        ("/", {"X-HTTP-Method": "DELETE"}),
        ("/", {"X-Method-Override": "Delete"}),
        ("/?a=b&_method=delete", {}),
        ("/?%5Fmethod=DELETE", {}),
    ],
)
def test_a_method_that_is_asked_for_beside_the_own_one_limits_and_never_frees(
    request_of: Callable[..., Request], target: str, headers: dict[str, str]
) -> None:
    request = request_of("OPTIONS", target, headers=headers)

    assert compile_condition({"method": ["DELETE"]})(request)
    assert compile_condition({"method": ["OPTIONS"]})(request)
    assert not compile_condition({"method": ["OPTIONS"]}, frees=True)(request)
    assert not compile_condition({"method": ["DELETE"]}, frees=True)(request)
    assert compile_condition({"method": ["OPTIONS"]}, frees=True)(request_of("OPTIONS"))


@pytest.mark.parametrize(
    ("source", "target", "headers"),
    [
        ("query:action", "/?action=x&action=login", {}),
        ("query:action", "/?action=login&%61ction=x", {}),
        ("cookie:action", "/", {"Cookie": "action=x; action=login"}),
        ("header:Action", "/", {"Action": "x, login"}),
        ("header:Action", "/", {"Action": "login,x"}),
    ],
)
def test_one_of_several_values_limits_and_never_frees(
    request_of: Callable[..., Request], source: str, target: str, headers: dict[str, str]
) -> None:
    request = request_of("GET", target, headers=headers)

    assert compile_condition({source: ["login"]})(request)
    assert not compile_condition({source: ["other"]})(request)
    assert not compile_condition({source: ["login"]}, frees=True)(request)


def test_hosts_of_a_condition_are_written_in_any_way(request_of: Callable[..., Request]) -> None:
    for written in ("[::1]", "[0:0:0:0:0:0:0:1]", "[::0001]:8080"):
        assert compile_condition({"host": ["[::1]"]})(request_of(host=written))
        assert compile_condition({"host": [written]})(request_of(host="[::1]"))
