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


def test_a_query_parameter_takes_the_place_of_every_one_of_its_name() -> None:
    attempt = UpstreamAttempt("e1", "/a", "b=c&%6bey=1&key=2&keys=3", "h", Headers())

    attempt.set_query_parameter("key", "a b&c")

    assert attempt.query_string == "b=c&keys=3&key=a+b%26c"
    assert attempt.raw_path == "/a"


def test_every_observer_is_told_the_status_and_one_is_enough_to_ask() -> None:
    attempt, seen = UpstreamAttempt("e1", "/a", "", "h", Headers()), list[int]()
    assert not attempt.observes_status()

    def asks(status: int) -> bool:
        seen.append(status)
        return len(seen) == 2

    for _ in range(3):
        attempt.on_status(asks)

    assert attempt.observes_status()
    assert attempt.note_status(401)
    assert seen == [401] * 3
    assert not attempt.copy().observes_status()
