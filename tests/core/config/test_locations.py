from __future__ import annotations

from gateway_core.config.location import Place
from gateway_core.config.locations import Locator
from gateway_core.config.yaml_nodes import compose

TEXT = """\
base: &base
  timeouts: {connect: 2s}
routes:
  - id: a
    <<: *base
  - {id: b}
"""


def locator() -> Locator:
    root = compose("g.yaml", TEXT)
    assert root is not None
    return Locator(root, {"g.yaml": TEXT.splitlines()})


def test_value_has_its_own_place() -> None:
    assert locator().place(("routes", 1, "id")) == Place("g.yaml", 6, 10)
    assert locator().place_of("routes[0].id") == Place("g.yaml", 4, 9)


def test_what_is_not_there_has_the_place_of_what_is_around_it() -> None:
    found = locator().find(("routes", 1, "target", "x"))

    assert found.path == ("routes", 1)
    assert locator().place(("routes", 7)) == Place("g.yaml", 4, 3)
    assert locator().place(("routes", "id")) == Place("g.yaml", 4, 3)


def test_merged_keys_are_found_where_they_are_written() -> None:
    assert locator().place(("routes", 0, "timeouts", "connect")) == Place("g.yaml", 2, 23)


def test_problem_shows_the_existing_part_of_the_path_and_the_line() -> None:
    problem = locator().problem(("routes", 1, "target"), "is missing", code="key.missing")

    assert str(problem) == "g.yaml:6:5: routes[1]: is missing"
    assert problem.excerpt == "  - {id: b}"


def test_key_problem_points_at_the_key() -> None:
    problem = locator().key_problem(("routes", 1, "id"), "unknown key", code="key.unknown")

    assert str(problem) == "g.yaml:6:6: routes[1].id: unknown key"


def test_excerpt_of_an_unknown_place_is_nothing() -> None:
    assert locator().excerpt(Place("other.yaml", 1, 1)) is None
    assert locator().excerpt(Place("g.yaml", 99, 1)) is None
