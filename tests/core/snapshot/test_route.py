"""How requests to a target of a route differ from what came."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_core.config import RouteConfig
from gateway_core.routing import RewriteError
from gateway_core.snapshot.route import NO_REWRITE, RequestRewrite, patterns_of, request_rewrite


def made(target: int | None = None, **keys: Any) -> RequestRewrite:
    where = {"target": "http://h"} if "targets" not in keys else {}
    route = RouteConfig.model_validate({"id": "r", "path_prefix": "/api", **where, **keys})
    own = None if target is None else route.targets[target].rewrite
    return request_rewrite(route, own, patterns_of(route)[0])


def sent(rewrite: RequestRewrite, path: str) -> str:
    return path if rewrite.path is None else rewrite.path({}, path)


def test_a_route_that_rewrites_nothing_shares_one_object() -> None:
    assert made() is NO_REWRITE


def test_strip_path_goes_with_a_host_and_a_query() -> None:
    rewrite = made(strip_path=True, rewrite={"host": "users.internal:81", "query": {"remove": ["a"]}})

    assert sent(rewrite, "/api/x") == "/x"
    assert rewrite.host == b"users.internal:81"
    assert rewrite.query is not None
    assert rewrite.query.apply("a=1&b") == "b"


def test_the_upstream_is_told_the_prefix_that_it_does_not_see() -> None:
    assert made(strip_path=True).prefix == b"/api"
    assert made(rewrite={"prefix": "/v2"}).prefix == b"/api"
    assert made(rewrite={"prefix": "/api"}).prefix == b""
    assert made(rewrite={"host": "h"}).prefix == b""
    assert made(path_prefix=None, path="/users/:id", rewrite={"template": "/u/:id"}).prefix == b""


@pytest.mark.parametrize(
    ("own", "path", "host"),
    [
        ({"prefix": "/v2"}, "/v2/x", b""),
        ({"host": "b"}, "/x", b"b"),
        ({"query": {"remove": ["a"]}}, "/x", b""),
    ],
)
def test_a_targets_rewrite_replaces_that_of_the_route(own: dict[str, Any], path: str, host: bytes) -> None:
    targets = [{"target": "http://h", "rewrite": own}, {"target": "http://i"}]
    keys: dict[str, Any] = {"strip_path": True, "rewrite": {"host": "a"}, "targets": targets}

    assert sent(made(0, **keys), "/api/x") == path
    assert made(0, **keys).host == host
    assert sent(made(1, **keys), "/api/x") == "/x"
    assert made(1, **keys).host == b"a"


def test_a_targets_rewrite_also_takes_the_place_of_the_routes_prefix() -> None:
    targets = [{"target": "http://h", "rewrite": {"host": "b"}}]

    assert sent(made(0, rewrite={"prefix": "/v2"}, targets=targets), "/api/x") == "/api/x"


def test_responses_are_undone_by_the_rewrite_of_their_target() -> None:
    targets = [{"target": "http://h", "rewrite": {"prefix": "/v2"}}]

    rewrite = made(0, strip_path=True, rewrite_response={"location": True}, targets=targets)

    assert rewrite.response is not None
    assert rewrite.response.prefix is not None
    assert rewrite.response.prefix.undo("/v2/x") == "/api/x"


def test_a_template_for_other_parameters_is_an_error() -> None:
    with pytest.raises(RewriteError, match="names the parameter 'id'"):
        made(rewrite={"template": "/:id"})
