from __future__ import annotations

from gateway_plugin_ratelimit.stores.leases import Leases


def test_members_are_unique_over_gateways() -> None:
    one, other = Leases(30.0), Leases(30.0)

    assert len({one.new_member(), one.new_member(), other.new_member(), other.new_member()}) == 4


def test_what_is_held_is_renewed_until_it_is_given_back() -> None:
    leases = Leases(30.0)
    give_back = leases.hold("m1", ["a", "b"])
    leases.hold("m2", ["a"])
    assert [(call.keys, "m1" in call.words) for call in leases.renewals()] == [
        (["a"], True),
        (["b"], True),
        (["a"], False),
    ]

    give_back()

    assert [call.keys for call in leases.renewals()] == [["a"]]
    assert leases.returned == [("a", "m1"), ("b", "m1")]
