from __future__ import annotations

from collections.abc import Sequence

import pytest
from gateway_plugin_static.patterns import FilePatterns


@pytest.mark.parametrize(
    ("pattern", "names", "expected"),
    [
        ("*.map", ("a", "app.js.map"), True),
        ("*.map", ("a.map", "x"), False),
        ("index.html", ("index.html",), True),
        ("/assets/*", ("assets", "js", "app.js"), True),
        ("assets/*", ("assets", "app.js"), True),
        ("/assets/*", ("x", "assets", "app.js"), False),
        ("*.[0-9]", ("a.7",), True),
        ("*", (), False),
    ],
)
def test_a_pattern_takes_names_and_with_a_slash_paths(pattern: str, names: Sequence[str], expected: bool) -> None:
    assert FilePatterns([pattern]).take(names) is expected


def test_what_is_in_a_directory_that_is_taken_is_taken_as_a_part() -> None:
    patterns = FilePatterns(["/private", "*.bak"])

    assert patterns.take_part(("private", "x"))
    assert patterns.take_part(("old.bak", "x"))
    assert not patterns.take_part(("public", "private"))


@pytest.mark.timeout(20)
def test_many_stars_take_no_long_time() -> None:
    assert not FilePatterns(["*a" * 40 + "b"]).take(("a" * 250,))
