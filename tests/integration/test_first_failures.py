"""Failures that plugins count are 0 before the first one, so that a monitoring system sees that as an increase."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_auth import Auth
from gateway_plugin_authorize import Authorize
from gateway_plugin_forward_auth import ForwardAuth
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_static import Static
from gateway_plugin_upstream_auth import UpstreamAuth

pytestmark = pytest.mark.one_protocol(reason="no request is sent")


def test_failures_of_a_routes_bindings_begin_at_0(gateway: Any, tmp_path: Path) -> None:
    bindings: dict[str, dict[str, Any]] = {
        "auth": {
            "providers": {"a": {"scheme": "api-key", "keys": [{"subject": "a", "sha256": "ab" * 32}]}},
            "require": "a",
        },
        "authorize": {"rule": {"authenticated": True}},
        "forward-auth": {"target": "http://127.0.0.1:9"},
        "ratelimit": {"rate": 5},
        "static": {"root": str(tmp_path)},
        "upstream-auth": {"oauth2": {"token_url": "http://127.0.0.1:9", "client_id": "a", "client_secret": "b"}},
    }
    plugins = [{"name": name, "config": config} for name, config in bindings.items()]
    route = {"id": "r", "path": "/", "target": "http://127.0.0.1:9", "plugins": plugins}

    shown = gateway(
        {"routes": [route]}, plugins=[Auth, Authorize, ForwardAuth, RateLimit, Static, UpstreamAuth]
    ).metrics()

    series = {line.rsplit(" ", 1)[0] for line in shown.splitlines() if line.endswith(" 0.0")}
    assert {
        *(
            f'gateway_auth_refusals_total{{binding="auth",reason="{reason}",route="r"}}'
            for reason in ("no-keys", "busy")
        ),
        'gateway_authorize_refusals_total{binding="authorize",reason="policy-unavailable",route="r"}',
        'gateway_forward_auth_decisions_total{binding="forward-auth",decision="unavailable",route="r"}',
        'gateway_ratelimit_refused_total{binding="ratelimit",limit="ratelimit",route="r"}',
        'gateway_static_failures_total{binding="static",kind="permission",route="r"}',
        'gateway_upstream_auth_tokens_total{binding="upstream-auth",result="failed",route="r"}',
    } <= series, shown
