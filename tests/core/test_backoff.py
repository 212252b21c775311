from __future__ import annotations

from random import Random

from gateway_core.backoff import Backoff


def test_delays_double_up_to_the_longest_and_restart_after_a_success() -> None:
    backoff = Backoff(Random(1), first=0.1, longest=10.0)

    taken = [backoff.next_delay() for _ in range(12)]
    for number, pause in enumerate(taken):
        whole = min(0.1 * 2**number, 10.0)
        assert whole / 2 <= pause <= whole

    backoff.reset()
    assert backoff.next_delay() <= 0.1


def test_what_the_server_asks_for_is_kept() -> None:
    assert Backoff(Random(1)).next_delay(at_least=7.0) == 7.0


def test_two_gateways_do_not_come_at_once() -> None:
    assert Backoff(Random(1)).next_delay() != Backoff(Random(2)).next_delay()
