from __future__ import annotations

import pytest
from gateway_core.messages.grpc_status import GrpcCode
from gateway_core.upstreams.outcome import (
    BLAMELESS,
    FIRST_STATUS,
    Outcome,
    code_of,
    grpc_outcome,
    is_server_error,
    status_of,
)


def test_outcomes_and_statuses_do_not_overlap() -> None:
    assert max(Outcome) < FIRST_STATUS


@pytest.mark.parametrize(("outcome", "is_error"), [(Outcome.RESET, False), (200, False), (499, False), (500, True)])
def test_a_server_error_is_a_response(outcome: int, is_error: bool) -> None:
    assert is_server_error(outcome) is is_error


def test_what_the_client_or_this_machine_did_says_nothing_about_the_endpoint() -> None:
    assert {Outcome.ABANDONED, Outcome.LOCAL} == BLAMELESS


def test_calls_are_told_from_statuses_by_their_outcome() -> None:
    assert [code_of(grpc_outcome(code)) for code in GrpcCode] == list(GrpcCode)
    assert code_of(599) is code_of(Outcome.RESET) is None
    assert (status_of(404), status_of(Outcome.RESET)) == (404, Outcome.RESET)


def test_only_what_the_endpoint_is_to_blame_for_is_a_server_error() -> None:
    blamed = {code.name for code in GrpcCode if code and is_server_error(status_of(grpc_outcome(code)))}

    assert blamed == {"UNKNOWN", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
