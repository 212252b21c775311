"""What of a path's spelling is refused, and what goes upstream of it."""

from __future__ import annotations

from typing import Literal

from gateway_core.config.models.base import Section

RejectOrKeep = Literal["reject", "keep"]


class PathPolicyConfig(Section):
    """Which spellings of a path are refused with 400; see docs/paths.md."""

    encoded_slash: RejectOrKeep = "reject"
    """``%2F``: ``keep`` leaves it inside its segment, for GitLab, npm, RabbitMQ and object stores."""

    encoded_backslash: RejectOrKeep = "reject"
    """``%5C``: ``keep`` leaves it inside its segment."""

    duplicate_slash: Literal["keep", "merge", "reject"] = "keep"
    """Runs of ``/`` on their way upstream; paths match as if there was one ``/``."""

    invalid_utf8: RejectOrKeep = "reject"
    """Bytes that are not UTF-8 once they are decoded; forms that are longer than they need be are always refused."""

    case: Literal["sensitive", "insensitive"] = "sensitive"
    """``insensitive``, for IIS and ASP.NET: paths match whatever their case, and segments that end in ``.`` or a space
    are refused."""


class RoutePathPolicyConfig(Section):
    """What a route refuses of a path's spelling, in place of the document's ``path_policy``."""

    encoded_slash: RejectOrKeep | None = None
    """``%2F``: ``keep`` leaves it inside its segment."""

    encoded_backslash: RejectOrKeep | None = None
    """``%5C``: ``keep`` leaves it inside its segment."""

    duplicate_slash: Literal["keep", "merge", "reject"] | None = None
    """Runs of ``/`` on their way upstream."""

    invalid_utf8: RejectOrKeep | None = None
    """Bytes that are not UTF-8 once they are decoded."""
