from __future__ import annotations

import asyncio

import pytest
from gateway_plugin_kubernetes.api import Object
from gateway_plugin_kubernetes.store import Changes, Store


def thing(name: str, value: int) -> Object:
    return {"metadata": {"namespace": "shop", "name": name}, "value": value}


@pytest.fixture
def changed() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def store() -> Store[int]:
    """Things whose topic is ``even`` or ``odd``."""
    return Store(lambda item: int(item["value"]), lambda _, value: "odd" if value % 2 else "even")


@pytest.fixture
def reader(store: Store[int], changed: asyncio.Event) -> Changes:
    return store.subscribe(changed)


def test_what_is_the_same_as_before_is_no_change(store: Store[int], reader: Changes, changed: asyncio.Event) -> None:
    store.replace(store.read([thing("a", 1), thing("b", 1)]))
    assert reader.take() == {("shop", "a"), ("shop", "b")}
    changed.clear()

    store.put(thing("a", 1))
    store.replace(store.read([thing("b", 1), thing("a", 1)]))
    store.remove(thing("c", 1))
    store.note("")

    assert not changed.is_set()
    assert reader.take() == set()


def test_what_changed_is_taken_once(store: Store[int], reader: Changes, changed: asyncio.Event) -> None:
    store.replace(store.read([thing("a", 1), thing("b", 1)]))
    reader.take()
    changed.clear()

    store.put(thing("a", 2))
    store.put(thing("a", 3))
    store.remove(thing("b", 1))

    assert changed.is_set()
    assert store.items == {("shop", "a"): 3}
    assert reader.take() == {("shop", "a"), ("shop", "b")}


def test_an_empty_list_is_an_answer(store: Store[int], reader: Changes, changed: asyncio.Event) -> None:
    store.replace({})

    assert store.is_listed
    assert changed.is_set()


def test_going_away_and_coming_back_are_changes(store: Store[int], reader: Changes, changed: asyncio.Event) -> None:
    for failure in ("away", ""):
        changed.clear()
        store.note(failure)
        assert changed.is_set()


def test_each_reader_is_told_of_its_topic_only_also_when_an_item_leaves_it(store: Store[int]) -> None:
    readers = {topic: store.subscribe(asyncio.Event(), topic) for topic in ("odd", "even", None)}

    def told() -> dict[str | None, set[str]]:
        for reader in readers.values():
            assert reader.changed.is_set() is bool(reader.keys)
            reader.changed.clear()
        return {topic: {name for _, name in reader.take()} for topic, reader in readers.items()}

    store.replace(store.read([thing("a", 1), thing("b", 2)]))
    assert told() == {"odd": {"a"}, "even": {"b"}, None: {"a", "b"}}
    store.put(thing("a", 3))
    assert told() == {"odd": {"a"}, "even": set(), None: {"a"}}
    store.put(thing("a", 4))
    assert told() == {"odd": {"a"}, "even": {"a"}, None: {"a"}}
    store.remove(thing("b", 2))
    assert told() == {"odd": set(), "even": {"b"}, None: {"b"}}


def test_a_reader_who_comes_later_has_everything_to_take(store: Store[int], changed: asyncio.Event) -> None:
    store.replace(store.read([thing("a", 1), thing("b", 2)]))

    late = store.subscribe(changed, "odd")

    assert changed.is_set()
    assert late.take() == {("shop", "a")}
    store.unsubscribe(late)
    store.put(thing("a", 5))
    assert late.take() == set()
