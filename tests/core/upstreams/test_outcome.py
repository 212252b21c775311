from __future__ import annotations

import pytest
from gateway_core.upstreams.outcome import BLAMELESS, FIRST_STATUS, Outcome, is_server_error


def test_outcomes_and_statuses_do_not_overlap() -> None:
    assert max(Outcome) < FIRST_STATUS


@pytest.mark.parametrize(("outcome", "is_error"), [(Outcome.RESET, False), (200, False), (499, False), (500, True)])
def test_a_server_error_is_a_response(outcome: int, is_error: bool) -> None:
    assert is_server_error(outcome) is is_error


def test_what_the_client_or_this_machine_did_says_nothing_about_the_endpoint() -> None:
    assert {Outcome.ABANDONED, Outcome.LOCAL} == BLAMELESS
