from __future__ import annotations

import asyncio

import pytest
from gateway_plugin_kubernetes.api import Object
from gateway_plugin_kubernetes.store import Store


def thing(name: str, value: int) -> Object:
    return {"metadata": {"namespace": "shop", "name": name}, "value": value}


@pytest.fixture
def changed() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def store(changed: asyncio.Event) -> Store[int]:
    return Store(lambda item: int(item["value"]), changed)


def test_what_is_the_same_as_before_is_no_change(store: Store[int], changed: asyncio.Event) -> None:
    store.replace(store.read([thing("a", 1), thing("b", 1)]))
    assert store.take() == {("shop", "a"), ("shop", "b")}
    changed.clear()

    store.put(thing("a", 1))
    store.replace(store.read([thing("b", 1), thing("a", 1)]))
    store.remove(thing("c", 1))
    store.note("")

    assert not changed.is_set()
    assert store.take() == set()


def test_what_changed_is_taken_once(store: Store[int], changed: asyncio.Event) -> None:
    store.replace(store.read([thing("a", 1), thing("b", 1)]))
    store.take()
    changed.clear()

    store.put(thing("a", 2))
    store.put(thing("a", 3))
    store.remove(thing("b", 1))

    assert changed.is_set()
    assert store.items == {("shop", "a"): 3}
    assert store.take() == {("shop", "a"), ("shop", "b")}


def test_an_empty_list_is_an_answer(store: Store[int], changed: asyncio.Event) -> None:
    store.replace({})

    assert store.is_listed
    assert changed.is_set()


def test_going_away_and_coming_back_are_changes(store: Store[int], changed: asyncio.Event) -> None:
    for failure in ("away", ""):
        changed.clear()
        store.note(failure)
        assert changed.is_set()
