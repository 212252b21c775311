"""Patterns and texts that hypothesis makes."""

from __future__ import annotations

import re

from hypothesis import strategies as st

CHARACTERS = (*"abks/\n\x1c _1-éÉß٣中😀İ", "\u212a", "\u017f")
ATOMS = (
    "a", "b", "k", "S", "/", "é", "\u212a", "ß", ".", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", "[ab]", "[^a]", "[a-z]",
    "[^/]", r"[^\w]", r"[\d/]", r"[^\s\d]", r"[a-z\-]", "[k-s]", "[^k]", "[é-ü]", r"\n", r"\x61", r"\u00e9",
    r"\U0001F600", r"\.", r"\/", "[]a]", "[^]a]", "[a-]", r"\141", r"\t", "[\\n]", "(?-s:.)", "(?i:k)", "(?i:[a-c])",
    "(?i:É)", "(?i:[^k])", "(?a:\\w)", "(?a:[^\\d])", "(?:)", "(?i:\u017f)", "(?i:[é-ü])", "(?#x)a", "-", "1",
)  # fmt: skip
ANCHORS = ("^", "$", r"\A", r"\Z", "(?m:^)", "(?m:$)", r"(?a:\b)")
QUANTIFIERS = ("*", "+", "?", "{2}", "{1,3}", "{0,2}", "{,2}", "{2,}", "*?", "+?", "??", "{1,2}?")
FOREIGN = (r"\b", r"\B", "(?=a)", "(?!b)", "(?<=a)", "(?<!b)", "(?>a*)", "a*+", "b?+", r"(?(1)a|b)", r"\1")


def patterns(*, foreign: bool = False) -> st.SearchStrategy[str]:
    """Return patterns that `re` compiles; ``foreign`` ones may have what RE2 lacks."""
    leaves = st.sampled_from(ATOMS) | st.sampled_from(ANCHORS)
    if foreign:
        leaves |= st.sampled_from(FOREIGN)

    def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return (
            st.lists(inner, min_size=1, max_size=4).map("".join)
            | st.lists(inner, min_size=1, max_size=3).map("|".join)
            | st.builds("(?:{}){}".format, inner, st.sampled_from(QUANTIFIERS))
            | st.builds("{}{}".format, st.sampled_from(ATOMS[:24]), st.sampled_from(QUANTIFIERS))
            | st.builds("({})".format, inner)
            | st.builds("(?P<>{})".format, inner)
            | inner.map(lambda text: f"(?:{text}|)")
        )

    flags = st.sampled_from(("", "", "", "(?i)", "(?s)", "(?a)", "(?m)", "(?ia)"))
    return st.builds("{}{}".format, flags, st.recursive(leaves, grow, max_leaves=12)).map(_named).filter(_compiles)


def texts(max_size: int = 12) -> st.SearchStrategy[str]:
    """Return texts of characters that the patterns tell apart."""
    return st.text(st.sampled_from(CHARACTERS), max_size=max_size)


def _named(text: str) -> str:
    """Give each named group a name of its own."""
    parts = text.split("(?P<>")
    return parts[0] + "".join(f"(?P<g{number}>{part}" for number, part in enumerate(parts[1:]))


def _compiles(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True
