"""Both engines agree, and the bound on the work holds, for patterns that hypothesis makes."""

from __future__ import annotations

import re

from gateway_core.regex.linear import LinearError, LinearPattern, compile_linear
from gateway_core.regex.nodes import literal_start
from gateway_core.regex.pattern import parse_pattern
from gateway_core.regex.translate import UntranslatableError, translate
from gateway_core.regex.work import Mode, longest_text
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.core.regex.backtracker import Backtracker
from tests.core.regex.strategies import patterns, texts


def both(text: str) -> tuple[re.Pattern[str], LinearPattern]:
    compiled, tree = parse_pattern(text)
    assert tree is not None, text
    try:
        linear = compile_linear(translate(tree))
    except (UntranslatableError, LinearError):
        linear = None
        assume(False)
    assert linear is not None
    return compiled, linear


@given(patterns(), st.lists(texts(), min_size=1, max_size=8))
def test_re2_and_re_match_the_same_texts_with_the_same_groups(pattern: str, candidates: list[str]) -> None:
    compiled, linear = both(pattern)

    for text in candidates:
        for question in ("fullmatch", "search"):
            expected = getattr(compiled, question)(text)
            found = getattr(linear, question)(text)
            assert (found is None) == (expected is None), (question, text)
            if expected is not None:
                groups = range(compiled.groups + 1)
                assert [found.span(group) for group in groups] == [expected.span(group) for group in groups], text


@given(patterns(), texts(24), st.sampled_from((60, 300, 1500)))
def test_no_text_up_to_the_limit_takes_more_steps_than_the_budget(pattern: str, text: str, budget: int) -> None:
    _, tree = parse_pattern(pattern)
    assert tree is not None

    limit = longest_text(tree, Mode.FULL, budget, 20_000, 24)

    assert Backtracker(text[:limit], budget).run(tree) <= budget


@given(patterns(foreign=True))
def test_every_pattern_of_re_is_parsed_to_its_end(pattern: str) -> None:
    _, tree = parse_pattern(pattern)

    assert tree is not None


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(
    st.text(st.sampled_from("ab/.k"), max_size=4).map(re.escape), patterns(foreign=True), st.lists(texts(), max_size=8)
)
def test_what_matches_begins_with_the_literal_start(start: str, pattern: str, candidates: list[str]) -> None:
    assume(not pattern.startswith("(?"))
    compiled, tree = parse_pattern(start + pattern)
    assert tree is not None
    literal = literal_start(tree)

    for text in [*candidates, *[re.sub(r"\\(.)", r"\1", start) + each for each in candidates]]:
        assert compiled.fullmatch(text) is None or text.startswith(literal)
