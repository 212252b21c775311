from __future__ import annotations

from gateway_plugin_acme.revision import Changes, changed_since, everything_changed
from hypothesis import given
from hypothesis import strategies as st

KEYS = st.sampled_from(["a-1", "b-2", "c-3"])


@given(st.lists(KEYS, min_size=1, max_size=200), st.data())
def test_a_reader_learns_of_each_change_since_it_read_last(keys: list[str], data: st.DataObject) -> None:
    changes = Changes()
    revisions = [changes.add(key) for key in keys]
    before = data.draw(st.integers(0, len(keys) - 1))
    now = data.draw(st.integers(before, len(keys) - 1))

    changed = changed_since(revisions[before], revisions[now])

    if now - before < 64:
        assert changed == frozenset(keys[before + 1 : now + 1])
    else:
        assert changed is None


def test_after_another_process_or_a_command_has_written_everything_is_read() -> None:
    first, second = Changes(), Changes()
    before, after = first.add("a-1"), second.add("b-2")

    assert changed_since(None, None) == frozenset()
    assert changed_since(None, before) is None
    assert changed_since(before, None) is None
    assert changed_since(before, after) is None
    assert changed_since(before, everything_changed()) is None
    assert changed_since(everything_changed(), second.add("c-3")) is None


@given(st.binary(max_size=40))
def test_a_revision_that_says_nothing_has_everything_read(garbage: bytes) -> None:
    assert changed_since(Changes().add("a-1"), garbage) is None
