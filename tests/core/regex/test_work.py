from __future__ import annotations

import subprocess
import sys

import pytest
from gateway_core.regex import LONGEST_TEXT
from gateway_core.regex.parser import Parser
from gateway_core.regex.work import Mode, longest_text

BUDGET = 200_000
EFFORT = 50_000


def limit_of(pattern: str, mode: Mode = Mode.FULL) -> int:
    return longest_text(Parser(pattern).parse(), mode, BUDGET, EFFORT, LONGEST_TEXT)


LINEAR = (
    "/users/(?P<id>[0-9]+)",
    "(?:/[^/]+)+",
    "/[a-z]+(-[a-z]+)*",
    r"/v[0-9]+(\.[0-9]+)*/.*",
    "[^/]*/[^/]*/[^/]*",
    r"\w+\s\w+",
    r"\d+\D+\d+",
    r"([a-zA-Z0-9._-]+)@([a-z]+\.)+[a-z]{2,}",
    "[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}",
    r"(?i)/admin(/.*)?",
    r"(?:[^/]+/)*[^/]+\.php",
    "(?=.*a)(?=.*b).*",
    r"^(?!.*\.\.).*$",
    ".*",
    "a" * 3_000,
    "/(?:" + "|".join(f"word{number}" for number in range(200)) + ")/x",
    "(?x) /a  # a comment with (a+)+ in it\n b+",
    r"/(?<=[a-z]/)(?<!\d/)[a-z]+",
)


@pytest.mark.parametrize("pattern", LINEAR)
def test_a_pattern_without_ambiguity_takes_the_longest_text(pattern: str) -> None:
    assert limit_of(pattern) == LONGEST_TEXT


SLOW = (
    ("(.*)(.*)(.*)x", 300),
    (".*.*=.*", 1000),
    ("/api/(?P<a>.*)/(?P<b>.*)/edit", 1000),
    (r"(.)*\1x", 1000),
    ("([^/]*/)*([^/]*/)*x", 1000),
    ("a{1,200}a{1,200}a{1,200}b", 1000),
)


@pytest.mark.parametrize(("pattern", "most"), SLOW)
def test_a_polynomial_pattern_takes_short_texts_only(pattern: str, most: int) -> None:
    assert 0 < limit_of(pattern) < most


EXPONENTIAL = (
    "(a+)+b",
    "(a*)*b",
    "(a|a)*b",
    "(a|aa)+b",
    "(a|b|ab)*c",
    "(x+x+)+y",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(?:\d+|\d+\.\d+)*x",
    "(?:a?){30}b",
    "a?" * 30 + "b",
    "(?:(?:a{1,100}){1,100}){1,100}b",
    "(?:(?=(?:a*)*b)a)*",
    "a{30}(?<=" + "(?:a|a)" * 30 + ")b",
    "(?:[a-z]+:?)*;",
    "(?i)(?:a|A)*b",
    r"(?:\w|\d)*-",
    "(?:é|[à-ü])*-",
    "(?:(?:(?:(?:a|a)*)*)*)*b",
)


@pytest.mark.parametrize("pattern", EXPONENTIAL)
def test_an_exponential_pattern_takes_hardly_any_text(pattern: str) -> None:
    assert limit_of(pattern) < 64


@pytest.mark.parametrize(
    ("pattern", "mode", "is_linear"),
    [
        ("[0-9]+", Mode.SEARCH, True),
        ("^/v[0-9]+/", Mode.SEARCH, True),
        ("admin.*", Mode.SEARCH, True),
        ("^(?:/[^/]+)+$", Mode.SEARCH, True),
        (r"\s+$", Mode.SEARCH, False),
        ("[a-z]+[0-9]", Mode.SEARCH, False),
        ("[a-z]+[0-9]", Mode.FULL, True),
        ("token=[a-z]{4}", Mode.EVERYWHERE, True),
        ("a.*b|a", Mode.EVERYWHERE, False),
    ],
)
def test_a_search_counts_that_it_may_begin_anywhere(pattern: str, mode: Mode, is_linear: bool) -> None:
    assert (limit_of(pattern, mode) == LONGEST_TEXT) is is_linear


ADVERSARIAL = """
import re, sys
from gateway_core.regex.parser import Parser
from gateway_core.regex.work import Mode, longest_text

pattern, mode = sys.argv[1], Mode(sys.argv[2])
limit = longest_text(Parser(pattern).parse(), mode, 200_000, 50_000, 8192)
compiled = re.compile(pattern, re.DOTALL)
ask = compiled.fullmatch if mode is Mode.FULL else compiled.search
for unit in ("a", "ab", "/", "a/", "/a", "x", "1", "-", "a-", "aA", " ", "=", "é", "a.", "1.", "\\n", "aab"):
    for end in ("", "!", "x!", "/!"):
        text = (unit * limit)[: max(limit - len(end), 0)] + end
        for _ in range(2):
            ask(text)
"""


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in SLOW] + list(EXPONENTIAL) + list(LINEAR[:13]))
@pytest.mark.parametrize("mode", [Mode.FULL, Mode.SEARCH])
def test_re_ends_soon_with_every_text_up_to_the_limit(pattern: str, mode: Mode) -> None:
    """136 texts of 10 ms each would be 1.4 s; a pattern that is not bounded would take hours."""
    subprocess.run([sys.executable, "-c", ADVERSARIAL, pattern, mode.value], check=True, timeout=120)
