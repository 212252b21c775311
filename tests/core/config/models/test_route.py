from __future__ import annotations

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
        {"path_prefix": "/"}, {"path": None}, {"target": None}, {"targets": [{"target": "b"}]},
        {"redirect": {"path": "/b"}},
        {"target": "http://h/path"}, {"target": ""}, {"hosts": ["*"]}, {"hosts": ["a.*"]}, {"hosts": ["h:80"]},
        {"hosts": ["http://h"]},
        {"methods": ["get"]}, {"headers": {"x a": "1"}}, {"headers": {"x": {}}},
        {"headers": {"x": {"value": "1", "regex": "1"}}},
        {"headers": {"x": {"regex": "("}}}, {"query": {"q": 1}}, {"strip_path": True, "rewrite": {"prefix": "/"}},
        {"rewrite": {}},
        {"rewrite": {"prefix": "/", "template": "/"}}, {"rewrite": {"template": "/a?b"}},
        {"mirror": {"target": "b", "percent": 101}},
    ],
)  # fmt: skip
def test_routes_that_cannot_work_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RouteConfig.model_validate({**ROUTE, **change})


@pytest.mark.parametrize(
    "redirect",
    [
        {},
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
        ValidationError, match="give exactly one of path, path_prefix and path_regex; give exactly one of target"
    ):
        RouteConfig.model_validate({"id": "a"})


def test_targets_are_names_or_urls() -> None:
    assert is_url("http://h")
    assert not is_url("users")
