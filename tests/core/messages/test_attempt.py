from __future__ import annotations

import pytest
from gateway_core.messages import Headers, UpstreamAttempt


@pytest.mark.parametrize("name", ["endpoint", "raw_path", "query_string", "host"])
def test_what_is_signed_is_final(name: str) -> None:
    attempt = UpstreamAttempt("e1", "/a", "b=c", "users.internal", Headers({"A": "1"}))

    with pytest.raises(TypeError, match=f"{name} of an attempt is final"):
        setattr(attempt, name, "other")
    with pytest.raises(TypeError, match="final"):
        delattr(attempt, name)

    assert (attempt.endpoint, attempt.raw_path, attempt.query_string, attempt.host) == (
        "e1", "/a", "b=c", "users.internal"
    )  # fmt: skip


def test_fields_may_be_changed_and_replaced() -> None:
    attempt = UpstreamAttempt("e1", "/a", "", "h", Headers({"A": "1"}))

    attempt.headers["B"] = "2"
    attempt.headers = Headers({"C": "3"})

    assert attempt.headers.items() == [("C", "3")]
