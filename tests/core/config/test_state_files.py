"""Files of the state directory may hold anything: reading them fails in the two ways that their callers handle."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_core.admin.tokens import TokenFile, TokenFileError, make_token
from gateway_core.config import Document
from gateway_core.config.api_document import ApiDocument, StoredObject
from gateway_core.config.api_document_store import DocumentStore
from gateway_core.config.state_files import take_state
from gateway_core.private_files import write_private
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.reload.last_good import FORMAT, LastBundle, LastGood
from gateway_core.reload.overrides import Override, OverrideStore
from gateway_core.reload.versions import Pin, VersionStore
from hypothesis import given
from hypothesis import strategies as st

BUNDLE = ConfigBundle("v1", (b"{}", b'{"routes": []}'), 2, {"auth": "1"})

Read = Callable[[], object]


def tokens(state: Path) -> tuple[Path, Read]:
    file = TokenFile(state)
    file.change(lambda kept: [*kept, make_token("ops", "viewer", 1.0, lifetime=5.0)[1]])
    return file.path, TokenFile(state).load


def api_document(state: Path) -> tuple[Path, Read]:
    store = DocumentStore(state, ["a"])
    stored = StoredObject(1, {"id": "a", "path": "/a"})
    write_private(store.path, ApiDocument(1, {"a": stored}, {}).to_plain())
    return store.path, store.load


def overrides(state: Path) -> tuple[Path, Read]:
    store = OverrideStore(state, ["a"])
    store.change(lambda kept: (*kept, Override("log-level", "debug", "ops", 1.0, 2.0)))
    return store.path, OverrideStore(state, ["a"]).load


def documents(state: Path) -> tuple[Path, Read]:
    store = LastGood(state, ["one"])
    store.save([[Document("etcd://h/a.yaml", "routes: []")]])
    return store.path, store.load


def in_force(state: Path) -> tuple[Path, Read]:
    last = LastBundle(state, [Path("a")], is_used=True)
    write_private(last.path, {"format": FORMAT, **BUNDLE.to_plain()})
    return last.path, last._load


def versions(state: Path) -> tuple[Path, Read]:
    store = VersionStore(state, ["a"])
    store.keep(BUNDLE, 1.0, "start", "all")
    store.set_pin(Pin(1, "ops", 2.0))
    return store.folder / "table.json", VersionStore(state, ["a"]).entries


KINDS = [tokens, api_document, overrides, documents, in_force, versions]

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container of a value with each key in it."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield value, key
        yield from places(item)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_file_in_which_any_value_is_another_one_is_read_or_an_error(kind: Any, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, read = kind(Path(folder))
        content = json.loads(path.read_text())
        container, key = data.draw(st.sampled_from(list(places(content))))
        container[key] = data.draw(plain)
        path.write_text(json.dumps(content))

        with contextlib.suppress(OSError, ValueError, TokenFileError):
            read()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"[" * 100_000, b'"', b"[1]", b"{}", b"\xff\xfe", b"1e999"], ids=range(8)
)
def test_a_file_that_is_no_object_at_all_is_an_error(kind: Any, content: bytes, tmp_path: Path) -> None:
    path, read = kind(tmp_path)
    assert read()
    path, read = kind(tmp_path / "damaged")
    path.write_bytes(content)

    with pytest.raises((ValueError, TokenFileError)):
        read()


def test_what_is_damaged_is_said() -> None:
    with pytest.raises(ValueError, match="it is damaged: KeyError"):
        take_state(b"{}", lambda plain: plain["format"])
