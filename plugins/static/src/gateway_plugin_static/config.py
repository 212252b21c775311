"""The options of the plugin."""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from gateway_plugin_sdk import ConfigModel, DirectoryName, Duration, HeaderValue
from pydantic import AfterValidator, Field, model_validator

from gateway_plugin_static.encodings import Coding
from gateway_plugin_static.validators import EtagKind

_TOKEN: Final = re.compile(r"[a-z0-9!#$&^_.+-]+")
_YEAR: Final = 365 * 24 * 3600


def _check_name(value: str) -> str:
    if not value or "/" in value or "\\" in value or "\0" in value or value in {".", ".."}:
        raise ValueError("is not the name of a file: write a name without a directory, such as index.html")
    return value


def _check_path(value: str) -> str:
    segments = value.removeprefix("/").split("/")
    if "\\" in value or "\0" in value or not all(segments) or {".", ".."} & set(segments):
        raise ValueError("is not a file below the root: write a path such as errors/404.html")
    return "/".join(segments)


def _check_ending(value: str) -> str:
    if not value.startswith(".") or len(value) < 2 or "/" in value or "\0" in value:
        raise ValueError("is not the ending of a name: begin it with a dot, as in .html")
    return value


def _check_pattern(value: str) -> str:
    if not value:
        raise ValueError("takes no file: write a name, or a pattern such as *.html or /assets/*")
    return value


def _check_type(value: str) -> str:
    name, *parameters = value.split(";")
    parts = name.split("/")
    are_tokens = len(parts) == 2 and all(map(_TOKEN.fullmatch, parts))
    if not are_tokens or not all("=" in each and each.isascii() and each.isprintable() for each in parameters):
        raise ValueError("is not a media type: write one such as text/html, in lower case")
    return value


def _check_dot_name(value: str) -> str:
    if value != "*" and (not value.startswith(".") or "/" in value or value in {".", ".."}):
        raise ValueError("is not a name with a dot in front: write one such as .well-known, or * for all")
    return value


def _check_charset(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:-]+", value):
        raise ValueError("is not a charset: write for example utf-8, or null to say none")
    return value


Name = Annotated[str, AfterValidator(_check_name)]
RootedPath = Annotated[str, AfterValidator(_check_path)]
Ending = Annotated[str, AfterValidator(_check_ending)]
FilePattern = Annotated[str, AfterValidator(_check_pattern)]
MediaType = Annotated[str, AfterValidator(_check_type)]
DotName = Annotated[str, AfterValidator(_check_dot_name)]
Charset = Annotated[str, AfterValidator(_check_charset)]


class CacheRule(ConfigModel):
    """The Cache-Control of some files."""

    files: Annotated[tuple[FilePattern, ...], Field(min_length=1)]
    """Which: names such as ``*.html``, paths below the root such as ``/assets/*``."""

    control: HeaderValue | None = None
    """The value of Cache-Control as it is sent."""

    max_age: Duration | None = None
    """How long a copy may be used without asking; 0 has each use ask first (``no-cache``)."""

    immutable: bool = False
    """The content of such a file never changes, as its name has a hash of it: a year, and ``immutable``."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.control is not None) + (self.max_age is not None) + self.immutable != 1:
            raise ValueError("write exactly one of control, max_age and immutable")
        return self

    @property
    def value(self) -> str:
        """The value of Cache-Control."""
        if self.immutable:
            return f"max-age={_YEAR}, immutable"
        if self.control is not None:
            return self.control
        return f"max-age={int(self.max_age)}" if self.max_age else "no-cache"


class StaticConfig(ConfigModel):
    """Files of a directory, in the place of an upstream's responses.

    The file is what the path that would go upstream names below ``root``: ``strip_path`` and ``rewrite`` of the route
    count.
    """

    root: DirectoryName
    """The directory. It may be a link, which is followed for each request: point it elsewhere to deploy."""

    index: tuple[Name, ...] = ("index.html",)
    """What is sent of a directory: the first of these that it has."""

    extensions: tuple[Ending, ...] = ()
    """What is appended to a path that names nothing: with ``.html``, ``/about`` is ``about.html``."""

    fallback: RootedPath | None = None
    """The file that is sent with 200 in the place of a page that there is not, for applications that have their routes
    in the browser: where the client accepts ``text/html``, or the path's last segment has no dot."""

    not_found: RootedPath | None = None
    """The file that is sent with 404 where there is no file."""

    fallthrough: bool = False
    """Whether requests for what is no file, and those of other methods than GET and HEAD, go on to the route's target
    in the place of 404 and 405."""

    listing: bool = False
    """Whether a directory without an index is listed, as HTML, or as JSON if the client prefers that."""

    dot_names: tuple[DotName, ...] = (".well-known",)
    """Files and directories with a dot in front of their names that are served; ``*`` for all. Others are not there."""

    hide: tuple[FilePattern, ...] = ()
    """Files and directories that are not there, such as ``*.map`` or ``/private``."""

    symlinks: bool = False
    """Whether links are followed that stay below the root. Others are never followed."""

    precompressed: tuple[Coding, ...] = ()
    """Variants that are beside the files (``app.js.br``, ``.zst``, ``.gz``), the preferred one first. One that is older
    than its file is not sent."""

    cache: tuple[CacheRule, ...] = ()
    """The Cache-Control of files: the first rule that takes a file. None is sent for other files."""

    types: dict[Ending, MediaType] = {}
    """Content types by ending, beside those that are known."""

    default_type: MediaType = "application/octet-stream"
    """The content type of other files."""

    charset: Charset | None = "utf-8"
    """The charset of files of type ``text/*``; null says none."""

    etag: EtagKind = "strong"
    """``strong``, ``weak`` or ``none``: made of size and time of modification."""

    last_modified: bool = True
    """Whether Last-Modified is sent."""

    max_ranges: Annotated[int, Field(strict=True, ge=0, le=100)] = 10
    """Ranges that one request may ask for; of more the whole file is sent. 0 switches ranges off."""

    threads: Annotated[int, Field(strict=True, ge=1, le=64)] = 8
    """Threads that read files, in each worker."""
