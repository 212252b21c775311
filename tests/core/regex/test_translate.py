from __future__ import annotations

import pytest
from gateway_core.regex.parser import Parser
from gateway_core.regex.translate import UntranslatableError, translate


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
