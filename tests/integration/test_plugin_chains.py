"""Plugins that respond, authenticate, store and change beside each other one, in each order that `check` admits."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
from gateway_plugin_sdk.testing import Answer, ScriptedUpstream, UpstreamAnswer

APP: Final = "https://app.example.com"
SECRET: Final = "an example of a secret of 32 bytes"
STRANGER: Final = "198.51.100.7"
PAD: Final = "x" * 2000
FRESH: Final = {"Cache-Control": "public, max-age=60"}
GOOD: Final = {
    "Authorization": f"Bearer {jwt.encode({'sub': 'alice'}, SECRET, 'HS256')}",
    "Origin": APP,
    "Accept-Encoding": "gzip",
}
RESPONDING: Final = {"static", "mock", "aggregate"}
IDENTITY: Final = {"auth", "forward-auth"}
GUARDS: Final[dict[str, tuple[int, str, str, dict[str, str]]]] = {
    "auth": (401, "GET", "", {"Authorization": "none"}),
    "authorize": (403, "DELETE", "", {}),
    "fault": (503, "GET", "", {"X-Fault": "1"}),
    "forward-auth": (403, "GET", "", {"X-Ask": "refuse"}),
    "ip": (403, "GET", "", {"X-Forwarded-For": STRANGER}),
    "validate": (400, "GET", "?n=word", {}),
}
"""What a plugin refuses: status, method, query and fields."""
CONFIGS: Final[dict[str, Any]] = {
    "headers": {"request": {"set": {"X-Set": "1"}}, "response": {"set": {"X-Added": "yes"}}},
    "cors": {"origins": [APP]},
    "ip": {"deny": [f"{STRANGER}/32"]},
    "compress": {"codings": ["gzip"], "min_size": 10},
    "fault": {"header": "X-Fault", "abort": {"status": 503}},
    "auth": {"secret": SECRET},
    "authorize": {"rule": {"methods": ["GET", "HEAD"]}},
    "ratelimit": {"quota": 100, "window": "1h", "key": "route"},
    "upstream-auth": {"api_key": {"header": "X-Upstream-Key", "value": "key-of-the-gateway"}},
    "validate": {"parameters": [{"name": "n", "in": "query", "schema": {"type": "integer"}}]},
    "transform": {"response": {"set": {"/changed": True}}},
    "cache": {},
    "mock": {"responses": [{"path": "/page.json", "json": {"from": "mock", "pad": PAD}, "headers": FRESH}]},
}
SIMPLE: Final = {"headers", "cors", "ip", "compress", "fault", "auth", "ratelimit"}
"""Those that test_plugin_pairs has with each other."""
REFUSED: Final = {(first, second) for first in (*RESPONDING, "cache") for second in IDENTITY}
"""Nothing would ask the second one: the configuration is refused (tests/core/config/checks/test_order.py)."""
BROKEN: Final = {("transform", "compress")}
"""The second one compresses what the first one is to change: a warning, and 502."""


def pairs() -> list[tuple[str, str]]:
    everything = permutations([*CONFIGS, "static", "aggregate", "forward-auth"], 2)
    left_out = REFUSED | BROKEN | set(permutations(SIMPLE, 2)) | set(permutations(RESPONDING, 2))
    return [pair for pair in everything if pair not in left_out]


def marks(answer: Answer, body: Any, received: Any, *, asked: bool) -> Iterator[str]:
    """Yield the plugins whose work shows."""
    fields = answer.headers
    shows = {
        "headers": fields.get("x-added") == "yes",
        "cors": fields.get("access-control-allow-origin") == APP and "Origin" in str(fields.get_all("vary")),
        "compress": fields.get("content-encoding") == "gzip",
        "ratelimit": "ratelimit" in fields,
        "cache": "; hit" in fields.get("cache-status", ""),
        "transform": body.get("changed") is True,
        body.get("from", ""): body.get("from") in RESPONDING,
        "forward-auth": asked,
        "upstream-auth": received is not None and received.headers.get("x-upstream-key") == "key-of-the-gateway",
    }
    yield from (name for name, is_there in shows.items() if is_there)


def expected_marks(pair: tuple[str, str], *, again: bool) -> set[str]:
    """Return the plugins whose work shows in the response to a good request, the first one or one more."""
    found = set(pair) - {"auth", "authorize", "fault", "ip", "validate"}
    first, second = pair
    skipping = RESPONDING | ({"cache"} if again else set())
    if first in skipping:  # it responds, and the hooks before the upstream of the other one do not run
        found -= {second} & {"cache", "ratelimit", "transform", "upstream-auth", "forward-auth"}
        if first == "cache" and second in RESPONDING | {"transform"}:
            found.add(second)  # what is stored has their mark
    if second in RESPONDING:
        found -= {first} & {"transform", "upstream-auth"}
    if set(pair) & {"cache"} and not again:
        found.discard("cache")
    if again and pair == ("upstream-auth", "cache"):
        found.discard("upstream-auth")
    return found


@pytest.fixture
def service() -> Iterator[ScriptedUpstream]:
    """Run what forward-auth asks."""
    with ScriptedUpstream() as running:
        user = {"Remote-User": "bob"}
        running.answer_by(lambda asked: UpstreamAnswer(403 if "x-ask" in asked.headers else 200, headers=user))
        yield running


@pytest.mark.timeout(300)
def test_what_one_plugin_does_holds_beside_each_other_one(
    gateway: Any, upstream: ScriptedUpstream, service: ScriptedUpstream, tmp_path: Path
) -> None:
    (tmp_path / "page.json").write_text(json.dumps({"from": "static", "pad": PAD}))
    body = json.dumps({"from": "upstream", "pad": PAD})
    upstream.answer_with(200, body, headers={"Content-Type": "application/json", **FRESH})
    configs = CONFIGS | {
        "static": {"root": str(tmp_path), "cache": [{"files": ["*"], "control": FRESH["Cache-Control"]}]},
        "aggregate": {
            "calls": [{"name": "one", "target": upstream.url, "path": "/part", "deny": ["/from"]}],
            "static": {"from": "aggregate"},
        },
        "forward-auth": {"target": service.url, "request_headers": ["X-Ask"]},
    }
    routes = [
        {
            "id": "-".join(pair), "path_prefix": f"/{'/'.join(pair)}", "strip_path": True, "target": upstream.url,
            "plugins": [{"name": name, "config": configs[name]} for name in pair],
        }
        for pair in pairs()
    ]  # fmt: skip
    running = gateway({"trusted_proxies": ["127.0.0.0/8"], "routes": routes})
    expected: list[Any] = []
    found: list[Any] = []

    for pair in pairs():
        path = f"/{'/'.join(pair)}/page.json"
        for again in (False, True) if "cache" in pair else (False,):
            upstream.clear()
            service.clear()
            answer = running.get(path, headers=GOOD)
            data = gzip.decompress(answer.body) if "content-encoding" in answer.headers else answer.body
            received = upstream.last if upstream.requests else None
            shown = set(marks(answer, json.loads(data), received, asked=bool(service.requests)))
            expected.append((pair, again, 200, expected_marks(pair, again=again)))
            found.append((pair, again, answer.status, shown))
        for guard in GUARDS.keys() & set(pair):
            if guard == pair[1] and pair[0] in RESPONDING | {"cache"}:
                continue  # it is not asked: a warning
            status, method, query, fields = GUARDS[guard]
            upstream.clear()
            answer = running.request(method, path + query, headers=GOOD | fields)
            expected.append((pair, guard, status, 0))
            found.append((pair, guard, answer.status, len(upstream.requests)))

    assert [each for each in found if each not in expected] == []
    assert found == expected
