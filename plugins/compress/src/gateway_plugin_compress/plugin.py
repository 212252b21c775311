"""The plugin: compresses responses as they pass, and decompresses requests."""

from __future__ import annotations

from functools import partial
from typing import Final

from gateway_plugin_sdk import (
    EarlyHead,
    EarlyPass,
    FieldNames,
    Headers,
    Plugin,
    PluginContext,
    Request,
    Response,
    hookimpl,
)

from gateway_plugin_compress.compressors import compressor_of
from gateway_plugin_compress.config import Coding, CompressConfig
from gateway_plugin_compress.decompressors import Decompress
from gateway_plugin_compress.negotiation import LONGEST, Types, choose_coding

_MOST_KNOWN: Final = 256
_MOST_CODINGS: Final = 2
"""Codings that a request may have one over the other: more is an attack."""
_PARTIAL: Final = 206
_NOT_MODIFIED: Final = 304
_CODED: Final = FieldNames(["content-encoding"])
_UNCHANGED: Final = EarlyPass()


class Compress(Plugin[CompressConfig]):
    """Compresses responses for clients that accept it."""

    name = "compress"
    config_model = CompressConfig
    responses = "all"
    encodes_responses = True
    early_headers = frozenset({"content-encoding"})

    def __init__(self, config: CompressConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self._types = Types(config.types)
        self._makers = {coding: compressor_of(coding, config.levels) for coding in config.codings}
        self._chosen: dict[bytes, Coding | None] = {}
        idle = {"gateway_pre_proxy": config.requests is None, "gateway_response": not config.codings}
        self.idle_hooks = frozenset(name for name, is_idle in idle.items() if is_idle)

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        """Have a request's body decompressed."""
        options = self.config.requests
        present = request.headers.joined("Content-Encoding")
        if present is None or options is None:
            return None
        names = [name.strip(" \t").lower() for name in present.split(",")]
        codings = [{"x-gzip": "gzip"}.get(name, name) for name in names if name not in {"", "identity"}]
        if len(codings) > _MOST_CODINGS or not set(codings) <= set(options.codings):
            fields = {"Accept-Encoding": ", ".join(options.codings)}
            return Response.problem(415, "the content encoding of this request is not accepted", headers=fields)
        request.headers.remove("Content-Encoding")
        for coding in reversed(codings):
            request.add_body_filter(partial(Decompress, coding, options.max_size))  # type: ignore[arg-type]  # one of these
        return None

    def passes_early(self, head: EarlyHead) -> EarlyPass | None:
        """Let a request pass that says nothing of a coding."""
        return None if head.has_any(_CODED) else _UNCHANGED

    def ignores_response(self, status: int, headers: Headers) -> bool:  # noqa: ARG002
        """Return whether a response is of no type that is compressed, or is not to be changed."""
        content_type = headers.get_bytes("Content-Type")
        return content_type is None or not self._types.have(content_type) or _is_left(headers)

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        """Have a response's body compressed."""
        content_type = response.first_value("Content-Type")
        if content_type is None or not self._types.have(content_type):
            return
        headers = response.headers
        if _is_left(headers):
            return
        headers.add_vary("Accept-Encoding")
        # What the client sent: another plugin may keep the upstream from compressing.
        accepted = request.received.first_value("Accept-Encoding")
        coding = None if accepted is None else self._choose(accepted, request)
        if coding is None or not self._is_worth_it(request, response):
            return
        etag = headers.get("ETag")
        if etag is not None and not etag.startswith("W/"):
            headers["ETag"] = f"W/{etag}"
        if response.status == _NOT_MODIFIED:
            return  # it speaks of the compressed response, and has no body
        headers["Content-Encoding"] = coding
        headers.remove("Accept-Ranges")  # ranges are those of the body as the upstream has it
        response.add_body_filter(self._makers[coding])

    def _choose(self, accepted: bytes, request: Request) -> Coding | None:
        if accepted in self._chosen:
            return self._chosen[accepted]
        fields = request.received.headers
        value = fields.joined("Accept-Encoding") or ""
        coding: Coding | None = choose_coding(value, self.config.codings)  # type: ignore[assignment]  # one of them
        if len(accepted) <= LONGEST and fields.count("Accept-Encoding") == 1:
            if len(self._chosen) >= _MOST_KNOWN:
                self._chosen.clear()
            self._chosen[accepted] = coding
        return coding

    def _is_worth_it(self, request: Request, response: Response) -> bool:
        if response.status == _PARTIAL or "Content-Range" in response.headers:
            return False
        length = response.content_length
        if length is not None and length < self.config.min_size:
            return False
        if self.config.secrets:
            fields = request.received.headers
            return request.identity is None and "Cookie" not in fields and "Authorization" not in fields
        return True


def _is_left(headers: Headers) -> bool:
    """Return whether a response has a coding already, or must not get one (RFC 9111 section 5.2.2.6)."""
    return "Content-Encoding" in headers or _says(headers.joined("Cache-Control"), "no-transform")


def _says(value: str | None, directive: str) -> bool:
    return value is not None and any(each.strip(" \t").lower() == directive for each in value.split(","))
