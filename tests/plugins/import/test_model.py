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


def test_names_stay_unique_and_findings_are_recorded_once() -> None:
    imported = Imported("Kong", "a")

    assert [imported.route_id(each) for each in ("a", "a", "a-2", "a", "a-2")] == ["a", "a-2", "a-2-2", "a-3", "a-2-3"]
    assert imported.lose(Origin("a", 1), "x", "y") == imported.lose(Origin("a", 1), "x", "y")
    assert len(imported.findings) == 1


class Name(str):
    """A name that counts how often it is compared."""

    __slots__ = ()
    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Name.compared += 1
        return str.__eq__(self, other)


def test_a_finding_is_not_compared_with_all_that_were_recorded_before() -> None:
    imported = Imported("Kong", "a")

    for line in range(500):
        imported.lose(Origin(Name("a"), line), "x", "y")

    assert (len(imported.findings), Name.compared < 500) == (500, True)
