from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.config.api_document import ApiDocument
from gateway_core.config.api_document_store import DocumentStore

DOCUMENT = ApiDocument().put("routes", "a", {"id": "a", "path": "/a"})


def test_a_document_is_there_for_the_next_process_with_the_same_configuration(tmp_path: Path) -> None:
    store = DocumentStore(tmp_path / "state", ["gateway.yaml"])
    assert (store.load(), store.document()) == (ApiDocument(), None)

    store.save(DOCUMENT)

    assert DocumentStore(tmp_path / "state", ["gateway.yaml"]).load() == DOCUMENT
    assert DocumentStore(tmp_path / "state", ["other.yaml"]).load() == ApiDocument()
    assert store.path.stat().st_mode & 0o777 == 0o600


def test_another_document_is_validated_while_it_is_tried(tmp_path: Path) -> None:
    store = DocumentStore(tmp_path, [])

    with store.trying(DOCUMENT):
        tried = store.document()
    assert tried is not None
    assert (tried.name, tried.text, tried.rights, tried.directory) == (
        str(store.path),
        DOCUMENT.text(),
        frozenset(),
        None,
    )
    assert store.document() is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 9}'])
def test_a_damaged_document_is_an_error_and_no_empty_one(tmp_path: Path, content: str) -> None:
    store = DocumentStore(tmp_path, [])
    store.path.write_text(content)

    with pytest.raises(ValueError, match=r"damaged|another version|Expecting"):
        store.load()


def test_a_document_that_anyone_may_write_is_refused(tmp_path: Path) -> None:
    store = DocumentStore(tmp_path, [])
    store.save(DOCUMENT)
    store.path.chmod(0o666)

    with pytest.raises(PermissionError):
        DocumentStore(tmp_path, []).load()


def test_whether_it_can_be_kept_is_known_before(tmp_path: Path) -> None:
    DocumentStore(tmp_path / "state", []).check_writable()
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="directory"):
        DocumentStore(tmp_path / "file" / "state", []).check_writable()


def test_gateways_of_one_configuration_do_not_overwrite_each_other(tmp_path: Path) -> None:
    one, other = DocumentStore(tmp_path, ["a"]), DocumentStore(tmp_path, ["a"])
    assert one.load() == other.load() == ApiDocument()
    first = ApiDocument().put("routes", "a", {"id": "a"})
    one.save(first)

    with pytest.raises(OSError, match="another gateway"):
        other.save(ApiDocument().put("routes", "b", {"id": "b"}))

    assert other.load() == first
    second = first.put("routes", "b", {"id": "b"})
    other.save(second)
    assert one.load() == second


def test_a_directory_that_cannot_be_entered_is_not_one_without_a_document(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.symlink_to(state)

    with pytest.raises(OSError, match="symbolic links"):
        DocumentStore(state, ["gateway.yaml"]).document()
