from __future__ import annotations

import pickle
import sys

import pytest
from gateway_core.config import ConfigModel
from gateway_core.errors import TextSource, TextTooLongError
from gateway_core.regex import (
    LONGEST_TEXT,
    Pattern,
    PatternSyntaxError,
    ReplacePattern,
    SearchPattern,
    SlowPatternError,
    compile_pattern,
)
from pydantic import ValidationError

CUBIC = "/api/(?P<a>.*)/(?P<b>.*)/edit"


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("/admin/.*", "/admin/users/5\n", True),
        ("/admin/.", "/admin/\n", True),
        ("(?-s:/admin/.)", "/admin/\n", False),
        ("/admin$", "/admin\n", False),
        ("/admin$\n?", "/admin\n", False),
        ("(?m:/admin$)\n", "/admin\n", True),
        ("(?x) /admin # $ \n $ ", "/admin", True),
        ("[$]", "$", True),
        (r"\$", "$", True),
        ("(?i)/ADMIN", "/admin", True),
        (r"\d+", "٣", True),
        (r"(?a)\d+", "٣", False),
        ("", "", True),
        ("a||b", "", True),
    ],
)
def test_a_dot_is_any_character_and_the_end_is_the_end_in_both_engines(pattern: str, text: str, matches: bool) -> None:
    # The second form is not linear for `re`, so RE2 has it.
    fast, slow = compile_pattern(pattern, Pattern), compile_pattern(f"{pattern}|q(?:.*.*.*.*.*.*.*)x", Pattern)
    if pattern.startswith("(?") and pattern[3] == ")":
        slow = compile_pattern(f"{pattern[:4]}(?:{pattern[4:]}|q(?:.*.*.*.*.*.*.*)x)", Pattern)

    assert (fast.is_linear, slow.is_linear) == (True, False)
    assert (fast.fullmatch(text) is not None) is matches
    assert (slow.fullmatch(text) is not None) is matches


def test_what_is_not_linear_for_re_is_matched_by_re2_whatever_the_length() -> None:
    pattern = compile_pattern(CUBIC, Pattern)

    found = pattern.fullmatch("/api/x/y/edit")

    assert pattern.problem is None
    assert found is not None
    assert found.groupdict() == {"a": "x", "b": "y"}
    assert (found.group(), found.span(2), found.group(1)) == ("/api/x/y/edit", (7, 8), "x")
    assert pattern.fullmatch("/api" + "/" * 16_000) is None
    assert compile_pattern("(a+)+b", Pattern).fullmatch("a" * 60_000) is None


def test_large_patterns_take_shorter_texts_in_re2_too() -> None:
    """RE2 is linear in the text, and in the pattern: 1,800 positions and 64 KiB are more than a second."""
    pattern = compile_pattern("(?:a|b)*a(?:a|b){900}c", Pattern)

    assert pattern.fullmatch("ab" * 100) is None
    with pytest.raises(TextTooLongError):
        pattern.fullmatch("ab" * 4_000)
    assert pattern.problem is not None
    assert "it has too many positions for RE2" in pattern.problem


def test_text_of_more_than_8_kib_is_matched_by_re2() -> None:
    pattern = compile_pattern("(?P<all>(?:/[^/]+)+)", Pattern)

    found = pattern.fullmatch("/é" * 5_000)

    assert found is not None
    assert found.groupdict() == {"all": "/é" * 5_000}
    assert pattern.fullmatch("/é" * 5_000 + "/") is None


def test_a_refusal_names_the_longest_text_of_either_engine() -> None:
    words = "|".join(letter * 3 for letter in "abcdefghijklmnopqrstuvwxyz")
    pattern = compile_pattern(f"/(?:{words})", Pattern)

    with pytest.raises(TextTooLongError) as caught:
        pattern.fullmatch("a" * 60_000)

    assert caught.value.limit == LONGEST_TEXT


def test_bytes_that_are_no_utf_8_are_characters_to_both() -> None:
    assert compile_pattern("(?P<x>.)b", Pattern).fullmatch("\udcffb") is not None
    assert compile_pattern("(.)*(.)*(.)*b", Pattern).fullmatch("\udcffb") is not None


@pytest.mark.parametrize(("source", "status"), [("path", 414), ("query", 400), ("field", 431), ("response", 502)])
def test_without_re2_longer_text_is_refused(without_re2: None, source: TextSource, status: int) -> None:
    pattern = compile_pattern("/[a-z]+/[0-9]+", Pattern)
    assert pattern.problem is None
    assert pattern.limit == LONGEST_TEXT
    assert pattern.fullmatch("/" + "a" * 8191, source) is None

    with pytest.raises(TextTooLongError) as caught:
        pattern.fullmatch("/" + "a" * 8192, source)

    assert caught.value.status == status
    assert caught.value.limit == LONGEST_TEXT
    assert "a" * 100 not in str(caught.value)


