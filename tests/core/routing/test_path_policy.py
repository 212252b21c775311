from __future__ import annotations

from typing import Any

import pytest
from gateway_core.errors import BadPathError
from gateway_core.messages.path import read_path
from gateway_core.routing import DEFAULT_POLICY, PathPolicy, arrival_policy
from hypothesis import given
from hypothesis import strategies as st

POLICIES = st.builds(
    PathPolicy,
    encoded_slash=st.sampled_from(["reject", "keep"]),
    encoded_backslash=st.sampled_from(["reject", "keep"]),
    duplicate_slash=st.sampled_from(["keep", "merge", "reject"]),
    invalid_utf8=st.sampled_from(["reject", "keep"]),
)
PATHS = st.lists(st.sampled_from(["/", "a", ";", "%2F", "%5C", "%ff"]), max_size=8).map(
    lambda parts: "/" + "".join(parts)
)


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ("/a%2Fb", "encoded_slash"),
        ("/a%5cb", "encoded_backslash"),
        ("/a%ff", "invalid_utf8"),
    ],
)
def test_each_key_decides_on_its_own_and_is_named_when_it_refuses(raw: str, key: str) -> None:
    settings: dict[str, Any] = {key: "keep"}

    with pytest.raises(BadPathError, match=rf"path_policy\.{key}$"):
        DEFAULT_POLICY.read(raw)
    assert PathPolicy(**settings).read(raw) == read_path(raw)


def test_runs_of_slashes_are_sent_on_merged_or_refused() -> None:
    raw = "/a//b/;x///c"

    assert PathPolicy().sent(raw) == raw
    assert PathPolicy(duplicate_slash="merge").sent(raw) == "/a/b/;x/c"
    with pytest.raises(BadPathError, match=r"path has '//': path_policy\.duplicate_slash"):
        PathPolicy(duplicate_slash="reject").read(raw)
    with pytest.raises(BadPathError, match="duplicate_slash"):
        PathPolicy(duplicate_slash="reject").read("/;x/admin")


@given(POLICIES, PATHS)
def test_what_goes_upstream_never_begins_with_two_slashes_and_matches_the_same(policy: PathPolicy, raw: str) -> None:
    sent = policy.sent(raw)

    assert not sent.startswith("//")
    assert read_path(sent)[0] == read_path(raw)[0]


@given(st.lists(POLICIES, min_size=1, max_size=3), PATHS)
def test_on_arrival_is_refused_only_what_no_policy_allows(policies: list[PathPolicy], raw: str) -> None:
    _, flags = read_path(raw)
    arrival = arrival_policy(policies)

    kept = [policy for policy in policies if policy.problem(flags) is None]
    if kept:
        assert arrival.problem(flags) is None
    for name in ("%2F", "%5C", "%ff"):
        _, flag = read_path("/" + name)
        assert (arrival.problem(flag) is None) == any(policy.problem(flag) is None for policy in policies)


def test_case_is_the_documents() -> None:
    assert arrival_policy([PathPolicy(case="insensitive"), PathPolicy()]).read("/Admin") == ("/admin", 0)
