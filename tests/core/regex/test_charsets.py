from __future__ import annotations

import re

import pytest
from gateway_core.regex.charsets import SYMBOLS, mask_of, to_re2
from gateway_core.regex.linear import compile_linear
from gateway_core.regex.nodes import Chars
from gateway_core.regex.parser import Parser
from hypothesis import given
from hypothesis import strategies as st

SETS = (
    ".",
    "a",
    "[a-z]",
    "[^/]",
    r"\w",
    r"\W",
    r"\d",
    r"[^\d]",
    r"\s",
    r"[\S]",
    "é",
    "[à-ü]",
    r"[^\w/]",
    "[\\x00-\\U0010ffff]",
)


def chars(text: str) -> Chars:
    node = Parser(text).parse()
    assert isinstance(node, Chars)
    return node


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("a", "[a-z]", True),
        ("/", "[^/]", False),
        (r"\w", r"\s", False),
        (r"\d", r"\D", False),
        (r"\w", r"\d", True),
        ("é", r"\w", True),
        ("é", r"\s", False),
        ("é", "[^a]", True),
        ("(?i)K", "\u212a", True),
        ("(?i)a", "A", True),
        ("a", "A", False),
        ("(?a)\\w", "é", False),
        ("(?a)\\W", "é", True),
        (r"[^\w]", "é", False),
    ],
)
def test_sets_that_share_a_character_share_a_symbol(one: str, other: str, meet: bool) -> None:
    assert bool(mask_of(chars(one)) & mask_of(chars(other))) is meet


@given(st.sampled_from(SETS), st.sampled_from(SETS), st.sampled_from(["", "(?i)", "(?a)"]), st.characters())
def test_no_character_is_in_two_sets_whose_masks_do_not_meet(one: str, other: str, flags: str, character: str) -> None:
    in_both = all(re.fullmatch(flags + text, character, re.DOTALL) for text in (one, other))

    assert not in_both or mask_of(chars(flags + one)) & mask_of(chars(flags + other))
    assert mask_of(chars(flags + one)) < 1 << SYMBOLS


@given(st.sampled_from(SETS), st.sampled_from(["", "(?i)", "(?a)", "(?ia)"]), st.characters(exclude_categories=["Cs"]))
def test_re2_has_the_same_characters_in_a_set(text: str, flags: str, character: str) -> None:
    linear = compile_linear(to_re2(chars(flags + text)))

    assert linear is not None
    assert bool(linear.fullmatch(character)) is bool(re.fullmatch(flags + text, character, re.DOTALL))
