from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from gateway_plugin_logger.config import Queue
from gateway_plugin_logger.sinks.retry import DeliveryError, RejectedError
from gateway_plugin_logger.sinks.sender import Sender


class Receiver:
    """Takes batches, one after the other, as it is told."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.batches: list[list[str]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.under_way = self.most_under_way = 0

    async def deliver(self, lines: Sequence[str]) -> None:
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        try:
            await self.may_answer.wait()
            answer = self.answers.pop(0) if self.answers else None
            if answer is not None:
                raise answer
            self.batches.append(list(lines))
        finally:
            self.under_way -= 1


def make_sender(receiver: Receiver, counted: Any, **queue: Any) -> Sender:
    options = {"delay": "1m", "retries": {"initial_delay": "1ms", "max_delay": "1ms"}, **queue}
    sender = Sender(Queue.model_validate(options), receiver.deliver, counted.stats, counted.clock, "sink")
    sender.start()
    return sender


async def test_a_batch_goes_out_when_it_is_full(counted: Any, eventually: Any) -> None:
    receiver = Receiver()
    sender = make_sender(receiver, counted, batch_lines=3)

    for number in range(7):
        sender.extend([str(number)])
    await eventually(lambda: len(receiver.batches) == 2)

    assert receiver.batches == [["0", "1", "2"], ["3", "4", "5"]]
    await sender.aclose(30)
    assert receiver.batches[2:] == [["6"]]
    assert counted.lines == 7


async def test_a_batch_goes_out_when_it_is_heavy_and_a_heavy_line_is_a_batch(counted: Any) -> None:
    receiver = Receiver()
    sender = make_sender(receiver, counted, batch_bytes=1024)

    for size in (600, 600, 2000, 10):
        sender.extend(["x" * size])
    await sender.aclose(30)

    assert [[len(line) for line in batch] for batch in receiver.batches] == [[600], [600], [2000], [10]]


async def test_a_line_waits_for_others_no_longer_than_the_delay(counted: Any, eventually: Any) -> None:
    receiver = Receiver()
    sender = make_sender(receiver, counted, delay="1ms")

    sender.extend(["alone"])
    await eventually(lambda: receiver.batches)

    assert receiver.batches == [["alone"]]
    await sender.aclose(30)


async def test_a_batch_is_sent_again_until_it_is_taken(counted: Any) -> None:
    receiver = Receiver(DeliveryError("503"), DeliveryError("503", retry_after=0.002))
    sender = make_sender(receiver, counted)

    sender.extend(["a"])
    await sender.aclose(30)

    assert receiver.batches == [["a"]]
    assert (counted.retries, counted.lines) == (2, 1)


async def test_a_batch_that_is_refused_is_lost_and_the_next_is_sent(counted: Any) -> None:
    receiver = Receiver(RejectedError("400"))
    sender = make_sender(receiver, counted, batch_lines=1)

    sender.extend(["a"])
    sender.extend(["b"])
    await sender.aclose(30)

    assert receiver.batches == [["b"]]
    assert counted.dropped("rejected") == 1
    assert counted.retries == 0


async def test_a_batch_that_is_too_old_is_given_up(counted: Any) -> None:
    receiver = Receiver(DeliveryError("503"))
    sender = make_sender(receiver, counted, retries={"give_up_after": 0})

    sender.extend(["a"])
    await sender.aclose(30)

    assert counted.dropped("gave-up") == 1


async def test_a_batch_is_given_up_if_the_other_side_asks_for_a_delay_in_which_it_gets_too_old(counted: Any) -> None:
    receiver = Receiver(DeliveryError("503", retry_after=61.0))
    sender = make_sender(receiver, counted, retries={"initial_delay": "1ms", "give_up_after": "60s"})

    sender.extend(["a"])
    await sender.aclose(30)

    assert counted.dropped("gave-up") == 1


@pytest.mark.parametrize(("limits", "line"), [({"max_lines": 10}, "x"), ({"max_bytes": 1024}, "x" * 100)])
async def test_what_waits_is_bounded_and_what_is_too_much_is_counted(
    counted: Any, limits: dict[str, int], line: str
) -> None:
    receiver = Receiver()
    receiver.may_answer.clear()
    sender = make_sender(receiver, counted, batch_lines=2, **limits)

    for _ in range(25):
        sender.extend([line])
        await asyncio.sleep(0)
    receiver.may_answer.set()
    await sender.aclose(30)

    assert sum(map(len, receiver.batches)) == 10
    assert counted.dropped("overflow") == 15


async def test_a_stop_does_not_wait_for_ever_and_counts_what_is_lost(counted: Any) -> None:
    receiver = Receiver()
    receiver.may_answer.clear()
    sender = make_sender(receiver, counted, batch_lines=2)

    for _ in range(5):
        sender.extend(["x"])
    await sender.aclose(0.01)

    assert counted.dropped("stop") == 5
    assert receiver.under_way == 0


async def test_batches_under_way_at_once_are_as_many_as_configured(counted: Any, eventually: Any) -> None:
    receiver = Receiver()
    receiver.may_answer.clear()
    sender = make_sender(receiver, counted, batch_lines=1, concurrency=3)

    for number in range(9):
        sender.extend([str(number)])
    await eventually(lambda: receiver.under_way == 3)
    receiver.may_answer.set()
    await sender.aclose(30)

    assert receiver.most_under_way == 3
    assert sorted(batch[0] for batch in receiver.batches) == list("012345678")
