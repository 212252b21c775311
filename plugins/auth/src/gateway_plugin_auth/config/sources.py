"""Configuration of where credentials are looked for."""

from __future__ import annotations

from gateway_plugin_sdk import ConfigModel
from gateway_tokens.texts import Header
from pydantic import Field, model_validator

from gateway_plugin_auth.credentials import Source


class SourceConfig(ConfigModel):
    """One place: exactly one of ``header``, ``cookie`` and ``query``."""

    header: Header | None = None
    """Name of a header field."""

    scheme: str = Field(default="", pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]*$")
    """Authentication scheme in front of the credentials, such as ``Bearer``; only with ``header``."""

    cookie: str | None = Field(default=None, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    """Name of a cookie."""

    query: str | None = Field(default=None, min_length=1)
    """Name of a query parameter. URLs end up in logs and histories: take it only where nothing else is possible."""

    @model_validator(mode="after")
    def _is_one_place(self) -> SourceConfig:
        places = [name for name in ("header", "cookie", "query") if getattr(self, name) is not None]
        if len(places) != 1:
            raise ValueError(f"a place is one of header, cookie and query, not {' and '.join(places) or 'none'}")
        if self.scheme and self.header is None:
            raise ValueError(f"scheme {self.scheme!r} only goes with header")
        return self

    def compiled(self) -> Source:
        """Return the place that the configuration describes."""
        if self.header is not None:
            return Source("header", self.header, self.scheme)
        if self.cookie is not None:
            return Source("cookie", self.cookie)
        return Source("query", self.query or "")
