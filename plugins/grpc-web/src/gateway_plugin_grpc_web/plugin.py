"""The plugin: sends calls of gRPC-Web on as calls of gRPC, and their responses back.

Of a request only the Content-Type changes, and the base64 of the text form, which is read whole: a request of a browser
is one message. A response flows: its messages go on as they come, and its trailers become the last frame. A call that
ends without a message (trailers-only), and whatever the gateway, another plugin or an upstream of HTTP responds to such
a call, becomes a response that is that frame alone: pages cannot read trailers, and fields only if CORS lets them.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from gateway_plugin_sdk import BadBodyError, BodyFilter, Headers, Plugin, Request, Response, hookimpl

from gateway_plugin_grpc_web.config import GrpcWebConfig
from gateway_plugin_grpc_web.statuses import message_for, status_for
from gateway_plugin_grpc_web.web import TextEncoder, WebType, decode_text, read_type, trailers_frame

_GRPC: Final = "application/grpc"
_STATUS: Final = "grpc-status"
_IN_TRAILERS: Final = (_STATUS, "grpc-message", "grpc-status-details-bin")
"""Fields of a trailers-only response that are trailers."""


class GrpcWeb(Plugin[GrpcWebConfig]):
    """Lets browsers call services of gRPC."""

    name = "grpc-web"
    config_model = GrpcWebConfig
    responses = "all"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Awaitable[None] | None:
        """Make a call of gRPC of the request."""
        web = read_type(request.headers.get("content-type"))
        if web is None or request.method != "POST":
            return None
        request.headers["content-type"] = web.as_grpc
        request.headers.remove("x-grpc-web")
        request.headers.remove("accept")
        return self._decode(request) if web.is_text else None

    async def _decode(self, request: Request) -> None:
        text = await request.read(self.config.max_text_bytes)
        try:
            body = decode_text(text)
        except ValueError:
            raise BadBodyError("the request is no base64") from None
        request.set_body(body)

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        """Make a response of gRPC-Web of what is sent to such a call."""
        received = request.received
        web = read_type(received.headers.get("content-type")) if received.method == "POST" else None
        if web is None or response.status == 101:
            return
        content_type = response.headers.get("content-type") or ""
        if response.status == 200 and content_type.lower().startswith(_GRPC):
            suffix = content_type[len(_GRPC) :].partition(";")[0].strip(" \t")
            response.headers["content-type"] = web.named(suffix or web.suffix)
            if response.headers.get(_STATUS) is None:
                response.add_body_filter(lambda: WebBody(is_text=web.is_text))
                return
            trailers = _take_trailers(response.headers)
        else:
            body = response.body if response.produced_by != "upstream" else None
            trailers = [
                (_STATUS, str(status_for(response.status, response.failure))),
                ("grpc-message", message_for(response.status, body)),
            ]
            response.status = 200
            response.headers["content-type"] = web.named(web.suffix)
            response.headers.remove("content-encoding")
        response.set_body(_encoded(trailers_frame(trailers), web))


class WebBody(BodyFilter):
    """Puts the trailers behind the messages."""

    def __init__(self, *, is_text: bool) -> None:
        """Begin.

        :param is_text: whether all of it is sent in base64.
        """
        self._text = TextEncoder() if is_text else None

    def feed(self, data: bytes) -> bytes:
        """Return messages as they come."""
        return data if self._text is None else self._text.encode(data)

    def flush(self) -> bytes:
        """Return what waits for more bytes to make base64 of: a message of a stream must not wait for the next one."""
        return b"" if self._text is None else self._text.flush()

    def finish(self, trailers: Headers) -> bytes:
        """Return the frame of trailers, of which none are left."""
        fields = list(trailers.items())
        if trailers.get(_STATUS) is None:
            fields += [(_STATUS, "2"), ("grpc-message", "the response has no grpc-status")]
        for name in {name for name, _ in trailers.items()}:
            trailers.remove(name)
        frame = trailers_frame(fields)
        return frame if self._text is None else self._text.encode(frame) + self._text.flush()


def _take_trailers(headers: Headers) -> list[tuple[str, str]]:
    """Move the trailers out of the head of a call that ended without a message."""
    found = [(name, value) for name in _IN_TRAILERS for value in headers.get_all(name)]
    for name in _IN_TRAILERS:
        headers.remove(name)
    return found


def _encoded(frame: bytes, web: WebType) -> bytes:
    if not web.is_text:
        return frame
    encoder = TextEncoder()
    return encoder.encode(frame) + encoder.flush()
