from __future__ import annotations

from gateway_core.messages import Attempt, Record


def test_a_record_begins_with_nothing_known() -> None:
    record = Record()

    assert (record.produced_by, record.upstream, record.aborted, record.error) == ("gateway", "", None, None)
    assert (record.bytes_received, record.bytes_sent, record.duration) == (0, 0, 0.0)
    assert record.upstream_duration is None
    assert list(record.attempts) == []


def test_what_is_noted_of_one_request_is_not_noted_of_another() -> None:
    first, second = Record(), Record()

    first.attempts = [Attempt("a", "responded", 200, 0.1)]
    first.upstream = "users"

    assert list(second.attempts) == []
    assert second.upstream == ""
