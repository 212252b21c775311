from __future__ import annotations

from random import Random

from gateway_core.pauses import Pauses


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_success() -> None:
    pauses = Pauses(Random(1), first=0.1, longest=10.0)

    taken = [pauses.take() for _ in range(12)]
    for number, pause in enumerate(taken):
        whole = min(0.1 * 2**number, 10.0)
        assert whole / 2 <= pause <= whole

    pauses.reset()
    assert pauses.take() <= 0.1


def test_what_the_server_asks_for_is_kept() -> None:
    assert Pauses(Random(1)).take(at_least=7.0) == 7.0


def test_two_gateways_do_not_come_at_once() -> None:
    assert Pauses(Random(1)).take() != Pauses(Random(2)).take()
