from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_forward_auth.config import ForwardAuthConfig
from gateway_plugin_forward_auth.decisions import DecisionCache, Passed, passed, refused
from gateway_plugin_sdk import Headers, Identity

ALICE = Identity("alice", "forward-auth")


def config(**options: Any) -> ForwardAuthConfig:
    return ForwardAuthConfig.model_validate({"target": "http://auth.test", **options})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("Remote-User", "alice")], ALICE),
        ([("Remote-User", "J\xc3\xb6rg")], Identity("Jörg", "forward-auth")),
        ([("Remote-User", "J\xf6rg")], Identity("Jörg", "forward-auth")),
        ([], Identity("anonymous", "anonymous")),
        ([("Remote-User", "")], Identity("anonymous", "anonymous")),
        ([("Remote-User", "a"), ("Remote-User", "b")], Identity("anonymous", "anonymous")),
    ],
)
def test_a_success_names_the_caller(fields: list[tuple[str, str]], expected: Identity) -> None:
    assert passed(Headers(fields), config()).identity == expected


def test_groups_and_other_fields_become_claims() -> None:
    options = {"groups": "Remote-Groups", "claims": {"email": "Remote-Email", "gone": "X-Gone"}}
    fields = [("Remote-User", "alice"), ("Remote-Groups", "a, b"), ("Remote-Groups", "c,"), ("Remote-Email", "a@b")]

    assert passed(Headers(fields), config(identity=options)).identity.claims == {
        "groups": ["a", "b", "c"],
        "email": "a@b",
    }


@pytest.mark.parametrize(
    ("fields", "lifetime"),
    [
        ([], 10.0),
        ([("Cache-Control", "max-age=3")], 3.0),
        ([("Cache-Control", "private"), ("Cache-Control", 'max-age="60"')], 10.0),
        ([("Cache-Control", "no-store")], 0.0),
        ([("Cache-Control", "max-age=60, No-Cache")], 0.0),
        ([("Cache-Control", "max-age=soon")], 0.0),
        ([("Cache-Control", "max-age=0")], 0.0),
        ([("Set-Cookie", "a=b")], 0.0),
    ],
)
def test_a_decision_is_kept_as_long_as_both_sides_want(fields: list[tuple[str, str]], lifetime: float) -> None:
    assert passed(Headers(fields), config(cache={"ttl": "10s"})).lifetime == lifetime
    assert passed(Headers(fields), config()).lifetime == 0


def test_a_refusal_loses_what_belongs_to_its_own_message() -> None:
    fields = [("Location", "/in"), ("Set-Cookie", "a"), ("Set-Cookie", "b"), ("Server", "x"), ("Connection", "close")]

    response = refused(302, Headers(fields), b"go")

    assert response.headers.items() == [*fields[:3], ("Cache-Control", "no-store")]
    assert (response.status, response.body) == (302, b"go")


def test_the_cache_is_bounded_and_forgets_what_is_over() -> None:
    cache, decision = DecisionCache(2), Passed(ALICE, (), (), 10.0)

    for key in (b"a", b"b"):
        cache.put(key, decision, 0.0)
    assert cache.get(b"a", 9.9) is decision
    cache.put(b"c", decision, 5.0)

    assert (cache.get(b"b", 5.0), len(cache)) == (None, 2)
    assert (cache.get(b"a", 10.0), cache.get(b"c", 14.0)) == (None, decision)
