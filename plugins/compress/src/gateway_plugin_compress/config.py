"""The options of the plugin."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from gateway_plugin_sdk import ConfigModel, Size
from pydantic import AfterValidator, Field, model_validator

Coding = Literal["zstd", "br", "gzip"]

_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]+/[*a-z0-9!#$&^_.+-]+")

DEFAULT_TYPES: Final = (
    "text/*", "application/json", "application/*+json", "application/javascript", "application/x-javascript",
    "application/xml", "application/*+xml", "application/graphql", "application/x-ndjson", "application/wasm",
    "application/manifest+json", "application/vnd.ms-fontobject", "font/ttf", "font/otf", "image/svg+xml", "image/bmp",
)  # fmt: skip


def _check_type(value: str) -> str:
    if not _TYPE.fullmatch(value) or value.count("*") > 1:
        raise ValueError("is not a media type: write for example text/*, application/json or application/*+json")
    return value


class LevelsConfig(ConfigModel):
    """How hard to compress: higher levels take more CPU for smaller bodies."""

    zstd: Annotated[int, Field(ge=1, le=19)] = 3
    """1 to 19."""

    br: Annotated[int, Field(ge=0, le=11)] = 4
    """0 to 11; above 6 it is for what is compressed once and kept."""

    gzip: Annotated[int, Field(ge=1, le=9)] = 5
    """1 to 9."""


class RequestsConfig(ConfigModel):
    """Decompression of requests, for upstreams that take plain bodies only."""

    max_size: Annotated[Size, Field(gt=0)]
    """Bytes that a body may have when it is decompressed; larger ones get 413."""

    codings: Annotated[tuple[Coding, ...], Field(min_length=1)] = ("gzip", "br", "zstd")
    """What is decompressed; a request in another coding gets 415 with Accept-Encoding."""


class CompressConfig(ConfigModel):
    """Compresses responses for clients that accept it, and decompresses requests if asked to."""

    codings: tuple[Coding, ...] = ("zstd", "br", "gzip")
    """What responses are compressed with, the preferred one first; the client's own preferences come before. An empty
    list compresses none."""

    types: Annotated[tuple[Annotated[str, AfterValidator(_check_type)], ...], Field(min_length=1)] = DEFAULT_TYPES
    """Content types that are compressed: exact ones, ``text/*``, ``application/*+json``."""

    min_size: Size = 1024
    """Bytes below which a body is not worth it; one whose length is not known is compressed."""

    levels: LevelsConfig = LevelsConfig()
    """How hard to compress."""

    secrets: bool = False
    """Whether responses hold secrets beside what a client sent: those to requests with credentials are then not
    compressed, since their size would give the secrets away (BREACH)."""

    requests: RequestsConfig | None = None
    """Decompression of requests."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.codings and self.requests is None:
            raise ValueError("compresses and decompresses nothing: write codings, or requests")
        if len(set(self.codings)) < len(self.codings):
            raise ValueError("codings names one twice: leave it out")
        return self
