from __future__ import annotations

import hashlib
import math
import re

import pytest
from gateway_plugin_auth.revocation_list import RevocationList, merged, parse_entries
from hypothesis import given
from hypothesis import strategies as st

GRAMMAR = re.compile(r"(?P<claim>[^\s:]+):(?P<value>.+?)(?:\s+before\s+(?P<before>[0-9]+(?:\.[0-9]+)?))?")
"""What an entry is, as a pattern that is too slow for long lines."""

NO_VALUE = re.compile(r"\s+before\s+[0-9]+(?:\.[0-9]+)?")
"""A moment without a value in front of it, which is refused: whoever wrote it left the value out."""


def test_entries_name_a_claim_a_token_or_a_time() -> None:
    entries = parse_entries(["# gone", "", "jti:a:b", "sub:alice before 100", "realm.id:7", f"sha256:{'AB' * 32}"])

    assert entries.has({"jti": "a:b"}, "t")
    assert entries.has({"sub": "alice", "iat": 99}, "t")
    assert entries.has({"sub": "alice"}, "t")
    assert not entries.has({"sub": "alice", "iat": 100}, "t")
    assert entries.has({"realm": {"id": 7}}, "t")
    assert not entries.has({"sub": "bob", "jti": ["a:b"], "realm": {"id": True}}, "t")


def test_a_whole_token_is_named_by_its_hash() -> None:
    entries = parse_entries([f"sha256:{hashlib.sha256(b'a.b.c').hexdigest().upper()}"])

    assert entries.has({}, "a.b.c")
    assert not entries.has({}, "a.b.d")


@pytest.mark.parametrize(
    "line",
    ["alice", "sub:", ":alice", "su b:alice", "sub: before 5", "sub:  before 5", "sha256:zz", "sha256:" + "a" * 63],
)
def test_a_line_that_is_no_entry_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="entry 2: "):
        parse_entries(["sub:a", line])


def test_the_stronger_of_two_entries_counts() -> None:
    both = merged([parse_entries(["sub:a before 5", "sub:b"]), parse_entries(["sub:a before 9", "sub:b before 1"])])

    assert both.has({"sub": "a", "iat": 8}, "")
    assert both.has({"sub": "b", "iat": 1e12}, "")


@given(
    st.lists(
        st.sampled_from(["sub", "a", ":", " ", "\t", "before", " before ", "5", "1.5", ".", "1e3", "\u00a0"]),
        max_size=9,
    ).map("".join)
)
def test_entries_are_read_as_their_grammar_says(line: str) -> None:
    match = GRAMMAR.fullmatch(line.strip())
    is_entry = match is not None and match["value"].strip() and not NO_VALUE.fullmatch(match["value"])
    expected = match.group("claim", "value", "before") if match is not None and is_entry else None

    try:
        (entry, before), *_ = (
            parse_entries([line]) if line.strip() else RevocationList({("", ""): 0.0})
        ).revoked.items()
    except ValueError:
        entry, before = ("", ""), 0.0

    if line.strip():
        assert (entry, before) == (
            (("", ""), 0.0)
            if expected is None
            else (expected[:2], math.inf if expected[2] is None else float(expected[2]))
        )


def test_a_line_of_a_megabyte_takes_no_longer_than_its_length() -> None:
    # With a pattern that tries each run of spaces against each other one this takes hours.
    entries = parse_entries(["sub:" + "a before " * 120_000 + "x", "sub:b" + " " * 1_000_000 + "before 5"])

    assert entries.has({"sub": "b", "iat": 4}, "")
