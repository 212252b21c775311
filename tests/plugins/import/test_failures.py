"""A failure begins with its place."""

from __future__ import annotations

from gateway_import.failures import CannotImportError, Origin


def test_a_failure_begins_with_its_place() -> None:
    assert str(CannotImportError(Origin("kong.yml", 3), "is broken")) == "kong.yml:3: is broken"
    assert str(CannotImportError(Origin("stdin"), "is empty")) == "stdin: is empty"
