"""When a batch is tried again: a decision over values."""

from __future__ import annotations

from gateway_plugin_logger.config.sinks import Retries


class DeliveryError(Exception):
    """A batch that was not taken, and may be tried again."""

    def __init__(self, why: str, *, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after
        """Seconds that the other side asked us to wait."""


class RejectedError(Exception):
    """A batch that the other side will never take."""


def next_delay(
    retries: Retries, *, tries: int, age: float, asked: float | None = None, chance: float = 1.0
) -> float | None:
    """Return the seconds until the next try; None to give up.

    :param tries: tries so far, at least 1.
    :param age: seconds since the first try began.
    :param asked: seconds that the other side asked for; they count if they are longer.
    :param chance: from 0 to 1; 0 halves the delay, so that many gateways do not come back at once.
    """
    if retries.max_tries and tries >= retries.max_tries:
        return None
    delay = min(retries.max_delay, retries.initial_delay * 2 ** min(tries - 1, 32)) * (0.5 + 0.5 * chance)
    if asked is not None and asked > delay:
        delay = asked
    return delay if age + delay < retries.give_up_after else None
