from __future__ import annotations

from random import Random

from gateway_plugin_etcd.members import LONGEST_PAUSE, Members, pause_after


def test_members_take_turns() -> None:
    members = Members(["http://a/", "http://b"], Random(1))
    first = members.current

    members.leave(first)
    second = members.current
    members.leave(first)  # by somebody who was late

    assert {first, second} == {"http://a", "http://b"}
    assert members.current == second
    members.leave(second)
    assert members.current == first


def test_gateways_do_not_all_begin_with_the_same_member() -> None:
    assert {Members(["a", "b", "c"], Random(seed)).current for seed in range(30)} == {"a", "b", "c"}


def test_pauses_grow_with_jitter_up_to_a_limit() -> None:
    rng = Random(1)

    assert 0.05 <= pause_after(1, rng) <= 0.1
    assert 0.2 <= pause_after(3, rng) <= 0.4
    assert LONGEST_PAUSE / 2 <= pause_after(1000, rng) <= LONGEST_PAUSE
    assert len({pause_after(1000, rng) for _ in range(10)}) > 1
