from __future__ import annotations

import pytest
from gateway_core.hooks.shared_store import SharedCall, SharedStore, SharedStoreFull, SharedStores
from hypothesis import given
from hypothesis import strategies as st

KEYS = st.sampled_from(["a", "b", "c"])
TTLS = st.one_of(st.none(), st.integers(1, 5).map(float))
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "add", "increment", "delete", "wait"]), KEYS, st.integers(-3, 300), TTLS),
    max_size=60,
)


@given(STEPS)
def test_a_store_agrees_with_a_dictionary_of_deadlines(steps: list[tuple[str, str, int, float | None]]) -> None:
    store, model, now = SharedStore(), dict[str, tuple[bytes, float | None]](), 0.0

    for operation, key, number, ttl in steps:
        model = {name: each for name, each in model.items() if each[1] is None or each[1] > now}
        deadline, value = None if ttl is None else now + ttl, b"%d" % number
        match operation:
            case "wait":
                now += 1
            case "put":
                store.put(key, value, ttl, now)
                model[key] = (value, deadline)
            case "add":
                assert store.add(key, value, ttl, now) is (key not in model)
                model.setdefault(key, (value, deadline))
            case "increment":
                old, kept = model.get(key, (b"0", deadline))
                assert store.increment(key, number, ttl, now) == int(old) + number
                model[key] = (b"%d" % (int(old) + number), kept)
            case "delete":
                store.delete(key, now)
                model.pop(key, None)

    alive = {name: value for name, (value, end) in model.items() if end is None or end > now}
    assert {name: store.get(name, now) for name in ("a", "b", "c") if store.get(name, now) is not None} == alive
    assert len(store) == len(alive)


def test_what_does_not_fit_changes_nothing() -> None:
    store = SharedStore(limit=1000)
    store.put("a", b"x" * 600, None, 0)

    for call in (lambda: store.put("b", b"x" * 500, None, 0), lambda: store.add("b", b"x" * 500, None, 0)):
        with pytest.raises(SharedStoreFull, match="no room for 'b'"):
            call()

    assert store.get("b", 0) is None
    store.put("a", b"y" * 1000, None, 0)
    with pytest.raises(SharedStoreFull):
        store.put("a", b"y" * 1001, None, 0)
    assert store.get("a", 0) == b"y" * 1000


def test_a_binding_may_have_eight_mebibytes_of_values() -> None:
    store = SharedStore()
    for number in range(8):
        store.put(str(number), bytes(1 << 20), None, 0)

    with pytest.raises(SharedStoreFull, match="8 MiB"):
        store.put("more", b"1", None, 0)


def test_the_number_of_keys_is_bounded_too() -> None:
    store = SharedStore(limit=1000)

    for number in range(15):
        store.put(str(number + 100)[1:], b"", None, 0)

    with pytest.raises(SharedStoreFull):
        store.put("15", b"", None, 0)


def test_what_has_expired_makes_room() -> None:
    store = SharedStore(limit=1000)
    store.put("a", b"x" * 900, 5, now=0)

    with pytest.raises(SharedStoreFull):
        store.put("b", b"x" * 900, None, now=4.9)
    store.put("b", b"x" * 900, None, now=5)

    assert store.get("a", 5) is None


def test_keys_that_are_written_again_and_again_do_not_pile_up() -> None:
    store = SharedStore()

    for now in range(10_000):
        store.put("a", b"", 60, float(now))

    assert len(store._expiring) < 200


@pytest.mark.parametrize("value", [b"", b"x", b"1.5", b" 1", b"1_0", b"9" * 30])
def test_only_numbers_are_incremented(value: bytes) -> None:
    store = SharedStore()
    store.put("a", value, None, 0)

    with pytest.raises(ValueError, match="'a' is not a number"):
        store.increment("a", 1, None, 0)
    assert store.get("a", 0) == value


def test_a_sum_beyond_64_bits_is_refused() -> None:
    store = SharedStore()
    store.increment("a", (1 << 63) - 1, None, 0)

    with pytest.raises(ValueError, match="64 bits"):
        store.increment("a", 1, None, 0)


def test_each_owner_has_its_own_and_those_that_are_gone_lose_theirs() -> None:
    stores = SharedStores()
    for owner in ("p:one", "p:two"):
        stores.apply(SharedCall(owner, "put", "k", owner.encode()), 0)

    stores.keep_only({"p:one"})

    assert stores.apply(SharedCall("p:one", "get", "k"), 0) == b"p:one"
    assert stores.apply(SharedCall("p:two", "get", "k"), 0) is None
    assert "p:two" not in stores


def test_a_dump_keeps_values_and_the_time_that_is_left() -> None:
    before, after = SharedStores(), SharedStores()
    before.apply(SharedCall("o", "put", "a", b"1", ttl=10), 100)
    before.apply(SharedCall("o", "put", "b", b"\xff"), 100)

    after.load(before.dump(104), 1000)

    assert after.apply(SharedCall("o", "get", "a"), 1005.9) == b"1"
    assert after.apply(SharedCall("o", "get", "a"), 1006) is None
    assert after.apply(SharedCall("o", "get", "b"), 9999) == b"\xff"
