from __future__ import annotations

import pytest
from gateway_core.config import ConfigError

from tests.core.config.conftest import Load

UPSTREAM = "upstreams: [{name: users, endpoints: [{url: 'http://h'}]}]\n"


@pytest.mark.parametrize(
    "route",
    [
        "target: users",
        "target: 'http://h'",
        "targets: [{target: users}, {target: 'https://h'}]",
        "target: users, mirror: {target: users}",
    ],
)
def test_targets_that_exist(load: Load, route: str) -> None:
    load(UPSTREAM + f"routes: [{{id: a, path: /, {route}}}]")


@pytest.mark.parametrize(
    "route", ["target: usrs", "targets: [{target: users}, {target: usrs}]", "target: users, mirror: {target: usrs}"]
)
def test_targets_that_do_not_exist_have_a_suggestion(load: Load, route: str) -> None:
    with pytest.raises(ConfigError, match=r'"usrs" is not an upstream: did you mean "users"\?'):
        load(UPSTREAM + f"routes: [{{id: a, path: /, {route}}}]")


def test_upstream_that_is_itself_invalid_still_counts_as_known(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("upstreams: [{name: users}]\nroutes: [{id: a, path: /, target: users}]")

    assert len(caught.value.problems) == 1


def test_strategies_and_discoveries_must_be_provided_by_something(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("upstreams: [{name: a, strategy: fastest, discovery: {name: consul}}]")

    assert [problem.key_path for problem in caught.value.problems] == [
        "upstreams[0].strategy",
        "upstreams[0].discovery.name",
    ]


def test_config_of_the_dns_discovery_is_checked(load: Load) -> None:
    load("upstreams: [{name: a, discovery: {name: dns, config: {host: users.example.com, port: 80}}}]")

    with pytest.raises(ConfigError, match=r'config.hots: unknown key "hots": did you mean "host"\? \(dns discovery\)'):
        load("upstreams: [{name: a, discovery: {name: dns, config: {hots: x}}}]")
