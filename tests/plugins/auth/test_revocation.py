from __future__ import annotations

import hashlib

import pytest
from gateway_plugin_auth.revocation import merged, parse_entries


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
    "line", ["alice", "sub:", ":alice", "su b:alice", "sub:  before 5", "sha256:zz", "sha256:" + "a" * 63]
)
def test_a_line_that_is_no_entry_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="entry 2: "):
        parse_entries(["sub:a", line])


def test_the_stronger_of_two_entries_counts() -> None:
    both = merged([parse_entries(["sub:a before 5", "sub:b"]), parse_entries(["sub:a before 9", "sub:b before 1"])])

    assert both.has({"sub": "a", "iat": 8}, "")
    assert both.has({"sub": "b", "iat": 1e12}, "")
