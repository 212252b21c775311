"""auth, ratelimit and logger in the chains that people run: what one leaves is what the next one reads."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk.testing import (
    ManualClock,
    RunningGateway,
    ScriptedUpstream,
    assert_plugin_ok,
    eventually,
)

from tests.plugins.ratelimit.stores.conftest import Valkey

SECRET = "an example of a secret of 32 bytes"
Chain = Callable[..., RunningGateway]


def token(**claims: Any) -> dict[str, str]:
    def part(data: Any) -> str:
        raw = data if isinstance(data, bytes) else json.dumps(data).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    text = f"{part({'alg': 'HS256'})}.{part({'exp': 4_000_000_000, **claims})}"
    return {"Authorization": f"Bearer {text}.{part(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())}"}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def chain(log: Path, upstream: ScriptedUpstream, limit: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    fields = ["method", "path", "raw_path", "status", "identity", "claim:org.id", "refusal", "produced_by"]
    auth = {"secret": SECRET, "require": {"optional": "jwt"}} | more.pop("auth", {})
    return {
        "limits": more.pop("limits", {}),
        "plugins": [
            {"name": "logger", "config": {"path": str(log), "fields": fields, "missing": "null"}},
            {"name": "auth", "config": auth},
            {"name": "ratelimit", "config": limit, **more.pop("binding", {})},
        ],
        "routes": [{"id": "all", "path_prefix": "/", "target": upstream.url, **more}],
    }


def lines(log: Path, count: int) -> list[dict[str, Any]]:
    eventually(lambda: log.exists() and log.read_text().count("\n") == count)
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_limits_by_nested_claims_of_tokens_and_lines_that_have_them(gateway: Chain, upstream: Any, log: Path) -> None:
    limit = {
        "quota": 1,
        "window": "1h",
        "key": "claim:org.id",
        "overrides": [
            {"when": {"claim:realm_access.roles": "gold"}, "quota": 3},
            {"when": {"claim:https://x.example/claims.internal": "true"}, "unlimited": True},
        ],
    }
    running = gateway(chain(log, upstream, limit))
    plain, gold = token(sub="a", org={"id": 7}), token(sub="b", org={"id": 8}, realm_access={"roles": ["gold"]})
    internal = token(sub="c", org={"id": 9}, **{"https://x.example/claims": {"internal": True}})

    statuses = [[running.get("/", headers=each).status for _ in range(4)] for each in (plain, gold, internal)]

    assert statuses == [[200, 429, 429, 429], [200, 200, 200, 429], [200] * 4]
    written = lines(log, 12)
    assert [line["claim:org.id"] for line in written] == [7] * 4 + [8] * 4 + [9] * 4
    assert [line["refusal"] for line in written[:2]] == [None, "ratelimit"]
    assert [line["identity"] for line in written[::4]] == ["a", "b", "c"]


def test_anonymous_and_authenticated_callers_have_limits_of_their_own(gateway: Chain, upstream: Any, log: Path) -> None:
    limit = {
        "limits": [
            {"name": "anonymous", "quota": 1, "window": "1h"},
            {"name": "known", "quota": 3, "window": "1h", "key": "identity", "when": {"identity": "*"}},
        ]
    }
    limit["limits"][0] |= {"overrides": [{"when": {"identity": "*"}, "unlimited": True}]}
    running = gateway(chain(log, upstream, limit))

    strangers = [running.get("/").status for _ in range(3)]
    alice = [running.get("/", headers=token(sub="alice")).status for _ in range(4)]
    wrong = running.get("/", headers={"Authorization": "Bearer x.y.z"}).status

    assert strangers == [200, 429, 429]
    assert alice == [200, 200, 200, 429]
    assert wrong == 401


@pytest.mark.parametrize("spelling", ["/%6cogin", "//login", "/login;x=1", "/./login", "/login/", "/l%6Fgin"])
def test_no_spelling_of_a_path_passes_by_its_limit(gateway: Chain, upstream: Any, log: Path, spelling: str) -> None:
    limit = {"quota": 2, "window": "1h", "key": ["client_ip", "path"], "when": {"path": "/login"}}
    running = gateway(chain(log, upstream, limit))
    before = [running.get("/login").status for _ in range(2)]

    after = running.get(spelling).status

    assert before == [200, 200]
    assert after in {400, 429}  # refused as no path at all, or counted
    line = lines(log, 3)[-1] if after == 429 else {"raw_path": spelling, "path": "/login"}
    assert line["raw_path"] == spelling
    assert line["path"].rstrip("/") == "/login"


def test_refused_tokens_hold_no_place_and_cost_nothing(gateway: Chain, upstream: Any, log: Path) -> None:
    limit = {"limits": [{"name": "at-once", "concurrency": 1}, {"name": "rate", "quota": 2, "window": "1h"}]}
    running = gateway(chain(log, upstream, limit))

    wrong = [running.get("/", headers={"Authorization": "Bearer no"}).status for _ in range(5)]
    right = [running.get("/", headers=token(sub="a")).status for _ in range(3)]

    assert wrong == [401] * 5
    assert right == [200, 200, 429]
    assert [line["refusal"] is not None for line in lines(log, 8)] == [True] * 5 + [False, False, True]


def test_the_log_has_what_others_refused(gateway: Chain, upstream: Any, log: Path) -> None:
    limit = {"quota": 2, "window": "1h", "when": {"path": "/few"}}
    config = chain(log, upstream, limit)
    config["routes"] = [{"id": "few", "path": "/few", "target": upstream.url, "methods": ["GET", "POST"]}]
    running = gateway(config)

    statuses = [
        *(running.get("/few").status for _ in range(3)),
        running.get("/none").status,
        running.request("DELETE", "/few").status,
        running.get("/few", headers={"Authorization": "Bearer no"}).status,
    ]

    assert statuses == [200, 200, 429, 404, 405, 401]
    written = lines(log, 6)
    assert [line["status"] for line in written] == statuses
    assert [line["produced_by"] for line in written] == [
        "upstream", "upstream", "ratelimit", "gateway", "gateway", "auth",
    ]  # fmt: skip
    assert [line["refusal"] is not None for line in written] == [False, False, True, False, False, True]


def test_a_body_that_is_too_large_is_logged(gateway: Chain, upstream: Any, log: Path) -> None:
    config = chain(log, upstream, {"quota": 1, "window": "1h"}, limits={"max_body_bytes": 4})
    running = gateway(config)

    statuses = [running.post("/", b"12345").status, running.post("/", b"1").status]

    assert statuses == [413, 200]  # refused by its head, before any limit is asked
    assert [line["status"] for line in lines(log, 2)] == statuses


def test_in_shadow_mode_a_limit_refuses_nothing_and_counts(gateway: Chain, upstream: Any, log: Path) -> None:
    config = chain(log, upstream, {"quota": 1, "window": "1h"}, binding={"mode": "shadow"})
    running = gateway(config)

    statuses = [running.get("/", headers=token(sub="a")).status for _ in range(4)]

    assert statuses == [200] * 4
    assert 'gateway_ratelimit_refused_total{binding="ratelimit",limit="ratelimit",route=""} 3.0' in running.metrics()


def test_counters_live_through_a_reload_and_a_changed_limit_keeps_them(
    gateway: Chain, upstream: Any, log: Path, clock: ManualClock
) -> None:
    del clock  # stands still, so that nothing comes back meanwhile
    running = gateway(chain(log, upstream, {"quota": 3, "window": "1h", "key": "identity"}))
    alice = token(sub="alice")
    first = [running.get("/", headers=alice).status for _ in range(2)]

    running.reload(chain(log, upstream, {"quota": 3, "window": "1h", "key": "identity", "headers": []}))
    second = [running.get("/", headers=alice).status for _ in range(2)]
    other = running.get("/", headers=token(sub="bob")).status

    assert (first, second, other) == ([200, 200], [200, 429], 200)
    assert len(lines(log, 5)) == 5


@pytest.mark.parametrize(("policy", "statuses"), [("local", [200, 429]), ("open", [200, 200]), ("closed", [503, 503])])
def test_without_redis_the_policy_decides_by_claims_too(
    gateway: Chain, upstream: Any, log: Path, tmp_path: Path, policy: str, statuses: list[int]
) -> None:
    server = Valkey(tmp_path)
    redis = {"url": server.url, "when_unavailable": policy, "timeout": "20s"}
    limit = {"quota": 2, "window": "1d", "key": "claim:org.id", "store": "redis", "redis": redis}
    try:
        running = gateway(chain(log, upstream, limit))
        there = running.get("/", headers=token(sub="a", org={"id": 7})).status
    finally:
        server.kill()

    away = [running.get("/", headers=token(sub="a", org={"id": 7})).status for _ in range(2)]

    assert there == 200
    assert away == statuses


def test_what_every_plugin_keeps_to_holds_for_redis_as_well(tmp_path: Path) -> None:
    server = Valkey(tmp_path)
    try:
        assert_plugin_ok(RateLimit, {"rate": 10, "store": "redis", "redis": {"url": server.url}})
    finally:
        server.kill()
