"""The pages of the dashboard by path."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import cache, partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

from aiohttp import web

from gateway_core.admin.replies import SECURITY_FIELDS, Reply

DASHBOARD: Final = "/dashboard/"

_TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

_POLICY: Final = (
    SECURITY_FIELDS["Content-Security-Policy"] + "; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Text can become markup nowhere, whatever a script does with it (W3C Trusted Types)."""


class StaticFile(NamedTuple):
    """A file as it is sent."""

    body: bytes
    content_type: str
    etag: str


def dashboard_pages() -> dict[str, Callable[[web.BaseRequest], Awaitable[Reply]]]:
    """Return what responds at each path; other paths have nothing, so no name of a file is made of a request."""
    pages = {f"{DASHBOARD}{name}": partial(_send, name) for name in _static_files()}
    index = partial(_send, "index.html")
    return {**pages, DASHBOARD: index, DASHBOARD.removesuffix("/"): _redirect, "/": _redirect_for_now}


async def _send(name: str, request: web.BaseRequest) -> Reply:
    file = _static_files()[name]
    # A browser asks every time whether its copy is the one of the gateway that runs, and mostly gets 304.
    headers = {"ETag": file.etag, "Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
    known = {tag.value for tag in request.if_none_match or ()}  # weak ones as well (RFC 9110 section 13.1.2)
    if known & {"*", file.etag.strip('"')}:
        return Reply(status=304, headers=headers)
    return Reply(body=file.body, headers={**headers, "Content-Type": f"{file.content_type}; charset=utf-8"})


async def _redirect(_request: web.BaseRequest) -> Reply:
    return Reply(status=308, headers={"Location": DASHBOARD})


async def _redirect_for_now(_request: web.BaseRequest) -> Reply:
    # A browser would remember a permanent one for whatever listens on the port later. It is relative, since a proxy may
    # have put the listener below a path of its own.
    return Reply(status=307, headers={"Location": DASHBOARD.removeprefix("/")})


@cache
def _static_files() -> Mapping[str, StaticFile]:
    root = files("gateway_core.admin.dashboard") / "static"
    return {name: _read(file) for name, file in _walk(root, "") if name[name.rfind(".") :] in _TYPES}


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _walk(each, f"{prefix}{each.name}/")
        else:
            yield f"{prefix}{each.name}", each


def _read(file: Traversable) -> StaticFile:
    body = file.read_bytes()
    return StaticFile(body, _TYPES[file.name[file.name.rfind(".") :]], f'"{hashlib.sha256(body).hexdigest()[:32]}"')
