"""Health checks of gRPC: one call of ``grpc.health.v1.Health/Check`` over a connection of its own.

A checker (`gateway_core.upstreams.checker`) makes the connection, TLS included, and closes it. Here HTTP/2 is spoken
over it: the preface, one stream with the call, and what comes until that stream ends. Two messages of one field each
are too few for a library of protocol buffers.

    https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway_core.messages.grpc_status import GrpcCode, read_status
from gateway_core.proxy.wire.grpc import timeout_value
from gateway_core.proxy.wire.h2.errors import Http2ConnectionError, name_of
from gateway_core.proxy.wire.h2.fields import MalformedFieldsError, encode_request, response_fields, trailer_fields
from gateway_core.proxy.wire.h2.frames import (
    ACK,
    DATA,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    FrameReader,
    Setting,
    frame,
    headers_frames,
    ping,
    read_number,
    settings_frame,
)
from gateway_core.proxy.wire.h2.hpack import Decoder, FieldsTooLargeError
from gateway_core.proxy.wire.h2.hpack_encoder import encode_integer
from gateway_core.upstreams.checker import CheckFailedError, HealthCall

_STREAM: Final = 1
_MOST_BODY: Final = 4096
"""Bytes of a response: it has one field of one byte."""
_MOST_MESSAGE: Final = 100
"""Characters of ``grpc-message`` that are shown."""
_READ_SIZE: Final = 16384
_PREFIX: Final = 5
"""Bytes before a message: whether it is compressed, and its length."""
_SERVING: Final = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_STATUS_FIELD: Final = 0x08
"""Field 1, a varint: ``HealthCheckResponse.status``."""
_SERVICE_FIELD: Final = 0x0A
"""Field 1, a length and bytes: ``HealthCheckRequest.service``."""


class _Call:
    """What came of the call so far."""

    __slots__ = ("_body", "_decoder", "_fields", "_status")

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._status = 0
        self._fields = b""  # of the head and of the trailers
        self._body = b""

    def take(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        """Take a frame, and return what is to be sent for it.

        :raises CheckFailedError: there will be no response.
        """
        if kind == SETTINGS and not flags & ACK:
            return frame(SETTINGS, ACK, 0)
        if kind == PING and not flags & ACK:
            return ping(payload, is_ack=True)
        if kind == GOAWAY and read_number(payload[:4]) < _STREAM:
            raise CheckFailedError(f"it closed the connection with {name_of(read_number(payload[4:8]))}")
        if kind == HEADERS:  # also of other streams, of which there is none: the table has to be kept
            fields = self._decoder.decode(payload)
            if not self._status:
                status, block = response_fields(fields)
                if status >= 200:
                    self._status, self._fields = status, block
            else:
                self._fields += trailer_fields(fields)
        elif kind == DATA:
            self._body += payload
            if len(self._body) > _MOST_BODY:
                raise CheckFailedError(f"its response is longer than {_MOST_BODY} bytes")
        elif kind == RST_STREAM and stream == _STREAM:
            raise CheckFailedError(f"it reset the call with {name_of(read_number(payload))}")
        return b""

    def judge(self, service: str) -> None:
        """Return if the service is served.

        :raises CheckFailedError: with the reason.
        """
        if self._status != 200:
            raise CheckFailedError(f"responded {self._status}, which is no response of gRPC")
        status = read_status(self._fields)
        if status is None:
            raise CheckFailedError("its response has no grpc-status")
        if status.code:
            text = f": {status.message[:_MOST_MESSAGE]}" if status.message else ""
            if status.code is GrpcCode.NOT_FOUND:
                text = f": it does not know the service {service!r}"
            elif status.code is GrpcCode.UNIMPLEMENTED:
                text = ": it has no service grpc.health.v1.Health"
            raise CheckFailedError(f"responded {status.code.name}{text}")
        serving = _serving_status(self._body)
        if serving != 1:
            raise CheckFailedError(f"responded {_SERVING.get(serving, serving)}, expected SERVING")


async def check_health(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, call: HealthCall) -> None:
    """Call ``Check`` of an endpoint, and return if it responds SERVING.

    :raises CheckFailedError: it does not; with the reason.
    """
    tls = writer.get_extra_info("ssl_object")
    if tls is not None and tls.selected_alpn_protocol() != "h2":
        raise CheckFailedError("it does not speak HTTP/2 (ALPN)")
    head = "\r\n".join(
        [
            "POST /grpc.health.v1.Health/Check HTTP/1.1",
            f"host: {call.authority}",
            "content-type: application/grpc",
            "te: trailers",
            f"grpc-timeout: {timeout_value(call.seconds)}",
            *(f"{name.lower()}: {value}" for name, value in call.fields.items()),
            "",
            "",
        ]
    )
    block = encode_request(head.encode("latin-1"), b"https" if call.is_tls else b"http")
    name = call.service.encode()
    message = bytes((_SERVICE_FIELD,)) + encode_integer(len(name), 7, 0) + name if name else b""
    request = b"\0" + len(message).to_bytes(4, "big") + message
    writer.write(
        b"".join(
            (
                PREFACE,
                settings_frame([(Setting.ENABLE_PUSH, 0)]),
                headers_frames(_STREAM, block, ends=False),
                frame(DATA, END_STREAM, _STREAM, request),
            )
        )
    )
    found = _Call()
    try:
        await _read(reader, writer, found)
    except (Http2ConnectionError, MalformedFieldsError, FieldsTooLargeError) as error:
        raise CheckFailedError(f"what it sent is no response over HTTP/2: {error}") from error
    found.judge(call.service)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, call: _Call) -> None:
    """Read until the stream ends."""
    frames = FrameReader(from_client=False)
    while data := await reader.read(_READ_SIZE):
        for kind, flags, stream, payload, _ in frames.read(data):
            if reply := call.take(kind, flags, stream, payload):
                writer.write(reply)
            if kind in {HEADERS, DATA} and flags & END_STREAM:
                return
    raise CheckFailedError("the connection was closed without a response")


def _serving_status(body: bytes) -> int:
    """Return ``status`` of the one message of a response; a field of 0 is not sent.

    :raises CheckFailedError: there is no such message.
    """
    message = body[_PREFIX:]
    is_message = body[:1] == b"\0" and int.from_bytes(body[1:_PREFIX], "big") == len(message)
    if not is_message or (message and (message[0] != _STATUS_FIELD or len(message) != 2)):
        raise CheckFailedError("its response is no HealthCheckResponse")
    return message[1] if message else 0
