from __future__ import annotations

import pytest
from gateway_core.config.plugin_words import _OPTION_WORDS, KEYS, core_form_of, option_hint, plugin_for
from gateway_core.packages import PluginRegistry


@pytest.mark.parametrize(
    ("word", "plugin"),
    [
        ("key-auth", "auth"),
        ("jwt", "auth"),
        ("request-transformer", "headers"),
        ("ip-restriction", "ip"),
        ("ipAllowList", "ip"),
        ("rate-limiting", "ratelimit"),
        ("limit-count", "ratelimit"),
        ("RequestRateLimiter", "ratelimit"),
        ("gzip", "compress"),
        ("file_server", "static"),
        ("openid-connect", "oidc"),
        ("forwardAuth", "forward-auth"),
        ("acl", "authorize"),
        ("mocking", "mock"),
        ("auth", ""),
        ("ratelimit", ""),
        ("nonsense", ""),
    ],
)
def test_plugins_of_other_gateways_have_one_here(word: str, plugin: str) -> None:
    assert plugin_for(word) == plugin


def test_a_key_is_told_how_the_plugin_is_bound() -> None:
    assert KEYS["limit_req"] == "bind the plugin ratelimit: plugins: [{name: ratelimit, config: {...}}]"


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("stripPrefix", "write strip_path: true on the route"),
        ("RewritePath", "write rewrite: {prefix: /new}, or rewrite: {template: ...} on the route"),
        ("request-size-limiting", "write max_body_bytes on the route"),
        ("CircuitBreaker", "write circuit_breaker or outlier_detection on the upstream"),
        ("request-termination", "write respond: {status: 200, body: ...} on the route"),
        ("grpc-gateway", "leave it to the service, calls of gRPC pass as they are"),
        ("headers", ""),
        ("nonsense", ""),
    ],
)
def test_what_others_do_by_plugins_and_the_gateway_without_is_said(word: str, form: str) -> None:
    assert core_form_of(word) == form


@pytest.mark.parametrize(
    ("plugin", "key", "hint"),
    [
        ("ratelimit", "minute", "write quota: 60 and window: 1m; several are limits: [...]"),
        ("ratelimit", "redis-rate-limiter.burstCapacity", "write burst"),
        ("cors", "exposed_headers", "write expose"),
        ("headers", "frameDeny", "write security: {frame_options: DENY}"),
        ("forward-auth", "uri", "write target, with the name of an upstream or a URL, and path"),
        ("auth", "mode", "write require: {optional: jwt} for callers without credentials as well"),
        ("auth", "basic", "write providers: {people: {scheme: basic, users: [...]}}"),
        ("cors", "minute", ""),
        ("nonsense", "minute", ""),
    ],
)
def test_options_of_the_plugins_of_others_have_a_name_here(plugin: str, key: str, hint: str) -> None:
    assert option_hint(plugin, key) == hint


def test_no_word_for_an_option_is_one_of_ours() -> None:
    registry = PluginRegistry()
    for plugin, words in _OPTION_WORDS.items():
        description = registry.describe(plugin)
        assert description is not None, plugin
        assert words.keys() & description.schema["properties"].keys() == set(), plugin
