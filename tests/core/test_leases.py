from __future__ import annotations

import pytest
from gateway_core.leases import Lease, LeaseHolder, Leases
from hypothesis import given
from hypothesis import strategies as st


class Thing:
    def __init__(self, log: list[str] | None = None, name: str = "thing", *, fails: bool = False) -> None:
        self.log = [] if log is None else log
        self.name = name
        self.fails = fails

    async def aclose(self) -> None:
        self.log.append(self.name)
        if self.fails:
            raise RuntimeError(self.name)


def test_the_same_key_gives_the_same_value_while_a_lease_is_held() -> None:
    leases: Leases[str, Thing] = Leases()

    old = leases.acquire("a", Thing)
    new = leases.acquire("a", Thing)
    assert old.release() is None
    third = leases.acquire("a", Thing)

    assert old.value is new.value is third.value
    assert (old.is_new, new.is_new, third.is_new) == (True, False, False)


def test_the_last_release_returns_what_to_close() -> None:
    leases: Leases[str, Thing] = Leases()
    first, second = leases.acquire("a", Thing), leases.acquire("a", Thing)

    assert first.release() is None
    assert first.release() is None, "a second release of the same lease does nothing"
    assert "a" in leases

    assert second.release() is second.value
    assert "a" not in leases


def test_a_value_that_is_being_closed_is_not_handed_out_again() -> None:
    leases: Leases[str, Thing] = Leases()
    old = leases.acquire("a", Thing)
    old.release()

    assert leases.acquire("a", Thing).value is not old.value


def test_a_factory_that_fails_leaves_nothing_behind() -> None:
    leases: Leases[str, Thing] = Leases()

    with pytest.raises(ZeroDivisionError):
        leases.acquire("a", lambda: Thing(name=str(1 // 0)))

    assert len(leases) == 0
    assert leases.acquire("a", Thing).is_new


async def test_a_holder_closes_in_reverse_order_and_despite_failures() -> None:
    leases: Leases[str, Thing] = Leases()
    log: list[str] = []
    holder = LeaseHolder()
    for name in "abc":
        holder.hold(leases.acquire(name, lambda name=name: Thing(log, name, fails=name == "b")))  # type: ignore[misc]
    kept = leases.acquire("a", Thing)

    with pytest.raises(ExceptionGroup) as caught:
        await holder.aclose()

    assert log == ["c", "b"]
    assert [str(e) for e in caught.value.exceptions] == ["b"]
    assert kept.value.name == "a"


async def test_a_value_without_aclose_is_just_forgotten() -> None:
    leases: Leases[str, int] = Leases()

    await leases.acquire("a", lambda: 1).aclose()

    assert len(leases) == 0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=40))
def test_a_value_lives_exactly_as_long_as_somebody_holds_it(steps: list[tuple[str, bool]]) -> None:
    leases: Leases[str, Thing] = Leases()
    held: dict[str, list[Lease[Thing]]] = {"a": [], "b": []}

    for key, takes in steps:
        if takes:
            lease = leases.acquire(key, Thing)
            assert lease.is_new is (not held[key])
            held[key].append(lease)
        elif held[key]:
            lease = held[key].pop()
            assert (lease.release() is not None) is (not held[key])
        assert all((key in leases) is bool(held[key]) for key in held)
        assert all(len({id(lease.value) for lease in group}) <= 1 for group in held.values())
