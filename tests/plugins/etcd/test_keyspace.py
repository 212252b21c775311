from __future__ import annotations

import pytest
from gateway_plugin_etcd.keyspace import Keyspace, Scope
from gateway_plugin_etcd.wire import Deleted, Event, KeyValue
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("prefix", ["/gateway", "/gateway/", "/gateway//"])
@pytest.mark.parametrize(
    ("key", "is_in"),
    [
        (b"/gateway/a", True),
        (b"/gateway/", True),
        (b"/gateway/\xff\xff", True),
        (b"/gateway", False),
        (b"/gateway-2/a", False),
        (b"/gateway0", False),
        (b"/", False),
    ],
)
def test_a_prefix_ends_at_a_slash(prefix: str, key: bytes, is_in: bool) -> None:
    assert (key in Scope.below(prefix)) is is_in


def test_one_key_is_a_scope() -> None:
    scope = Scope.exactly("/gateway.yaml")

    assert b"/gateway.yaml" in scope
    assert b"/gateway.yaml2" not in scope
    assert scope.relative(b"/gateway.yaml") == b"/gateway.yaml"


def test_names_are_relative_to_the_prefix() -> None:
    assert Scope.below("/services/users").relative(b"/services/users/a/b") == b"a/b"


def test_an_event_that_was_seen_changes_nothing() -> None:
    keyspace = Keyspace(Scope.below("/a"))
    keyspace.replace([KeyValue(b"/a/1", b"new", 5)])

    assert not keyspace.apply([KeyValue(b"/a/1", b"old", 4), Deleted(b"/a/1", 4), KeyValue(b"/b", b"x", 9)])
    assert not keyspace.apply([Deleted(b"/a/2", 6)])
    assert keyspace.apply([Deleted(b"/a/1", 6)])
    assert keyspace.sorted() == []


def test_a_listing_keeps_the_objects_that_did_not_change() -> None:
    keyspace = Keyspace(Scope.below("/a"))
    keyspace.replace([KeyValue(b"/a/1", b"x", 5)])
    (before,) = keyspace.sorted()

    assert not keyspace.replace([KeyValue(b"/a/1", b"x", 5)])
    assert keyspace.sorted()[0] is before
    assert keyspace.replace([])


keys = st.sampled_from([b"/a/1", b"/a/2", b"/a/3"])
changes = st.lists(st.tuples(keys, st.none() | st.binary(max_size=2)), max_size=30)


@given(changes=changes, listed_at=st.integers(0, 30))
def test_a_listing_and_the_events_after_it_are_the_whole_history(
    changes: list[tuple[bytes, bytes | None]], listed_at: int
) -> None:
    events: list[Event] = [
        Deleted(key, revision) if value is None else KeyValue(key, value, revision)
        for revision, (key, value) in enumerate(changes, 1)
    ]
    whole, listed = Keyspace(Scope.below("/a")), Keyspace(Scope.below("/a"))
    whole.apply(events)
    early = Keyspace(Scope.below("/a"))
    early.apply(events[:listed_at])

    listed.replace(early.sorted())
    listed.apply(events[listed_at:])

    assert listed.sorted() == whole.sorted()
