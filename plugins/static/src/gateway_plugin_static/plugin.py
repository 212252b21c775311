"""The plugin: responds with files of a directory in the place of an upstream.

What the kernel has in memory is found and read at once (:mod:`gateway_plugin_static.cached`). Other requests are looked
up in a thread (:mod:`gateway_plugin_static.lookup`), as each step may wait for a disk. A small file is read there as
well; of a larger one the descriptor comes back, and the body reads it piece by piece
(:mod:`gateway_plugin_static.body`). Whatever becomes of the request, the descriptor is closed: by the body, which is
closed on every end, or here if the request ends before there is a response.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Final

from gateway_plugin_sdk import ConfigFinding, Plugin, PluginContext, Request, Response, hookimpl
from gateway_plugin_sdk.conditions import Validators, may_send_ranges, verdict
from gateway_plugin_sdk.ranges import Range, Ranges, content_range, multipart, parse_ranges

from gateway_plugin_static import listing
from gateway_plugin_static.beneath import NotServedError, open_beneath
from gateway_plugin_static.body import ChangedError, FileBody, length_of
from gateway_plugin_static.cached import CachedLookup
from gateway_plugin_static.config import StaticConfig
from gateway_plugin_static.encodings import accepted_codings
from gateway_plugin_static.lookup import Found, FoundDirectory, FoundFile, FoundListing, Lookup, Query
from gateway_plugin_static.media_types import MediaTypes
from gateway_plugin_static.names import names_of
from gateway_plugin_static.patterns import FilePatterns
from gateway_plugin_static.validators import validators_of

_METHODS: Final = frozenset({"GET", "HEAD"})
_MOST_WAITING: Final = 1024
"""Requests that wait for a thread; more get 503, so that a disk that hangs does not fill the memory."""


class Static(Plugin[StaticConfig]):
    """Serves files."""

    name = "static"
    config_model = StaticConfig

    def __init__(self, config: StaticConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self._lookup = Lookup(config)
        self._cached = CachedLookup(config, self._lookup)
        self._types = MediaTypes(config.types, config.default_type, config.charset)
        self._cache = [(FilePatterns(rule.files), rule.value) for rule in config.cache]
        self._fallback = _names(config.fallback)
        self._not_found = _names(config.not_found)
        self._waiting = 0
        self._reported: set[str] = set()
        self._failures = self.metrics.counter(
            "gateway_static_failures", "Files that could not be sent.", ("route", "binding", "kind")
        )
        for kind in ("busy", "permission", "changed"):  # from 0 on, so that the first failure is an increase
            self._failures.labels(context.route or "", context.binding, kind)
        self.provides = frozenset() if config.fallthrough else frozenset({"response"})

    @classmethod
    def check_config(cls, config: StaticConfig) -> Iterable[ConfigFinding]:
        """Look for the files that are named, and for what has no effect."""
        for key, path in (("fallback", config.fallback), ("not_found", config.not_found)):
            if path is not None and (reason := _why_not_served(config, path)):
                message = f"{path} {reason} below {config.root}: create it, or correct the path"
                yield ConfigFinding((key,), message, code="file-missing")
        if config.fallthrough and config.not_found is not None:
            message = "has no effect, as fallthrough sends such requests to the target: leave out one of both"
            yield ConfigFinding(("not_found",), message, code="no-effect", severity="warning")

    async def start(self) -> None:
        """Start the threads that read files."""
        self._threads = ThreadPoolExecutor(self.config.threads, thread_name_prefix="static")

    async def stop(self) -> None:
        """End them, after what they do."""
        self._threads.shutdown(wait=False)

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | Awaitable[Response | None] | None:
        """Respond with a file."""
        if request.method not in _METHODS:
            if self.config.fallthrough:
                return None
            return Response.problem(405, "files are only read", headers={"Allow": "GET, HEAD"})
        names = names_of(request.sent_path, self.config.dot_names)
        accepted = request.headers.joined("Accept-Encoding") if self.config.precompressed else None
        codings = accepted_codings(accepted, self.config.precompressed)
        query = Query(names or (), _ends_in_slash(request), codings, request.method == "GET")
        found = None if names is None else self._cached.find(query)
        if found is not None:
            return self._file(request, found)
        return self._respond(request, query, has_names=names is not None)

    async def _respond(self, request: Request, query: Query, *, has_names: bool) -> Response | None:
        if self._waiting >= _MOST_WAITING:
            self._count("busy")
            return Response.problem(503, "too many requests wait for files", headers={"Retry-After": "1"})
        try:
            if not has_names:
                return None if self.config.fallthrough else await self._missing(request, query)
            return await self._look_up(request, query)
        except PermissionError as error:
            self._report("permission", f"a file may not be read: {error}")
            return await self._missing(request, query)
        except ChangedError:
            self._report("changed", f"a file changes each time that it is read: /{'/'.join(query.names)!r}")
            return Response.problem(503, "the file is being changed", headers={"Retry-After": "1"})

    async def _look_up(self, request: Request, query: Query) -> Response | None:
        found = await self._in_thread(self._lookup.find, query)
        if isinstance(found, FoundFile):
            return self._file(request, found)
        if found is not None:
            return _with_slash(request) if isinstance(found, FoundDirectory) else _listed(request, query, found)
        if self._fallback is not None:
            is_file = "." in request.sent_path.rpartition("/")[2]
            accept = request.headers.joined("Accept")
            page = None
            if not is_file or (accept is not None and "text/html" in accept.lower()):
                page = await self._in_thread(self._lookup.file, self._fallback, query)
            response = self._file(request, page) if isinstance(page, FoundFile) else None
            response = response or (None if self.config.fallthrough else await self._missing(request, query))
            if response is not None and is_file:
                response.headers.add_vary("Accept")
            return response
        return None if self.config.fallthrough else await self._missing(request, query)

    async def _in_thread(self, function: Callable[..., Found | None], *arguments: object) -> Found | None:
        job: Future[Found | None] = self._threads.submit(function, *arguments)
        self._waiting += 1
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            job.add_done_callback(_discard)
            raise
        finally:
            self._waiting -= 1

    async def _missing(self, request: Request, query: Query) -> Response:
        if self._not_found is not None:
            page = await self._in_thread(self._lookup.file, self._not_found, query)
            if isinstance(page, FoundFile):
                headers = [("Content-Type", self._types.type_of(page.names[-1])), *self._variant_fields(page)]
                return self._with_body(request, 404, page, headers, [(0, page.size)])
        return Response.problem(404, "there is no such file")

    # -- responses

    def _file(self, request: Request, found: FoundFile) -> Response:
        """Return the response to a request for a file that is there."""
        config, size = self.config, found.size
        validators = validators_of(
            found.modified_ns, size, self.clock.wall(),
            etag=config.etag, has_modified=config.last_modified, coding=found.coding or "",
        )  # fmt: skip
        fields = self._fields(found, validators)
        outcome = verdict(request.headers, validators)
        if outcome != "send":
            found.close()
            if outcome == "not-modified":
                return Response(304, b"", fields)
            return Response.problem(412, "the file is not the version that the request is about")
        media_type = self._types.type_of(found.names[-1])
        fields += self._variant_fields(found, has_vary=False)
        ranges = self._ranges(request, size, validators)
        if ranges == "unsatisfiable":
            found.close()
            return Response.problem(416, "the file has no such bytes", headers={"Content-Range": f"bytes */{size}"})
        if ranges == "whole":
            return self._with_body(request, 200, found, [("Content-Type", media_type), *fields], [(0, size)])
        if len(ranges) == 1:
            fields = [("Content-Type", media_type), ("Content-Range", content_range(ranges[0], size)), *fields]
            return self._with_body(request, 206, found, fields, ranges)
        boundary = secrets.token_hex(16)
        fields = [("Content-Type", f"multipart/byteranges; boundary={boundary}"), *fields]
        return self._with_body(request, 206, found, fields, multipart(ranges, size, media_type, boundary))

    def _ranges(self, request: Request, size: int, validators: Validators) -> Ranges:
        values = request.headers.get_all("Range")
        # Ranges are defined for GET alone (RFC 9110 section 14.2).
        if len(values) != 1 or request.method != "GET" or not self.config.max_ranges:
            return "whole"
        if not may_send_ranges(request.headers, validators):
            return "whole"
        return parse_ranges(values[0], size, self.config.max_ranges)

    def _fields(self, found: FoundFile, validators: Validators) -> list[tuple[str, str]]:
        """Return the fields that 200, 206 and 304 have in common (RFC 9110 section 15.4.5)."""
        fields = [("Vary", "Accept-Encoding")] if self.config.precompressed else []
        if validators.etag is not None:
            fields.append(("ETag", validators.etag))
        if validators.last_modified is not None:
            fields.append(("Last-Modified", validators.last_modified))
        fields += [("Cache-Control", value) for patterns, value in self._cache if patterns.take(found.names)][:1]
        return [*fields, ("Accept-Ranges", "bytes")] if self.config.max_ranges else fields

    def _variant_fields(self, found: FoundFile, *, has_vary: bool = True) -> list[tuple[str, str]]:
        fields = [("Vary", "Accept-Encoding")] if self.config.precompressed and has_vary else []
        return fields if found.coding is None else [*fields, ("Content-Encoding", found.coding)]

    def _with_body(
        self,
        request: Request,
        status: int,
        found: FoundFile,
        fields: list[tuple[str, str]],
        parts: Sequence[bytes | Range],
    ) -> Response:
        if found.content is not None:
            whole = found.content
            body = b"".join(part if isinstance(part, bytes) else whole[slice(*part)] for part in parts)
            return Response(status, body, fields)
        fields = [*fields, ("Content-Length", str(length_of(parts)))]
        file = found.file
        if request.method == "HEAD":
            found.close()
            parts = ()
        return Response(status, FileBody(file, parts, self._threads, partial(self._cut, request)), fields)

    # -- what goes wrong

    def _cut(self, request: Request) -> None:
        """Cut off a response whose file was changed while it was sent."""
        self._report("changed", "a file was changed while it was sent: replace files by renaming others over them")
        request.abort("static.changed")

    def _report(self, kind: str, text: str) -> None:
        """Count a failure; the first of its kind is logged, since clients can cause more of them at will."""
        self._count(kind)
        if kind not in self._reported:
            self._reported.add(kind)
            self.log.warning("%s (more of this kind are counted as gateway_static_failures_total)", text)

    def _count(self, kind: str) -> None:
        self._failures.labels(self.context.route or "", self.context.binding, kind).inc()


def _discard(job: Future[Found | None]) -> None:
    """Close what a thread opened for a request that had ended by then."""
    if not job.cancelled() and job.exception() is None and (found := job.result()) is not None:
        found.close()


def _names(path: str | None) -> tuple[str, ...] | None:
    return None if path is None else tuple(path.split("/"))


def _why_not_served(config: StaticConfig, path: str) -> str:
    """Return why a file that the configuration names cannot be sent; an empty text if it can."""
    try:
        opened = open_beneath(config.root, path.split("/"), config.symlinks)
    except NotServedError:
        return "is no file"
    except OSError as error:
        return f"cannot be read ({(error.strerror or str(error)).lower()})"
    opened.close()
    return "is a directory" if opened.is_directory else ""


def _ends_in_slash(request: Request) -> bool:
    """Return whether the path names a directory, as the client sees it.

    A route that strips its prefix leaves ``/`` of the prefix itself. Relative links of a page that is sent there would
    start from the directory above, so it counts as without a slash, if the route takes it with one.
    """
    sent, raw = request.sent_path, request.raw_path
    if not sent.endswith("/") or raw.endswith("/") or request.route is None or request.route.rewrite is None:
        return sent.endswith("/")
    try:
        return request.route.rewrite(request.path_params, f"{raw}/x") != f"{sent}x"
    except ValueError:
        return True


def _with_slash(request: Request) -> Response:
    """Redirect to the directory's own URL, with the query as it was sent."""
    # A Location that begins with `//` names a host (RFC 3986 section 4.2).
    location = "/" + request.raw_path.strip("/") + "/"
    query = f"?{request.query_string}" if request.query_string else ""
    return Response.redirect(location + query, 308)


def _listed(request: Request, query: Query, found: FoundListing) -> Response:
    entries = listing.in_order(found.entries)
    if listing.prefers_json(request.headers.joined("Accept")):
        return Response(200, listing.as_json(entries), [("Content-Type", listing.JSON), *listing.FIELDS])
    page = listing.as_html(request.path, entries, has_parent=bool(query.names))
    return Response(200, page, [("Content-Type", listing.HTML), *listing.FIELDS])
