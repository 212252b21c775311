from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_auth.config import AuthConfig
from gateway_plugin_auth.credentials import Source
from gateway_plugin_auth.outcomes import Needs, Outcome, Verified
from gateway_plugin_auth.refusals import NO_CREDENTIALS as MISSING
from gateway_plugin_auth.refusals import Refusal, unavailable
from gateway_plugin_auth.requirements import Judgement, compile_requirement
from gateway_plugin_sdk import Identity, Request
from hypothesis import given
from hypothesis import strategies as st

REQUEST = Request("GET", "/")
BAD, FORBIDDEN = Refusal("expired"), Refusal("scope", "insufficient_scope", "a")
AWAY = unavailable("no-keys", 1)


async def _nothing() -> None:
    """Need nothing."""


NEEDS = Needs(_nothing, BAD)
GOOD = {name: Verified(Identity(name)) for name in "abc"}


class Fixed:
    """A provider that has made up its mind."""

    challenges: tuple[str, ...] = ("Bearer",)
    header_names: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def check(self, request: Request) -> Outcome:
        return self.outcome

    def hide(self, request: Request) -> None:
        """Hide nothing."""

    async def start(self) -> None:
        """Start nothing."""

    async def stop(self) -> None:
        """Stop nothing."""


def judge(require: Any, **outcomes: Outcome) -> Judgement:
    keys = [{"subject": name, "key": name} for name in "abc"]
    providers = {name: {"scheme": "api-key", "keys": keys} for name in "abc"}
    requirement = AuthConfig.model_validate({"providers": providers, "require": require}).requirement()
    return compile_requirement(requirement, {name: Fixed(outcome) for name, outcome in outcomes.items()})(REQUEST)


A, B, C = GOOD["a"], GOOD["b"], GOOD["c"]


@pytest.mark.parametrize(
    ("require", "a", "b", "expected"),
    [
        ("a", A, B, (A,)), ("a", BAD, B, BAD), ("a", NEEDS, B, NEEDS),
        ({"any": ["a", "b"]}, A, B, (A,)), ({"any": ["a", "b"]}, MISSING, B, (B,)), ({"any": ["a", "b"]}, BAD, B, (B,)),
        ({"any": ["a", "b"]}, BAD, MISSING, BAD), ({"any": ["a", "b"]}, MISSING, BAD, BAD),
        ({"any": ["a", "b"]}, FORBIDDEN, BAD, FORBIDDEN), ({"any": ["a", "b"]}, MISSING, MISSING, MISSING),
        ({"any": ["a", "b"]}, NEEDS, B, (B,)), ({"any": ["a", "b"]}, NEEDS, BAD, NEEDS),
        ({"all": ["a", "b"]}, A, B, (A, B)), ({"all": ["a", "b"]}, A, BAD, BAD), ({"all": ["a", "b"]}, NEEDS, BAD, BAD),
        ({"all": ["a", "b"]}, NEEDS, B, NEEDS),
        ({"optional": "a"}, A, B, (A,)), ({"optional": "a"}, MISSING, B, ()), ({"optional": "a"}, BAD, B, BAD),
        ({"optional": "a"}, NEEDS, B, NEEDS), ({"optional": {"any": ["a", "b"]}}, MISSING, BAD, BAD),
        ({"optional": {"all": ["a", "b"]}}, MISSING, MISSING, ()),
        ({"any": ["a", "b"]}, AWAY, B, (B,)), ({"any": ["a", "b"]}, AWAY, FORBIDDEN, AWAY),
        ({"any": ["a", "b"]}, BAD, AWAY, AWAY), ({"any": ["a", "b"]}, MISSING, AWAY, AWAY),
        ({"optional": "a"}, AWAY, B, AWAY), ({"attempt": "a"}, AWAY, B, ()),
        ({"attempt": "a"}, A, B, (A,)), ({"attempt": "a"}, MISSING, B, ()), ({"attempt": "a"}, BAD, B, ()),
        ({"attempt": "a"}, FORBIDDEN, B, ()), ({"attempt": "a"}, NEEDS, B, NEEDS),
        ({"any": ["a", {"optional": "b"}]}, MISSING, MISSING, ()), ({"any": ["a", {"optional": "b"}]}, BAD,
        MISSING, BAD),
        ({"any": [{"optional": "a"}, "b"]}, MISSING, B, (B,)), ({"all": ["a", {"optional": "b"}]}, A, MISSING, (A,)),
        ({"all": ["a", {"optional": "b"}]}, A, BAD, BAD), ({"all": [{"optional": "a"}, {"optional": "b"}]},
        MISSING, MISSING, ()),
    ],
)  # fmt: skip
def test_trees(require: Any, a: Outcome, b: Outcome, expected: Judgement) -> None:
    assert judge(require, a=a, b=b, c=C) == expected


tree = st.recursive(
    st.sampled_from("abc"),
    lambda inner: (
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3))
    ),
    max_leaves=6,
)


@given(tree, st.fixed_dictionaries({name: st.booleans() for name in "abc"}))
def test_without_optional_parts_a_tree_is_a_boolean_formula(require: Any, good: dict[str, bool]) -> None:
    def holds(part: Any) -> bool:
        if isinstance(part, str):
            return good[part]
        return any(map(holds, part["any"])) if "any" in part else all(map(holds, part["all"]))

    judgement = judge(require, **{name: GOOD[name] if good[name] else BAD for name in "abc"})

    assert (isinstance(judgement, tuple) and len(judgement) > 0) == holds(require)
    assert isinstance(judgement, Refusal) != holds(require)
