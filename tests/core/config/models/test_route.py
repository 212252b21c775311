from __future__ import annotations

import re

import pytest
from gateway_core.config import RouteConfig, is_url
from pydantic import ValidationError

ROUTE = {"id": "a", "path": "/a", "target": "users"}


def test_conditions_may_be_bare_values() -> None:
    route = RouteConfig.model_validate(
        {**ROUTE, "headers": {"x-a": "1"}, "query": {"q": {"regex": "a|b"}, "r": {"present": False}}}
    )

    assert route.headers["x-a"].value == "1"
    assert route.query["q"].regex == "a|b"
    assert route.query["r"].present is False


@pytest.mark.parametrize("host", ["api.example.com", "*.example.com", "localhost", "127.0.0.1", "[::1]"])
def test_hosts(host: str) -> None:
    assert RouteConfig.model_validate({**ROUTE, "hosts": [host]}).hosts == (host,)


@pytest.mark.parametrize(
    "change",
    [
        {"path": []}, {"path": ["/a", "/a"]}, {"path_prefix": 1}, {"target": None}, {"targets": [{"target": "b"}]},
        {"redirect": {"path": "/b"}},
        {"target": "http://h/path"}, {"target": ""}, {"hosts": ["*"]}, {"hosts": ["a.*"]}, {"hosts": ["h:80"]},
        {"hosts": ["http://h"]},
        {"methods": ["get"]}, {"headers": {"x a": "1"}}, {"headers": {"x": {}}},
        {"headers": {"x": {"value": "1", "regex": "1"}}},
        {"headers": {"x": {"regex": "("}}}, {"query": {"q": 1}}, {"strip_path": True, "rewrite": {"prefix": "/"}},
        {"rewrite": {}},
        {"rewrite": {"prefix": "/", "template": "/"}}, {"rewrite": {"template": "/a?b"}},
        {"mirror": {"target": "b", "percent": 101}}, {"mirror": "b"},
        {"rewrite": {"host": "a/b"}}, {"rewrite": {"host": "a:99999"}}, {"rewrite": {"host": "::1"}},
        {"rewrite": {"query": {}}}, {"rewrite": {"query": {"set": {"a": 1}}}}, {"rewrite": {"query": {"remove": "a"}}},
        {"rewrite": {"query": {"remove": [""]}}}, {"rewrite_response": {}}, {"rewrite_response": True},
        {"buffer_request": 0}, {"target": "unix:run/a.sock"}, {"listeners": "web"}, {"preserve_host": "no"},
    ],
)  # fmt: skip
def test_routes_that_cannot_work_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RouteConfig.model_validate({**ROUTE, **change})


SPLIT = {"id": "a", "path": "/a/:id", "targets": [{"target": "users"}, {"target": "http://127.0.0.1:8081"}]}


