from __future__ import annotations

from random import Random

from gateway_plugin_etcd.members import Members


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
