from __future__ import annotations

import pytest
from gateway_core.upstreams.outcome import Outcome, is_server_error, is_unanswered


@pytest.mark.parametrize(
    ("outcome", "server_error", "unanswered"),
    [
        (200, False, False),
        (404, False, False),
        (500, True, False),
        (Outcome.CONNECT_FAILURE, False, True),
        (Outcome.RESET, False, True),
        (Outcome.TIMEOUT, False, True),
        (Outcome.ABANDONED, False, False),
    ],
)
def test_an_abandoned_request_blames_nobody(outcome: int, server_error: bool, unanswered: bool) -> None:
    assert is_server_error(outcome) is server_error
    assert is_unanswered(outcome) is unanswered
