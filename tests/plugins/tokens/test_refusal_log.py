from __future__ import annotations

import logging
from typing import Any

import pytest
from gateway_tokens.refusal_log import RefusalLog


def test_a_reason_has_one_line_a_second_with_the_number_of_the_others() -> None:
    log = RefusalLog()

    assert [log.take("a", now) for now in (0.0, 0.1, 0.9, 1.0, 1.5, 9.0, 99.0)] == [0, None, None, 2, None, 1, 0]
    assert log.take("b", 0.1) == 0


async def test_the_log_says_where_which_and_why(make_gate: Any, secret: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    gate = await make_gate(secret=secret)

    for _ in range(5):
        await gate.visit("hidden.token.x")
    gate.clock.advance(1)
    await gate.visit("hidden.token.x")

    first, last = (call.request.request_id for call in (gate.calls[0], gate.calls[-1]))
    assert caplog.messages == [
        f"auth of route 'test' refused {first}: malformed",
        f"auth of route 'test' refused {last}: malformed, and 4 others for this reason before",
    ]
