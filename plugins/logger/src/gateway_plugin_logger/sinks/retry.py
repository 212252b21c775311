"""Whether a batch is sent again: a decision over values."""

from __future__ import annotations

from gateway_plugin_logger.config.sinks import Retries


class DeliveryError(Exception):
    """A batch that was not taken, and may be sent again."""

    def __init__(self, why: str, *, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after
        """Seconds that the other side asked us to wait."""


class RejectedError(Exception):
    """A batch that the other side will never take."""


def gives_up(retries: Retries, *, attempts: int, age: float, delay: float) -> bool:
    """Return whether a batch is dropped rather than sent again.

    :param attempts: attempts so far, at least 1.
    :param age: seconds since the first attempt began.
    :param delay: seconds until the next attempt.
    """
    return bool(retries.max_attempts and attempts >= retries.max_attempts) or age + delay >= retries.give_up_after
