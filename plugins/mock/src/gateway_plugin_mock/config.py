"""The options of the plugin."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from gateway_plugin_sdk import ConfigFile, ConfigModel, Duration, HeaderName, HeaderValue, Method
from pydantic import AfterValidator, Field, model_validator

_WITHOUT_BODY: Final = frozenset({204, 205, 304})
"""Statuses whose responses have no body (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5)."""


def _check_path(value: str) -> str:
    segments = value.split("/")
    names = [segment for segment in segments if segment[:1] in {":", "*"}]
    if not value.startswith("/") or any(len(name) < 2 for name in names):
        raise ValueError("is not a path: write one such as /users/:id or /files/*rest")
    foreign = next((segment for segment in segments if segment[:1] == "{" and segment[-1:] == "}"), None)
    if foreign is not None:
        raise ValueError(
            f"has {foreign!r}, which would be taken literally: write :{foreign[1:-1] or 'id'} for a parameter"
        )
    if any(segment.startswith("*") for segment in segments[:-1]):
        raise ValueError("has something behind *: it takes all the rest, so let it be last")
    return value


Path = Annotated[str, AfterValidator(_check_path)]


class DelayConfig(ConfigModel):
    """How long a response takes."""

    duration: Duration
    """How long; with ``to`` at least."""

    to: Duration | None = None
    """How long at most: each response takes a random time between both."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.to is not None and self.to < self.duration:
            raise ValueError("to is shorter than duration: swap them")
        return self


class ResponseConfig(ConfigModel):
    """A response that is written in the configuration."""

    path: Path | None = None
    """The path as routes write it: ``/users/:id``, ``/files/*rest``; every path unless given."""

    methods: Annotated[tuple[Method, ...], Field(min_length=1)] | None = None
    """Methods; every one unless given. GET includes HEAD."""

    status: Annotated[int, Field(strict=True, ge=200, le=599)] = 200
    """The status."""

    headers: dict[HeaderName, HeaderValue] = {}
    """Fields of the response."""

    body: str | None = None
    """The body as text."""

    json_body: Any = Field(None, alias="json")
    """The body as a value, which is sent as JSON."""

    file: ConfigFile | None = None
    """The body as a file, which is watched."""

    delay: DelayConfig | None = None
    """How long it takes, in the place of the ``delay`` of all."""

    @model_validator(mode="after")
    def _has_one_body(self) -> Self:
        if sum(name in self.model_fields_set for name in ("body", "json_body", "file")) > 1:
            raise ValueError("has more than one body: write one of body, json and file")
        if self.status in _WITHOUT_BODY and self.model_fields_set & {"body", "json_body", "file"}:
            raise ValueError(f"has a body, and a response with status {self.status} has none: leave it out")
        return self


class MockConfig(ConfigModel):
    """Responses in the place of an upstream: out of an OpenAPI document, and such as are written here."""

    openapi: ConfigFile | None = None
    """An OpenAPI document of version 3.0 or 3.1, in JSON, or YAML up to 4 MiB. It is watched."""

    responses: tuple[ResponseConfig, ...] = ()
    """Responses that come before those of the document: the first one that takes the request."""

    delay: DelayConfig | None = None
    """How long each response takes; no longer than it must unless given."""

    prefer: bool = True
    """Whether clients choose with ``Prefer: code=404, example=gone``."""

    fallthrough: bool = False
    """Whether requests for what is not mocked go on to the route's target in the place of 404 and 405."""

    @model_validator(mode="after")
    def _responds(self) -> Self:
        if self.openapi is None and not self.responses:
            raise ValueError("mocks nothing: name a document in openapi, or write responses")
        return self