def test_a_long_path_that_begins_otherwise_is_not_refused(without_re2: None) -> None:
    pattern = compile_pattern(CUBIC, Pattern)

    assert pattern.fullmatch("/other/" + "a" * 60_000, "path") is None
    with pytest.raises(TextTooLongError):
        pattern.fullmatch("/api/" + "a" * 60_000, "path")


def test_without_re2_a_slow_pattern_takes_shorter_texts_and_is_named(without_re2: None) -> None:
    pattern = compile_pattern(CUBIC, Pattern)

    assert pattern.fullmatch("/api/x/y/edit") is not None
    with pytest.raises(TextTooLongError):
        pattern.fullmatch("/api" + "/" * 16_000, "path")
    assert pattern.problem == (
        f"{CUBIC!r} is not linear: it takes texts of at most {pattern.limit} characters; install "
        "gateway-core[re2], or see that no two of its repetitions can take the same characters"
    )
    assert 64 <= pattern.limit < 1000


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(?:a?){30}b"])
def test_without_re2_an_exponential_pattern_is_refused(without_re2: None, pattern: str) -> None:
    with pytest.raises(SlowPatternError, match="install gateway-core\\[re2\\]"):
        compile_pattern(pattern, Pattern)


def test_what_re2_cannot_take_stays_with_re_and_is_named_if_slow() -> None:
    assert compile_pattern(r"^(?!.*\.\.)[a-z.]*$", Pattern).problem is None
    problem = compile_pattern(r"(.)*\1x", Pattern).problem
    assert problem is not None
    assert "RE2 cannot take a back-reference: write it without" in problem

    with pytest.raises(SlowPatternError, match="RE2 cannot take a lookahead or lookbehind"):
        compile_pattern("(?=x)(a+)+b", Pattern)


def test_a_pattern_too_large_for_re2_is_refused_if_re_needs_it() -> None:
    with pytest.raises(SlowPatternError, match="RE2"):
        compile_pattern("(?:(?:(?:a|b){1,99}){1,99}){1,99}c", Pattern)


@pytest.mark.parametrize("kind", [Pattern, SearchPattern, ReplacePattern])
def test_a_text_that_is_no_regular_expression_is_told_with_its_place(kind: type[Pattern]) -> None:
    with pytest.raises(PatternSyntaxError, match=r"'a\(' is not a regular expression: missing \).* at character 2"):
        compile_pattern("a(", kind)


def test_deep_nesting_is_a_problem_not_a_crash() -> None:
    depth = sys.getrecursionlimit()

    with pytest.raises((PatternSyntaxError, SlowPatternError)):
        compile_pattern("(?:" * depth + "a" + ")" * depth, Pattern)


def test_replacing_is_the_same_in_both_engines(request: pytest.FixtureRequest) -> None:
    text = "id=12, name=34, " * 20

    with_re2 = compile_pattern("[0-9]+|[a-z]+[0-9]", ReplacePattern).replace(text, lambda match: f"<{match.group()}>")
    request.getfixturevalue("without_re2")
    without = compile_pattern("[0-9]+|[a-z]+[0-9]", ReplacePattern).replace(text, lambda match: f"<{match.group()}>")

    assert with_re2 == without == "id=<12>, name=<34>, " * 20


@pytest.mark.parametrize("pattern", [r"/users/(\d)(?P<rest>\d*)", r"/users/(\d)(?P<rest>\d*)(?:.*.*.*.*.*.*.*;)?"])
def test_templates_name_groups_in_both_engines(pattern: str) -> None:
    replacing = compile_pattern(pattern, ReplacePattern)

    made = replacing.replace("/users/42", replacing.template(r"<\1\g<rest>\g<1>\\\n>"))

    assert made == "<424\\\n>"
    assert replacing.replace("/users/4", replacing.template("x")) == "x"
    with pytest.raises(ValueError, match="names a group"):
        replacing.template(r"\3")


class Config(ConfigModel):
    path: Pattern
    text: SearchPattern | None = None


def test_patterns_are_config_types() -> None:
    config = Config.model_validate({"path": "/a.*", "text": "b"})

    assert config.path.fullmatch("/a\n") is not None
    assert config.text is not None
    assert config.text.search("abc") is not None
    assert config.model_dump(mode="json") == {"path": "/a.*", "text": "b"}
    assert config == Config.model_validate({"path": "/a.*", "text": "b"})
    assert pickle.loads(pickle.dumps(config)) == config
    assert Config.model_json_schema()["properties"]["path"]["format"] == "regex"
    with pytest.raises(ValidationError, match="is not a regular expression"):
        Config.model_validate({"path": "("})
    with pytest.raises(ValidationError, match="valid string"):
        Config.model_validate({"path": 5})


def test_the_same_text_is_compiled_once() -> None:
    assert compile_pattern("/once", Pattern) is compile_pattern("/once", Pattern)
    assert compile_pattern("/once", Pattern) != compile_pattern("/once", SearchPattern)
