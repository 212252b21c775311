from __future__ import annotations

import asyncio

import pytest
from gateway_plugin_kubernetes.api import Object
from gateway_plugin_kubernetes.mirror import Mirror


def thing(name: str, value: int) -> Object:
    return {"metadata": {"namespace": "shop", "name": name}, "value": value}


@pytest.fixture
def changed() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def mirror(changed: asyncio.Event) -> Mirror[int]:
    return Mirror(lambda item: int(item["value"]), changed)


def test_what_is_the_same_as_before_is_no_change(mirror: Mirror[int], changed: asyncio.Event) -> None:
    mirror.replace(mirror.read([thing("a", 1), thing("b", 1)]))
    assert mirror.take() == {("shop", "a"), ("shop", "b")}
    changed.clear()

    mirror.put(thing("a", 1))
    mirror.replace(mirror.read([thing("b", 1), thing("a", 1)]))
    mirror.remove(thing("c", 1))
    mirror.note("")

    assert not changed.is_set()
    assert mirror.take() == set()


def test_what_changed_is_taken_once(mirror: Mirror[int], changed: asyncio.Event) -> None:
    mirror.replace(mirror.read([thing("a", 1), thing("b", 1)]))
    mirror.take()
    changed.clear()

    mirror.put(thing("a", 2))
    mirror.put(thing("a", 3))
    mirror.remove(thing("b", 1))

    assert changed.is_set()
    assert mirror.items == {("shop", "a"): 3}
    assert mirror.take() == {("shop", "a"), ("shop", "b")}


def test_an_empty_list_is_an_answer(mirror: Mirror[int], changed: asyncio.Event) -> None:
    mirror.replace({})

    assert mirror.is_listed
    assert changed.is_set()


def test_going_away_and_coming_back_are_changes(mirror: Mirror[int], changed: asyncio.Event) -> None:
    for failure in ("away", ""):
        changed.clear()
        mirror.note(failure)
        assert changed.is_set()
