from __future__ import annotations

import math
from typing import Any

import pytest
from gateway_tokens.claims import ClaimPolicy, claims_problem, type_problem, valid_until
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("claims", "policy", "problem"),
    [
        ({}, {}, None),
        ({"exp": NOW + 1}, {}, None), ({"exp": NOW}, {}, "expired"), ({"exp": NOW - 9}, {"leeway": 10}, None),
        ({"exp": NOW - 10}, {"leeway": 10}, "expired"),
        ({"nbf": NOW}, {}, None), ({"nbf": NOW + 1}, {}, "not-yet-valid"), ({"nbf": NOW + 10}, {"leeway": 10}, None),
        ({"iat": NOW}, {}, None), ({"iat": NOW + 1}, {}, "issued-in-the-future"), ({"iat": NOW + 1}, {"leeway": 1},
        None),
        ({"exp": NOW + 60}, {"max_lifetime": 60}, None), ({"exp": NOW + 61}, {"max_lifetime": 60}, "lives-too-long"),
        ({}, {"max_lifetime": 60}, "lives-too-long"),
        ({"iat": NOW - 60}, {"max_age": 60}, None), ({"iat": NOW - 61}, {"max_age": 60}, "too-old"), ({},
        {"max_age": 60}, "too-old"),
        ({"iss": "a"}, {"issuers": {"a", "b"}}, None), ({"iss": "c"}, {"issuers": {"a"}}, "issuer"), ({},
        {"issuers": {"a"}}, "issuer"),
        ({"aud": "a"}, {"audiences": {"a"}}, None), ({"aud": ["x", "a"]}, {"audiences": {"a", "b"}}, None),
        ({"aud": ["a"]}, {"audiences": {"a", "b"}, "all_audiences": True}, "audience"),
        ({"aud": ["a", "b"]}, {"audiences": {"a", "b"}, "all_audiences": True}, None),
        ({"aud": []}, {"audiences": {"a"}}, "audience"), ({}, {"audiences": {"a"}}, "audience"), ({"aud": "ab"},
        {"audiences": {"a"}}, "audience"),
        ({"jti": "1"}, {"required": ("jti", "sub")}, "claim-missing"), ({"x": None}, {"required": ("x",)}, None),
        ({"x": None}, {"forbidden": ("x",)}, "claim-forbidden"), ({"y": 1}, {"forbidden": ("x",)}, None),
    ],
)  # fmt: skip
def test_registered_claims(claims: dict[str, Any], policy: dict[str, Any], problem: str | None) -> None:
    made: dict[str, Any] = {
        name: frozenset(value) if isinstance(value, set) else value for name, value in policy.items()
    }

    assert claims_problem(claims, ClaimPolicy(**made), NOW) == problem


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", [None, "1", True, [], {}, math.inf, -math.inf, math.nan])
def test_dates_are_numbers(name: str, value: object) -> None:
    assert claims_problem({name: value}, ClaimPolicy(), NOW) == "malformed-claim"


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", [10**400, -(10**400), 1e300, -1e300])
def test_numbers_that_are_no_dates_are_refused(name: str, value: float) -> None:
    policy = ClaimPolicy(leeway=1.5, max_age=5.5, max_lifetime=5.5)

    assert claims_problem({name: value}, policy, NOW) == "malformed-claim"


@pytest.mark.parametrize(
    ("header", "problem"),
    [({"typ": "at+jwt"}, None), ({"typ": "application/AT+JWT"}, None), ({"typ": "JWT"}, "type"), ({}, "type"),
    ({"typ": 5}, "type")],
)  # fmt: skip
def test_the_type_of_a_token(header: dict[str, Any], problem: str | None) -> None:
    assert type_problem(header, {"at+jwt"}) == problem
    assert type_problem(header, set()) is None


numbers = st.floats(0, 2e6) | st.integers(0, 2_000_000)


@given(st.fixed_dictionaries({}, optional={"exp": numbers, "iat": numbers}), st.floats(0, 100), st.floats(0, 1e6))
def test_an_accepted_token_is_accepted_until_exactly_its_end(claims: Any, leeway: float, max_age: float) -> None:
    policy = ClaimPolicy(leeway=leeway, max_age=max_age)
    if claims_problem(claims, policy, NOW) is not None:
        return

    end = valid_until(claims, policy)

    if math.isfinite(end):
        assert claims_problem(claims, policy, end + 0.001) is not None
        assert claims_problem(claims, policy, max(NOW, end - 0.001)) is None


def test_a_number_is_a_subject_only_by_switch() -> None:
    numeric = ClaimPolicy(numeric_subject=True)

    assert claims_problem({"sub": 4711}, ClaimPolicy(), NOW) == "malformed-claim"
    assert claims_problem({"sub": 4711}, numeric, NOW) is None
    for value in (True, 1.5, None, ["a"]):
        assert claims_problem({"sub": value}, numeric, NOW) == "malformed-claim"
    assert claims_problem({"iss": 4711}, numeric, NOW) == "malformed-claim"


def test_a_tenant_is_listed_and_the_one_of_the_issuer() -> None:
    tenants = {"https://a/t1": "t1", "https://a/t2": "t2"}
    policy = ClaimPolicy(issuers=frozenset({*tenants, "https://b"}), tenants=tenants)

    assert claims_problem({"iss": "https://a/t1", "tid": "t1"}, policy, NOW) is None
    for tenant in ("t2", "t3", None, 1):
        assert claims_problem({"iss": "https://a/t1", "tid": tenant}, policy, NOW) == "tenant"
    assert claims_problem({"iss": "https://a/t1"}, policy, NOW) == "tenant"
    assert claims_problem({"iss": "https://a/t3", "tid": "t3"}, policy, NOW) == "issuer"
    assert claims_problem({"iss": "https://b"}, policy, NOW) is None
