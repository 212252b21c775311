"""Tokens that are refused although they are valid."""

from __future__ import annotations

import hashlib
import math
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway_plugin_sdk import ClaimReader, claim_path

_HEX: Final = frozenset(string.hexdigits)
_DIGEST_LENGTH: Final = 64
_SECONDS: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_HASH: Final = "sha256"


@dataclass(frozen=True, slots=True)
class RevocationList:
    """What was revoked: by claim and value the moment before which a token must be issued to be so."""

    revoked: Mapping[tuple[str, str], float] = field(default_factory=dict)
    claims: Mapping[str, ClaimReader] = field(default_factory=dict)
    """Readers of the claims that entries are about, by path, without the hash."""

    def has(self, claims: Mapping[str, Any], *texts: str) -> bool:
        """Say whether a token was revoked.

        :param texts: every text of it that is valid.
        """
        if not self.revoked:
            return False
        for path, read in self.claims.items():
            value = read(claims)
            if isinstance(value, str | int) and not isinstance(value, bool):
                before = self.revoked.get((path, str(value)))
                # A token that does not say when it was issued may have been issued before.
                if before is not None and claims.get("iat", -math.inf) < before:
                    return True
        return any((_HASH, hashlib.sha256(text.encode()).hexdigest()) in self.revoked for text in texts)


def parse_entries(lines: Iterable[str]) -> RevocationList:
    """Read the entries of a revocation list, one a line (see `RevocationOptions`).

    :raises ValueError: a line is not one; a list that is half read would let revoked tokens in.
    """
    revoked: dict[tuple[str, str], float] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        claim, value, before = _parse_entry(text)
        if not claim or not value:
            raise ValueError(f"entry {number}: {text[:80]!r} is not CLAIM:VALUE, such as jti:4711 or sub:alice")
        if claim == _HASH:
            if not _is_digest(value):
                raise ValueError(
                    f"entry {number}: the SHA-256 of a token is 64 hexadecimal digits: printf %s TOKEN | sha256sum"
                )
            value = value.lower()
        entry = claim, value
        revoked[entry] = max(before, revoked.get(entry, -math.inf))
    return _list_of(revoked)


def _parse_entry(text: str) -> tuple[str, str, float]:
    """Return the claim, the value and the moment of an entry; an empty claim or value if it is none.

    Cut at its ends and not matched by a pattern with several runs of spaces, whose time would grow with the square of
    a line: lists are as long as whoever writes them likes.
    """
    claim, _, value = text.partition(":")
    if claim.split() != [claim] or "\n" in value:
        return "", "", math.inf
    # A sign in front keeps a value that is empty or begins with spaces apart from the word behind it.
    match f"={value}".rsplit(None, 2):
        case [signed, "before", seconds] if _SECONDS.fullmatch(seconds):
            return claim, signed[1:], float(seconds)
    return claim, value, math.inf


def _is_digest(text: str) -> bool:
    return len(text) == _DIGEST_LENGTH and _HEX.issuperset(text)


def _list_of(revoked: Mapping[tuple[str, str], float]) -> RevocationList:
    return RevocationList(revoked, {path: claim_path(path) for path in {claim for claim, _ in revoked} - {_HASH}})


def merged(lists: Iterable[RevocationList]) -> RevocationList:
    """Return what any of the lists revokes."""
    revoked: dict[tuple[str, str], float] = {}
    for one in lists:
        for entry, before in one.revoked.items():
            revoked[entry] = max(before, revoked.get(entry, -math.inf))
    return _list_of(revoked)
