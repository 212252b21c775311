from __future__ import annotations

import pytest
from gateway_core.config.plugin_words import KEYS, plugin_for


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
