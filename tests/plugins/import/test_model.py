"""Names are unique, findings stand once, and a guard that is lost closes its routes."""

from __future__ import annotations

import pytest
from gateway_import.failures import Origin
from gateway_import.model import Imported, Route, clean_id

HERE = Origin("kong.yml", 7)


@pytest.fixture
def imported() -> Imported:
    return Imported("Kong 3.0", "kong.yml")


def test_a_guard_that_is_lost_closes_its_routes_and_no_other(imported: Imported) -> None:
    guarded, other = Route("a", {}, HERE), Route("b", {}, HERE)

    finding = imported.lose_guard(HERE, "plugin 'x'", "there is none here", "write one", [guarded])
    imported.close(guarded, finding)

    assert (guarded.is_closed, other.is_closed, guarded.closed_by) == (True, False, [finding])
    assert str(finding) == "kong.yml:7: plugin 'x' (a guard: what it guarded is refused): there is none here; write one"


def test_notes_are_no_losses_and_a_finding_stands_once(imported: Imported) -> None:
    imported.note(HERE, "a", "b")
    imported.lose(HERE, "c", "d")
    imported.lose(HERE, "c", "d")

    assert ([each.what for each in imported.findings], [each.what for each in imported.lost]) == (["a", "c"], ["c"])


def test_names_are_unique_and_can_be_written(imported: Imported) -> None:
    assert [imported.route_id(name) for name in ("a b", "a b", "a-b", "ü", "")] == [
        "a-b", "a-b-2", "a-b-3", "route", "route-2",
    ]  # fmt: skip
    assert imported.upstream_name("a b") == "a-b"
    assert clean_id("x" * 500 + "\n", "x") == "x" * 100


def test_secrets_are_variables_and_their_values_are_kept_nowhere(imported: Imported) -> None:
    names = [imported.secret(name, "API key", HERE).name for name in ("kong key alice", "kong-key.Alice", "7", "ü")]

    assert names == ["KONG_KEY_ALICE", "KONG_KEY_ALICE_2", "SECRET_7", "SECRET"]
    assert [str(each.origin) for each in imported.variables] == ["kong.yml:7"] * 4
