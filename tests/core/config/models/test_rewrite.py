from __future__ import annotations

import pytest
from gateway_core.config import GatewayConfig, PathPolicyConfig, RewriteConfig, RewriteResponseConfig
from gateway_core.routing import DEFAULT_POLICY, PathPolicy
from gateway_core.snapshot.route import arrival_policy_of, path_policy
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("written", "changes_path"),
    [
        ({"prefix": "/v2"}, True),
        ({"template": "/v2/:id"}, True),
        ({"host": "users.internal"}, False),
        ({"query": {"remove": ["debug"]}}, False),
        ({"prefix": "/", "host": "a:80", "query": {"set": {"source": "web"}}}, True),
    ],
)
def test_a_rewrite_changes_path_host_or_query(written: dict[str, object], changes_path: bool) -> None:
    assert RewriteConfig.model_validate(written).changes_path is changes_path


@pytest.mark.parametrize("model", [RewriteConfig, RewriteResponseConfig])
def test_a_rewrite_that_changes_nothing_is_refused(model: type[RewriteConfig]) -> None:
    with pytest.raises(ValidationError, match="changes nothing: give"):
        model.model_validate({})


def test_each_part_of_a_response_is_rewritten_only_if_asked() -> None:
    written = RewriteResponseConfig.model_validate({"location": True})

    assert (written.location, written.cookie_path, written.cookie_domain) == (True, False, False)


def config(document: dict[str, str], *routes: dict[str, str]) -> GatewayConfig:
    listed = [
        {"id": str(number), "path": f"/{number}", "target": "http://127.0.0.1:1", "path_policy": policy}
        for number, policy in enumerate(routes)
    ]
    return GatewayConfig.model_validate({"path_policy": document, "routes": listed})


def test_the_defaults_are_those_of_the_policy() -> None:
    assert path_policy(PathPolicyConfig()) == DEFAULT_POLICY


def test_what_a_route_does_not_say_is_as_in_the_document() -> None:
    loaded = config(
        {"encoded_slash": "keep", "case": "insensitive"}, {"encoded_slash": "reject"}, {"invalid_utf8": "keep"}
    )

    policies = [path_policy(loaded.path_policy, route) for route in loaded.routes]

    assert policies == [
        PathPolicy(case="insensitive"),
        PathPolicy(encoded_slash="keep", invalid_utf8="keep", case="insensitive"),
    ]


def test_what_one_route_keeps_is_not_refused_on_arrival() -> None:
    arrival = arrival_policy_of(
        config({"duplicate_slash": "reject"}, {"encoded_slash": "keep"}, {"duplicate_slash": "merge"})
    )

    assert arrival.read("/a%2Fb//c")[0] == "/a%2Fb/c"
    assert arrival_policy_of(config({"duplicate_slash": "reject"})).duplicate_slash == "reject"


def test_case_is_decided_for_the_whole_document() -> None:
    with pytest.raises(ValidationError, match="case"):
        config({}, {"case": "insensitive"})
