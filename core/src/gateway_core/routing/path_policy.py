"""The path policy: what of a path's spelling is refused, and what of it goes upstream. Pure.

:mod:`gateway_core.messages.path` reads a path and reports flags; a policy refuses some of them. A route has its own
policy. On arrival, before a route is known, the most lenient mixture of all policies counts (`arrival_policy`), and
after each match the route's own decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from gateway_core.errors import BadPathError
from gateway_core.messages.path import (
    DUPLICATE_SLASH,
    ENCODED_BACKSLASH,
    ENCODED_SLASH,
    INVALID_UTF8,
    is_plain_path,
    read_path,
)

RejectOrKeep = Literal["reject", "keep"]
Slashes = Literal["keep", "merge", "reject"]
Case = Literal["sensitive", "insensitive"]

_PROBLEMS: Final = (
    (ENCODED_SLASH, "path has %2F", "path_policy.encoded_slash"),
    (ENCODED_BACKSLASH, "path has %5C", "path_policy.encoded_backslash"),
    (INVALID_UTF8, "path has bytes that are not UTF-8", "path_policy.invalid_utf8"),
    (DUPLICATE_SLASH, "path has '//'", "path_policy.duplicate_slash"),
)
_SLASHES: Final = re.compile("//+")


@dataclass(frozen=True)
class PathPolicy:
    """What ``path_policy`` says, of a document or a route."""

    encoded_slash: RejectOrKeep = "reject"
    encoded_backslash: RejectOrKeep = "reject"
    duplicate_slash: Slashes = "keep"
    invalid_utf8: RejectOrKeep = "reject"
    case: Case = "sensitive"

    @cached_property
    def refused(self) -> int:
        """The flags of paths that are refused."""
        return (
            (ENCODED_SLASH if self.encoded_slash == "reject" else 0)
            | (ENCODED_BACKSLASH if self.encoded_backslash == "reject" else 0)
            | (INVALID_UTF8 if self.invalid_utf8 == "reject" else 0)
            | (DUPLICATE_SLASH if self.duplicate_slash == "reject" else 0)
        )

    @cached_property
    def folds_case(self) -> bool:
        """Whether paths match whatever their case."""
        return self.case == "insensitive"

    def refusal(self, flags: int) -> tuple[str, str] | None:
        """Return why a path with these flags is refused, and the key that decides it; None if it is not."""
        refused = flags & self.refused
        if not refused:
            return None
        return next((what, key) for flag, what, key in _PROBLEMS if refused & flag)

    def problem(self, flags: int) -> str | None:
        """Return `refusal` as one text."""
        found = self.refusal(flags)
        return None if found is None else f"{found[0]}: {found[1]}"

    def read(self, raw: str) -> tuple[str, int]:
        """Return match path and flags of a path as it was sent.

        :raises BadPathError: it is refused; the message names the key if there is one.
        """
        if is_plain_path(raw) and not self.folds_case:
            return raw, 0
        path, flags = read_path(raw, self.folds_case)
        if flags & self.refused:
            raise BadPathError(self.problem(flags) or "")
        return path, flags

    def sent(self, raw: str) -> str:
        """Return a path as it goes upstream: as it was sent, but never with ``//`` at its start.

        A server that takes a request-target for a URL reference would read a host there (RFC 3986 section 4.2).
        """
        if self.duplicate_slash == "merge":
            return _SLASHES.sub("/", raw)
        return "/" + raw.lstrip("/") if raw.startswith("//") else raw


DEFAULT_POLICY: Final = PathPolicy()


def arrival_policy(policies: Iterable[PathPolicy]) -> PathPolicy:
    """Return the policy that refuses only what none of the others allows.

    :param policies: the document's first, which decides on case.
    """
    policies = list(policies)

    def kept(values: Iterable[str]) -> RejectOrKeep:
        return "keep" if "keep" in values else "reject"

    return PathPolicy(
        encoded_slash=kept([policy.encoded_slash for policy in policies]),
        encoded_backslash=kept([policy.encoded_backslash for policy in policies]),
        duplicate_slash="reject" if all(policy.duplicate_slash == "reject" for policy in policies) else "keep",
        invalid_utf8=kept([policy.invalid_utf8 for policy in policies]),
        case=policies[0].case,
    )
