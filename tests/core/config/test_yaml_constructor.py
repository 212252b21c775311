from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import yaml
from gateway_core.config import json_nodes
from gateway_core.config.documents import ALL_RIGHTS, Document
from gateway_core.config.problems import KeyPath, Place, format_path
from gateway_core.config.substitution import Substitution
from gateway_core.config.yaml_constructor import Constructor, Locator, node_place
from gateway_core.config.yaml_nodes import compose
from hypothesis import given
from hypothesis import strategies as st

Compose = Callable[[str, str], yaml.Node | None]


def construct(text: str, environ: dict[str, str] | None = None, compose: Compose = compose) -> tuple[object, list[str]]:
    problems: list[str] = []

    def report(
        node: yaml.Node, path: KeyPath, message: str, *, code: str, remedy: str = "", related: object = ()
    ) -> None:
        place = node_place(node)
        text = f"{message}: {remedy}" if remedy else message
        problems.append(f"{place.line}:{place.column} {format_path(path)}: {text}")

    root = compose("g.yaml", text)
    assert root is not None
    return Constructor(
        Substitution(environ or {}), report, lambda name: Document(name, "", rights=ALL_RIGHTS)
    ).construct(root), problems


def test_values_are_plain_python() -> None:
    value, problems = construct("a: 1\nb: [x, '2', 2.5, true, null]\nc: {d: }\n")

    assert value == {"a": 1, "b": ["x", "2", 2.5, True, None], "c": {"d": None}}
    assert problems == []


def test_every_duplicate_key_is_reported_with_both_places() -> None:
    value, problems = construct("a: 1\nb: {c: 1, c: 2}\na: 2\na: 3\n")

    assert value == {"a": 1, "b": {"c": 1}}
    assert [problem.split(": this")[0] for problem in problems] == ["2:11 b.c", "3:1 a", "4:1 a"]
    assert problems[1].endswith("the first time at g.yaml:1:1: keep one of them")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("b: &b {x: 1, y: 1}\nm: {<<: *b, y: 2}", {"x": 1, "y": 2}),
        ("b: &b {x: 1, y: 1}\nm: {y: 2, <<: *b}", {"y": 2, "x": 1}),
        ("b: &b {x: 1}\nc: &c {x: 2, z: 3}\nm: {<<: [*b, *c]}", {"x": 1, "z": 3}),
        ("b: &b {x: 1}\nc: &c {<<: *b, y: 2}\nm: {<<: *c}", {"y": 2, "x": 1}),
        ("m: {'<<': 1}", {"<<": 1}),
    ],
)
def test_merge_keys_bring_in_what_is_not_there(text: str, value: object) -> None:
    document, problems = construct(text)

    assert isinstance(document, dict)
    assert document["m"] == value
    assert problems == []


@pytest.mark.parametrize("text", ["m: {<<: 1}", "m: {<<: [x]}", "m: {<<: }"])
def test_only_mappings_can_be_merged(text: str) -> None:
    _, problems = construct(text)

    assert "only a mapping can be merged" in problems[0]


def test_aliases_give_values_of_their_own() -> None:
    value, problems = construct("a: &a {x: [1]}\nb: *a\n")

    assert value == {"a": {"x": [1]}, "b": {"x": [1]}}
    assert isinstance(value, dict)
    assert value["a"] is not value["b"]
    assert problems == []


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a {b: [{c: *a}]}", "a: &a {<<: *a}"])
def test_alias_to_what_is_around_it_is_refused(text: str) -> None:
    _, problems = construct(text)

    assert "never ends" in problems[0]


def test_expansion_of_aliases_is_bounded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    value, problems = construct("\n".join(lines))

    assert value is None
    assert "expand to more than" in problems[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("!!float 1", 1),
        ("!!bool 'true'", True),
        ("!!null ''", None),
    ],
)
def test_tags_of_json_types_are_known(text: str, value: object) -> None:
    assert construct(f"a: {text}") == ({"a": value}, [])


@pytest.mark.parametrize(
    "text", ["!!binary aGk=", "!!timestamp 2026-01-01", "!!python/name:os.system x", "!x [1]", "!!int x"]
)
def test_other_tags_are_refused(text: str) -> None:
    _, problems = construct(f"a: {text}")

    assert "tag" in problems[0]


def test_keys_are_texts() -> None:
    value, problems = construct("200: a\ntrue: b\n? [x]\n: c\n'': d\n")

    assert value == {"200": "a", "true": "b"}
    assert [problem.split(":")[0] for problem in problems] == ["3", "5"]


def test_substituted_scalars_are_remembered_and_typed_when_plain() -> None:
    value, problems = construct('a: ${N}\nb: "${N}"\nc: ${MISSING}\n', {"N": "5"})

    assert value == {"a": 5, "b": "5", "c": "${MISSING}"}
    assert len(problems) == 1
    assert "MISSING is not set" in problems[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text().filter(lambda text: "${" not in text),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_json_means_the_same_as_to_a_json_parser(value: object) -> None:
    assert construct(json.dumps(value), compose=json_nodes.compose) == (value, [])


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


def test_an_item_that_stands_alone_is_found_as_the_only_one_of_a_list() -> None:
    root = compose("g.yaml", "listen:\n  address: x\n  tls: {cert: c.pem}\n")
    assert root is not None
    alone = Locator(root, {})

    assert alone.find(("listen", 0, "tls", "cert")).path == ("listen", "tls", "cert")
    assert alone.place(("listen", 0, "tls", "cert")) == Place("g.yaml", 3, 15)
    assert alone.value(("listen", 0, "tls", "cert")) == "c.pem"
    assert str(alone.key_problem(("listen", 0, "address"), "no", code="x")) == "g.yaml:2:3: listen.address: no"
    assert alone.find(("listen", 1, "tls")).path == ("listen",)


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
