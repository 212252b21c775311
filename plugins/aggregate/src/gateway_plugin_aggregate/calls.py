"""One call: what is sent, and what is read of the response."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from gateway_plugin_sdk import BodyTooLargeError, Clock, Fetched, Headers, Request, UpstreamError, Upstreams
from gateway_plugin_sdk.strict_json import JsonError, read_json

from gateway_plugin_aggregate.caching import Cacheability, read_cacheability
from gateway_plugin_aggregate.config import CallConfig
from gateway_plugin_aggregate.shaping import Change, ShapeError, allowing, denying, renaming, taking
from gateway_plugin_aggregate.templates import (
    BodyTemplate,
    Lookup,
    ValueRefusedError,
    parse_template,
    placeholders_of,
    render_field,
    render_path,
    render_text,
)

REASONS: Final = (
    "dependency", "encoding", "json", "media-type", "shape", "status", "timeout", "too-large", "total-too-large",
    "unavailable", "value",
)  # fmt: skip
"""Why a call failed."""
_SMALL: Final = 4096
"""Bytes that are read of a response that is not used, so that its connection can be used again; and of JSON that is
read and changed in one turn of the event loop."""


class CallFailedError(Exception):
    """A call has no response that can be used."""

    def __init__(self, reason: str, status: int = 502) -> None:
        """Note why.

        :param status: what the client gets if the call is required.
        """
        super().__init__(reason)
        self.reason = reason
        self.status = status


@dataclass(frozen=True, slots=True)
class Part:
    """The response to a call."""

    value: Any
    """All of it, for other calls."""
    taken: Any
    """The part for the client, as it came."""
    size: int
    """Bytes of the body."""
    fields: tuple[tuple[str, str], ...]
    """Fields for the client."""
    cacheability: Cacheability


class Allowance:
    """Bytes that all responses of a request may have yet."""

    __slots__ = ("_left",)

    def __init__(self, most: int) -> None:
        self._left = most

    def spend(self, size: int) -> None:
        """Count bytes.

        :raises CallFailedError: they are too many.
        """
        self._left -= size
        if self._left < 0:
            raise CallFailedError("total-too-large")


class Call:
    """A call, compiled."""

    def __init__(self, config: CallConfig) -> None:
        self.config = config
        self._path = parse_template(config.path)
        self._query = [(quote(name, safe=""), parse_template(text)) for name, text in config.query.items()]
        self._fields = [(name, parse_template(text)) for name, text in config.headers.items()]
        self._body = None if config.body is None else BodyTemplate(config.body)
        self._take = None if config.take is None else taking(config.take)
        self._changes: list[Change] = []
        if config.allow is not None:
            self._changes.append(allowing(config.allow))
        if config.deny:
            self._changes.append(denying(config.deny))
        if config.rename:
            self._changes.append(renaming(config.rename))
        self._passed = frozenset(name.lower() for name in config.client_headers)
        self._read_fields = frozenset(
            "cookie" if each.source == "cookie" else each.name.lower()
            for template in (self._path, *(each for _, each in (*self._query, *self._fields)))
            for each in placeholders_of(template)
            if each.source in {"header", "cookie"}
        )
        if self._body is not None:
            read = [each for each in self._body.placeholders() if each.source in {"header", "cookie"}]
            self._read_fields |= {"cookie" if each.source == "cookie" else each.name.lower() for each in read}

    async def send(
        self,
        upstreams: Upstreams,
        request: Request,
        lookup: Lookup,
        query: Sequence[tuple[str, str]],
        client_body: bytes,
        allowance: Allowance,
        clock: Clock,
    ) -> Part:
        """Make the call.

        :param lookup: returns the values of placeholders.
        :param query: the client's parameters that calls pass on.
        :raises CallFailedError: there is no response, or none that can be used.
        """
        config = self.config
        try:
            target = self._target(query, lookup)
            fields = self._fields_of(request, lookup)
            body = client_body
            if self._body is not None:
                body = self._body.render(lookup, config.max_body_bytes)
                fields.setdefault("Content-Type", "application/json")
        except ValueRefusedError:
            raise CallFailedError("value") from None
        has_authorization = "authorization" in fields
        try:
            async with upstreams.fetch(
                config.target, config.method, target, fields, body, timeout=config.timeout
            ) as response:
                data = await self._read(response, allowance)
                headers = response.headers
        except UpstreamError as error:
            raise CallFailedError("timeout" if error.status == 504 else "unavailable", error.status) from None
        cacheability = read_cacheability(headers, clock.wall(), has_authorization=has_authorization)
        own = tuple((name, value) for name in config.response_headers for value in headers.get_all(name))
        value = await self._parse(data)
        return Part(value, self._taken(value), len(data), own, cacheability)

    def vary(self, part: Part) -> frozenset[str]:
        """Return the names of the client's fields that the response to a call depends on, in lower case."""
        if "*" in part.cacheability.vary:
            return frozenset("*")
        return (part.cacheability.vary & self._passed) | self._read_fields

    async def changed(self, part: Part) -> Any:
        """Return what the client gets of a response; the part is not used again."""
        value = part.taken
        for change in self._changes:
            value = change(value)
            if part.size > _SMALL:
                await asyncio.sleep(0)
        return value

    def _target(self, query: Sequence[tuple[str, str]], lookup: Lookup) -> str:
        path = render_path(self._path, lookup)
        pairs = []
        for name, template in self._query:
            text = render_text(template, lookup)
            if text is not None:
                pairs.append(f"{name}={quote(text, safe='')}")
        wanted = self.config.client_query
        pairs += [f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in query if k in wanted]
        return f"{path}?{'&'.join(pairs)}" if pairs else path

    def _fields_of(self, request: Request, lookup: Lookup) -> Headers:
        names = list(self.config.client_headers)
        if self.config.client_body:
            names += ["Content-Type", "Content-Encoding"]
        fields = Headers((name, value) for name in names for value in request.headers.get_all(name))
        for name, template in self._fields:
            text = render_field(template, lookup)
            if text is not None:
                fields[name] = text
        fields.setdefault("Accept", "application/json")
        fields["Accept-Encoding"] = "identity"  # what is compressed is not read
        return fields

    async def _read(self, response: Fetched, allowance: Allowance) -> bytes:
        config, headers = self.config, response.headers
        length = headers.get("content-length")
        if not 200 <= response.status < 300:
            if length is not None and int(length) <= _SMALL:
                await _skip(response)
            status = response.status if response.status in config.pass_statuses else 502
            raise CallFailedError("status", status)
        if length is not None and int(length) > config.max_body_bytes:
            raise CallFailedError("too-large")
        data = bytearray()
        async for piece in response:
            allowance.spend(len(piece))
            data += piece
            if len(data) > config.max_body_bytes:
                raise CallFailedError("too-large")
        if data:
            if (headers.joined("content-encoding") or "identity").strip(" \t").lower() not in {"identity", ""}:
                raise CallFailedError("encoding")
            if not _is_json(headers.get_all("content-type")):
                raise CallFailedError("media-type")
        return bytes(data)

    async def _parse(self, data: bytes) -> Any:
        if not data:
            return None
        try:
            value = read_json(data)
        except JsonError:
            raise CallFailedError("json") from None
        if len(data) > _SMALL:
            await asyncio.sleep(0)
        return value

    def _taken(self, value: Any) -> Any:
        config = self.config
        if self._take is not None:
            try:
                value = self._take(value)
            except ShapeError:
                raise CallFailedError("shape") from None
        if config.include and config.group is None:
            if value is None:
                return {}
            if not isinstance(value, dict):
                raise CallFailedError("shape")  # its members would be the response's, but there are none
        return value


async def _skip(response: Fetched) -> None:
    try:
        await response.read(_SMALL)
    except (BodyTooLargeError, UpstreamError):
        return  # the connection is closed, and that is all there is to it


def _is_json(types: list[str]) -> bool:
    if len(types) != 1:
        return False
    kind, _, parameters = types[0].lower().partition(";")
    kind = kind.strip(" \t")
    charset = next((each.partition("=")[2] for each in parameters.split(";") if "charset=" in each), "utf-8")
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    return is_json and charset.strip(' \t"') in {"utf-8", "us-ascii"}


def json_bytes(value: Any) -> bytes:
    """Return a value as JSON, without spaces."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
