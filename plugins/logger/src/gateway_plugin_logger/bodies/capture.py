"""Keeps the beginning of a body as it passes by; the body itself is neither changed nor held up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from typing import Final

from gateway_plugin_sdk import BodyFilter, Headers, Record, Request, Response

from gateway_plugin_logger.bodies.text import MediaType, body_text
from gateway_plugin_logger.config.bodies import BodyOptions
from gateway_plugin_logger.filters.expression import compile_predicate

BODY_FIELDS: Final = ("request_body", "response_body")


class _Kept(BodyFilter):
    """The beginning of one body."""

    def __init__(self, most: int, media_type: MediaType, encoding: str) -> None:
        self.room = most
        self.media_type = media_type
        self.encoding = encoding
        self.pieces: list[bytes] = []
        self.size = 0

    def feed(self, data: bytes) -> bytes:
        self.size += len(data)
        if self.room > 0 and data:
            self.pieces.append(data[: self.room])
            self.room -= len(data)
        return data


class BodyCapture:
    """Captures one direction's bodies for one binding."""

    def __init__(
        self,
        key: str,
        options: BodyOptions,
        mask: Callable[[str, MediaType, bool], str],
    ) -> None:
        """Prepare.

        :param key: where a request's state keeps what was captured.
        :param mask: hides what must not be logged of a text; also told of its type and whether it was cut off.
        """
        self._key = key
        self._most = options.max_bytes
        self._mask = mask
        self._is_wanted = _matcher(options.content_types)
        self._when = None if options.when is None else compile_predicate(options.when, undecided=False)

    def watch(self, request: Request, message: Request | Response) -> None:
        """Keep the beginning of a message's body if its type is one of those that are logged."""
        headers: Headers = message.headers
        media_type = MediaType.parse(headers.get("content-type", ""))
        if self._is_wanted(media_type.name):
            kept = _Kept(self._most, media_type, headers.get("content-encoding", "").strip().lower())
            request.state[self._key] = kept
            message.add_body_filter(lambda: kept, observe=True)

    def text(self, request: Request, response: Response, record: Record) -> str | None:
        """Return what was kept as a text that may be logged; None if there is nothing."""
        kept: _Kept | None = request.state.get(self._key)
        if kept is None or not kept.size:
            return None
        if self._when is not None and not self._when(request, response, record):
            return None
        data, is_cut = b"".join(kept.pieces), kept.size > self._most
        return body_text(data, is_cut, kept.media_type, kept.encoding, self._most, self._mask)


def make_capture(
    field: str, options: BodyOptions, binding: str, mask: Callable[[str, MediaType, bool], str]
) -> BodyCapture:
    """Return what captures the bodies for a field of a binding."""
    return BodyCapture(f"logger.{binding}.{field}", options, mask)


def _matcher(patterns: Iterable[str]) -> Callable[[str], object]:
    """Return a function that tells whether a media type is one of the patterns, such as ``text/*``."""
    return re.compile("|".join(translate(pattern.lower()) for pattern in patterns) or "(?!)").match
