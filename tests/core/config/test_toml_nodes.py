from __future__ import annotations

import pytest
from gateway_core.config.problems import Place
from gateway_core.config.toml_nodes import compose
from gateway_core.config.values import InvalidValueError
from gateway_core.config.yaml_constructor import Locator, node_place
from gateway_core.config.yaml_nodes import DocumentSyntaxError, read_plain

TEXT = """\
listen = "127.0.0.1:8080"
log.level = "info"

[limits]
max_headers = 10

[[routes]]
id = "a"
target = "http://127.0.0.1:8081"

[[routes]]
id = "b"
[[routes.plugins]]
name = "logger"
  [routes.plugins.config]
  "odd key" = [1, {x = 2}]
"""


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        (("listen",), 1, 10),
        (("log", "level"), 2, 13),
        (("limits", "max_headers"), 5, 15),
        (("routes", 0, "id"), 8, 6),
        (("routes", 1, "id"), 12, 6),
        (("routes", 1, "plugins", 0, "name"), 14, 8),
        (("routes", 1, "plugins", 0, "config", "odd key"), 16, 15),
        (("routes", 1, "plugins", 0, "config", "odd key", 1, "x"), 16, 15),
        (("routes", 1), 11, 1),
    ],
)
def test_keys_of_toml_have_places(path: tuple[str | int, ...], line: int, column: int) -> None:
    root = compose("g.toml", TEXT)
    assert root is not None

    found = Locator(root, {}).find(path)

    assert found.path == path
    assert node_place(found.node) == Place("g.toml", line, column)


def test_key_text_in_a_long_string_is_no_key() -> None:
    root = compose("g.toml", 'description = """\nworkers = 2\n"""\n')

    assert root is not None
    assert [key.value for key, _ in root.value] == ["description"]


@pytest.mark.parametrize(
    ("text", "line", "column"), [("a = [\n", 1, 6), ("a = 1\na = 2\n", 2, 6), ("[a]\nb = \n", 2, 5), ('a = "x', 1, 7)]
)
def test_syntax_errors_name_line_and_column(text: str, line: int, column: int) -> None:
    with pytest.raises(DocumentSyntaxError) as caught:
        compose("g.toml", text)

    assert caught.value.place == Place("g.toml", line, column)
    assert str(caught.value).startswith("is not valid TOML: ")


@pytest.mark.parametrize(
    ("depth", "message"), [(150, "is nested more than 100 levels deep"), (9_000, "is nested too deep")]
)
def test_deep_nesting_is_refused(depth: int, message: str) -> None:
    with pytest.raises(DocumentSyntaxError, match=f"^{message}$"):
        compose("g.toml", "a = " + "[" * depth + "]" * depth)


def test_a_number_with_too_many_digits_is_a_problem_in_plain_words() -> None:
    with pytest.raises(DocumentSyntaxError, match="is not valid TOML: a number has too many digits"):
        compose("g.toml", "workers = " + "9" * 5000)


@pytest.mark.parametrize(("text", "value"), [("nan", ".nan"), ("inf", ".inf"), ("-inf", "-.inf")])
def test_numbers_that_are_not_finite_are_read_as_those_of_yaml(text: str, value: str) -> None:
    root = compose("g.toml", f"sample = {text}")

    assert root is not None
    assert root.value[0][1].value == value
    with pytest.raises(InvalidValueError, match="is not a finite number"):
        read_plain(value)


def test_empty_document_has_no_node() -> None:
    assert compose("g.toml", "# nothing\n") is None
