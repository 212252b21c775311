from __future__ import annotations

import sys
from types import ModuleType

import pytest
from gateway_core.regex.linear import LinearError, compile_linear


def test_matches_have_spans_in_characters() -> None:
    linear = compile_linear("(é+)(x)?b")
    assert linear is not None

    found = linear.search("aéééb")

    assert found is not None
    assert [found.span(group) for group in range(3)] == [(1, 5), (1, 4), (-1, -1)]
    assert [each.span() for each in linear.find_all("éb éxb")] == [(0, 2), (3, 6)]


def test_lone_surrogates_count_as_one_character_each() -> None:
    linear = compile_linear("(.)(.)")
    assert linear is not None

    found = linear.fullmatch("\udcff\U0001f600")

    assert found is not None
    assert (found.span(1), found.span(2)) == ((0, 1), (1, 2))


def test_a_program_that_is_too_large_is_refused() -> None:
    with pytest.raises(LinearError):
        compile_linear("((a{1,99}){1,99}){1,99}")


def test_large_patterns_take_shorter_texts() -> None:
    small, large = compile_linear("a", 1), compile_linear("(?:a{100}/){9}", 909)

    assert small is not None
    assert large is not None
    assert small.longest > 65536
    assert 500 < large.longest < 8192


def test_without_re2_nothing_is_compiled(without_re2: None) -> None:
    assert compile_linear("a") is None


def test_another_module_of_that_name_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", ModuleType("re2"))

    assert compile_linear("a") is None
