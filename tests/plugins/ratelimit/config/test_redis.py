from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_ratelimit.config import RateLimitConfig, RedisConfig
from gateway_plugin_sdk.testing import InvalidConfigError, PluginHarness
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"rate": 1, "store": "redis", "redis": {"mode": "sentinel"}}, "mode: sentinel needs nodes"),
        ({"rate": 1, "store": "redis", "redis": {"nodes": ["a:1"]}}, "nodes belong to mode: cluster or sentinel"),
        ({"rate": 1, "store": "redis", "redis": {"master": "m"}}, "master belongs to mode: sentinel"),
    ],
)
def test_addresses_that_do_not_fit_the_mode_are_refused(config: Any, problem: Any) -> None:
    with pytest.raises(ValidationError, match=problem):
        RateLimitConfig.model_validate(config)


def test_no_problem_shows_a_password() -> None:
    config = {
        "rate": "fast",
        "store": "redis",
        "redis": {
            "url": "redis://:Hunter2a@10.0.0.1/0",
            "password": "Hunter2b",
            "sentinel_password": "Hunter2c",
            "timeout": "soon",
        },
    }

    with pytest.raises(InvalidConfigError) as caught, PluginHarness(RateLimit, config):
        pass

    assert "rate" in str(caught.value)
    assert "Hunter2" not in str(caught.value)


def test_urls_that_are_none_are_refused_without_showing_them() -> None:
    with pytest.raises(ValidationError) as caught:
        RedisConfig.model_validate({"url": "http://:Hunter2@10.0.0.1"})

    assert "write redis://host:port/0" in str(caught.value)
    assert "Hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"url": "redis://:Hunter2a@10.0.0.1:99999"}, "the port of the url is not a number"),
        ({"url": "redis://:Hunter2a@10.0.0.1:port"}, "the port of the url is not a number"),
        ({"url": "redis://:Hunter2a@10.0.0.1/first"}, "the database of the url is not a number"),
        ({"url": "unix://run/Hunter2a"}, "with three slashes"),
        ({"url": "redis://:Hunter2a@10.0.0.1/3", "mode": "cluster"}, "a cluster has database 0 only"),
        ({"url": "rediss://10.0.0.1", "tls": {"key": __file__}}, "tls.key is given without tls.cert"),
    ],
)
def test_what_no_client_could_connect_to_is_refused(options: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        RedisConfig.model_validate(options)

    assert "Hunter2a" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["redis://10.0.0.1", "rediss://u:p@h:1/2", "valkey://[::1]:6379/0/", "unix:///run/v.sock"]
)
def test_urls_of_servers(url: str) -> None:
    assert RedisConfig.model_validate({"url": url.removesuffix("/")}).url.reveal() == url.removesuffix("/")
