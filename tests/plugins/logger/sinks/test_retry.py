from __future__ import annotations

from gateway_plugin_logger.config import Retries
from gateway_plugin_logger.sinks.retry import gives_up


def test_a_batch_is_given_up_when_its_next_attempt_would_be_too_late() -> None:
    minute = Retries.model_validate({"give_up_after": "60s"})

    assert not gives_up(minute, attempts=9, age=54.9, delay=5.0)
    assert gives_up(minute, attempts=9, age=55.0, delay=5.0)
    assert gives_up(minute, attempts=1, age=0.0, delay=61.0)
    assert gives_up(Retries.model_validate({"give_up_after": 0}), attempts=1, age=0.0, delay=0.1)


def test_a_batch_is_given_up_after_so_many_attempts() -> None:
    thrice = Retries.model_validate({"max_attempts": 3})

    assert not gives_up(thrice, attempts=2, age=0.0, delay=0.1)
    assert gives_up(thrice, attempts=3, age=0.0, delay=0.1)
