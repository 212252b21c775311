"""Paths: which spellings are refused, and how requests and responses are rewritten."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gateway_core.config.address import check_authority
from gateway_core.config.models.base import Section
from gateway_core.config.values import InconsistentError, InvalidValueError, Switch


def _check_parameter(value: str) -> str:
    if not value:
        raise InvalidValueError("is empty, where the name of a parameter is expected")
    return value


ParameterName = Annotated[str, AfterValidator(_check_parameter)]
"""The name of a query parameter, decoded."""


class RewriteQueryConfig(Section):
    """What changes in the query; other parameters are sent on unchanged."""

    set: Mapping[ParameterName, str] = Field(default_factory=dict)
    """Parameters that are set to this value, at the end, whatever the client sent; a value that is wholly ``:name`` or
    ``*name`` stands for that parameter of path or host."""

    remove: tuple[ParameterName, ...] = ()
    """Parameters that are removed, before others are set."""

    keep: tuple[ParameterName, ...] | None = None
    """The only parameters that go on; `[]` is none of them. Others are set all the same."""

    @model_validator(mode="after")
    def _check(self) -> RewriteQueryConfig:
        if not self.set and not self.remove and self.keep is None:
            raise InconsistentError("changes nothing", remedy="give set, remove or keep")
        if self.remove and self.keep is not None:
            raise InconsistentError(
                "keeps some parameters and removes others", remedy="leave out one of keep and remove"
            )
        return self


class RewriteConfig(Section):
    """What the upstream gets instead of the client's path, Host and query."""

    prefix: str | None = None
    """Replaces the prefix that matched, or the literal part of ``path`` before its first parameter. X-Forwarded-Prefix
    gives the upstream the start of the path that only the client sees."""

    template: str | None = None
    """The whole new path, instead of ``prefix``; ``:name`` and ``*name`` stand for the parameters of ``path``."""

    host: Annotated[str, AfterValidator(check_authority)] | None = None
    """Host header, with a port if there is one, instead of the endpoint's or the client's; a plugin's comes before."""

    query: RewriteQueryConfig | None = None
    """Parameters of the query that are set and removed."""

    @property
    def changes_path(self) -> bool:
        """Whether it makes another path."""
        return self.prefix is not None or self.template is not None

    @model_validator(mode="after")
    def _check(self) -> RewriteConfig:
        if self.prefix is not None and self.template is not None:
            raise InconsistentError("prefix and template are given", remedy="keep one of them")
        if not self.changes_path and self.host is None and self.query is None:
            raise InconsistentError("changes nothing", remedy="give prefix, template, host or query")
        for name, text in (("prefix", self.prefix), ("template", self.template)):
            if text is not None and (not text.startswith("/") or re.search(r"[\s?#\\\x00-\x1f\x7f]", text)):
                raise InconsistentError(
                    f"the {name} is not a path", remedy="begin with / and leave out spaces, ?, # and \\"
                )
        return self


class RewriteResponseConfig(Section):
    """Undo in responses what ``strip_path`` and ``rewrite`` changed, so that URLs and cookies work for the client.

    URLs outside of the rewritten prefix, of another host, and relative ones stay as they are.
    """

    location: Switch = False
    """Location and Content-Location: URLs of the endpoint or of ``rewrite.host`` become the client's, and paths get
    the prefix back."""

    cookie_path: Switch = False
    """Path of Set-Cookie gets the prefix back."""

    cookie_domain: Switch = False
    """Domain of Set-Cookie becomes the client's host."""

    @model_validator(mode="after")
    def _check(self) -> RewriteResponseConfig:
        if not (self.location or self.cookie_path or self.cookie_domain):
            raise InconsistentError("changes nothing", remedy="give location, cookie_path or cookie_domain")
        return self


RejectOrKeep = Literal["reject", "keep"]


class PathPolicyConfig(Section):
    """Which spellings of a path are refused with 400; see docs/paths.md."""

    encoded_slash: RejectOrKeep = "reject"
    """``%2F``: ``keep`` leaves it inside its segment, for GitLab, npm, RabbitMQ and object stores."""

    encoded_backslash: RejectOrKeep = "reject"
    """``%5C``: ``keep`` leaves it inside its segment."""

    duplicate_slash: Literal["keep", "merge", "reject"] = "keep"
    """Runs of ``/`` in what is sent upstream; for matching they always count as one ``/``."""

    invalid_utf8: RejectOrKeep = "reject"
    """Bytes that are not UTF-8 after decoding; overlong forms are always refused."""

    case: Literal["sensitive", "insensitive"] = "sensitive"
    """``insensitive``, for IIS and ASP.NET: paths match whatever their case, and segments that end in ``.`` or a space
    are refused."""


class RoutePathPolicyConfig(Section):
    """Which spellings of a path a route refuses, in place of the document's ``path_policy``."""

    encoded_slash: RejectOrKeep | None = None
    """``%2F``: ``keep`` leaves it inside its segment."""

    encoded_backslash: RejectOrKeep | None = None
    """``%5C``: ``keep`` leaves it inside its segment."""

    duplicate_slash: Literal["keep", "merge", "reject"] | None = None
    """Runs of ``/`` in what is sent upstream."""

    invalid_utf8: RejectOrKeep | None = None
    """Bytes that are not UTF-8 once they are decoded."""