@pytest.mark.parametrize(
    ("route", "told"),
    [
        ({**ROUTE, "target": "http://user:pass@h"}, "carries credentials: leave them out of the URL"),
        ({**ROUTE, "target": "http://a.:tenant.h"}, "takes its host from the request"),
        ({**ROUTE, "strip_path": True, "rewrite": {"template": "/"}}, "strip_path and rewrite.template contradict"),
        (
            {**ROUTE, "preserve_host": True, "rewrite": {"host": "h"}},
            "preserve_host and rewrite.host contradict each other",
        ),
        (
            {**SPLIT, "preserve_host": True, "targets": [{"target": "a", "rewrite": {"host": "h"}}]},
            r"preserve_host and targets\[0\]\.rewrite\.host contradict each other",
        ),
        (
            {**ROUTE, "rewrite": {"template": "/b"}, "rewrite_response": {"location": True}},
            "rewrite_response cannot undo rewrite.template",
        ),
        (
            {
                **SPLIT,
                "targets": [{"target": "a", "rewrite": {"template": "/:id"}}],
                "rewrite_response": {"location": True},
            },
            r"rewrite_response cannot undo targets\[0\]\.rewrite\.template",
        ),
        ({**ROUTE, "sticky_cookie": {"name": "a"}}, "sticky_cookie keeps clients on one of several targets"),
        ({**ROUTE, "hash_on": "client_ip"}, "hash_on keeps clients on one of several targets"),
        (
            {**SPLIT, "hash_on": "client_ip", "sticky_cookie": {"name": "a"}},
            "sticky_cookie and hash_on contradict each other",
        ),
        ({**SPLIT, "targets": [{"target": "a", "backup": True}]}, "every target with a share is a backup"),
        (
            {**SPLIT, "targets": [{"target": "a"}, {"target": "a", "plugins": [{"name": "logger"}]}]},
            r"targets\[1\] has other plugins than an earlier target 'a'",
        ),
        (
            {**SPLIT, "targets": [{"target": "a", "weight": 0}, {"target": "b", "backup": True}]},
            "every target with a share is a backup",
        ),
    ],
)
def test_keys_that_contradict_each_other_are_refused(route: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        RouteConfig.model_validate(route)


@pytest.mark.parametrize(
    "change",
    [
        {"strip_path": True, "rewrite": {"host": "users.internal:8443"}},
        {"strip_path": True, "rewrite": {"query": {"set": {"a": ""}, "remove": ["b"]}}},
        {"preserve_host": True, "rewrite": {"prefix": "/b"}},
        {"preserve_host": False, "rewrite": {"host": "[::1]:80"}},
        {"strip_path": True, "rewrite_response": {"cookie_path": True}},
        {"target": "unix:/run/a.sock", "buffer_request": "1MiB"},
    ],
)
def test_keys_that_go_together(change: dict[str, object]) -> None:
    RouteConfig.model_validate({**ROUTE, **change})


def test_a_target_may_rewrite_the_path_of_a_route_that_strips_it() -> None:
    targets = [{"target": "a", "rewrite": {"prefix": "/v2"}}, {"target": "b"}]

    assert RouteConfig.model_validate({**SPLIT, "strip_path": True, "targets": targets}).strip_path


@pytest.mark.parametrize("target", ["http://[fe80::abcd]:8081", "https://user.internal:8443", "users-:tenant"])
def test_targets_that_are_hosts_or_names(target: str) -> None:
    assert RouteConfig.model_validate({**ROUTE, "target": target}).target == target


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"methods": ["ANY"]}, "leave methods out, which takes every method"),
        ({"methods": ["*"]}, "leave methods out, which takes every method"),
        ({"target": None, "redirect": {"path": "https://example.com/b"}}, "write scheme and host beside it"),
        ({"target": None, "redirect": {"host": "$host"}}, "leave it out, which keeps the client's"),
        ({"rewrite": {"host": "{http.request.host}"}}, "write preserve_host: true for the client's"),
        ({"target": "http://:tenant.internal"}, "write the name of an upstream, such as users-:tenant"),
        ({"target": "http://{tenant}.internal:8080"}, "write the name of an upstream, such as users-:tenant"),
        ({"rewrite": {"host": "$http_host"}}, "write preserve_host: true for the client's"),
    ],
)
def test_what_other_gateways_write_gets_a_remedy(change: dict[str, object], remedy: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(remedy)):
        RouteConfig.model_validate({**ROUTE, **change})


def test_one_mirror_or_several() -> None:
    one, two = {"target": "b"}, {"target": "c", "percent": 5.0}

    for written, expected in ((one, ["b"]), ([one, two], ["b", "c"]), ([], [])):
        assert [each.target for each in RouteConfig.model_validate({**ROUTE, "mirror": written}).mirror] == expected


def test_what_a_route_does_not_say_of_the_host_is_as_in_the_upstream() -> None:
    assert RouteConfig.model_validate(ROUTE).preserve_host is None


@pytest.mark.parametrize(
    "redirect",
    [
        {"path": "/a", "prefix": "/b"},
        {"host": "a:80", "port": 80},
        {"port": 0},
        {"query": {}},
        {"status": 300, "path": "/"},
        {"path": "b"},
        {"path": "/a\r\nb"},
        {"host": "a/b"},
        {"host": "a:b"},
        {"scheme": "ftp"},
    ],
)
def test_redirects_that_lead_nowhere_are_refused(redirect: object) -> None:
    with pytest.raises(ValidationError):
        RouteConfig.model_validate({"id": "a", "path": "/a", "redirect": redirect})


def test_weights_must_leave_somebody_a_share() -> None:
    with pytest.raises(ValidationError):
        RouteConfig.model_validate({"id": "a", "path": "/a", "targets": [{"target": "b", "weight": 0}]})


def test_everything_that_contradicts_itself_is_told_at_once() -> None:
    with pytest.raises(
        ValidationError,
        match=r'repeats "/a": keep it once; strip_path and rewrite.prefix contradict each other',
    ):
        RouteConfig.model_validate({**ROUTE, "path": ["/a", "/a"], "strip_path": True, "rewrite": {"prefix": "/b"}})


def test_targets_are_names_or_urls() -> None:
    assert is_url("http://h")
    assert not is_url("users")
