from __future__ import annotations

import pytest
from gateway_core.regex.parser import Parser
from gateway_core.regex.translate import UntranslatableError, size_of, translate


@pytest.mark.parametrize(
    ("text", "translated"),
    [
        ("a", r"[\x{61}]"),
        ("a|b*", r"[\x{61}]|(?:[\x{62}]){0,}"),
        ("(?P<x>a)", r"([\x{61}])"),
        (".", r"[\x{0}-\x{10FFFF}]"),
        ("(?-s:.)", r"[\x{0}-\x{9}\x{B}-\x{10FFFF}]"),
        ("^$", r"\A\z"),
        ("(?i)[a-b]", r"[\x{41}-\x{42}\x{61}-\x{62}]"),
        (r"(?a)\d+?", r"(?:[\x{30}-\x{39}]){1,}?"),
    ],
)
def test_patterns_are_spelt_out_for_re2(text: str, translated: str) -> None:
    assert translate(Parser(text).parse()) == translated


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("(?=a)b", "lookahead"),
        ("(?<!a)b", "lookbehind"),
        (r"(a)\1", "back-reference"),
        ("(?>a)", "atomic"),
        ("a*+", "possessive"),
        (r"\ba", "(?a)"),
        ("(?a)\\B", "\\B"),
        ("(a*)*", "may be empty"),
        ("(a)(?(1)b|c)", "conditional"),
        ("a{1,2000}", "1000"),
    ],
)
def test_what_re2_does_not_do_the_same_way_is_named(text: str, lacking: str) -> None:
    with pytest.raises(UntranslatableError) as caught:
        translate(Parser(text).parse())

    assert lacking in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [("", 0), ("abc", 3), ("a|bc", 3), ("a*", 1), ("a{3}", 3), ("(a{2,3}b){2}", 8), ("a{5,}", 6), (r"\w[a-z]", 2)],
)
def test_the_size_counts_repetitions_written_out(text: str, size: int) -> None:
    assert size_of(Parser(text).parse()) == size
