from __future__ import annotations

import base64

import pytest
from gateway_plugin_grpc_web.web import TextEncoder, WebType, decode_text, read_type, trailers_frame
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("application/grpc-web", WebType(False, "")),
        ("application/grpc-web+proto", WebType(False, "+proto")),
        (" Application/gRPC-Web-Text+Proto; charset=utf-8", WebType(True, "+proto")),
        ("application/grpc-web-text", WebType(True, "")),
        ("application/grpc", None),
        ("application/grpc-webx", None),
        ("application/grpc-web+", None),
        ("text/plain", None),
        (None, None),
    ],
)
def test_a_content_type_says_the_form_and_the_format(value: str | None, found: WebType | None) -> None:
    assert read_type(value) == found


def test_a_type_has_its_names_in_grpc_and_in_a_response() -> None:
    web = WebType(True, "+proto")

    assert (web.as_grpc, web.named("+json")) == ("application/grpc+proto", "application/grpc-web-text+json")


def test_trailers_are_lines_in_a_frame_whose_first_byte_is_0x80() -> None:
    frame = trailers_frame([("Grpc-Status", "0"), ("x-b", "1")])

    assert frame == b"\x80\x00\x00\x00\x18grpc-status: 0\r\nx-b: 1\r\n"
    assert trailers_frame([]) == b"\x80\x00\x00\x00\x00"


@given(st.lists(st.tuples(st.binary(max_size=20), st.booleans()), max_size=20))
def test_what_is_encoded_in_pieces_is_decoded_as_it_was(pieces: list[tuple[bytes, bool]]) -> None:
    encoder, sent = TextEncoder(), b""

    for data, flushes in pieces:
        sent += encoder.encode(data)
        sent += encoder.flush() if flushes else b""
    sent += encoder.flush()

    assert decode_text(sent) == b"".join(data for data, _ in pieces)


@given(st.binary(max_size=50))
def test_without_flushes_it_is_the_base64_of_all(data: bytes) -> None:
    encoder = TextEncoder()

    sent = b"".join(encoder.encode(data[at : at + 1]) for at in range(len(data))) + encoder.flush()

    assert sent == base64.b64encode(data)


@pytest.mark.parametrize("text", [b"a", b"!!!!", b"ab=c", b"====", b"YQ==!", b"YQ=", "é".encode()])
def test_what_is_no_base64_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_text(text)


def test_sections_and_line_ends_are_no_part_of_what_is_sent() -> None:
    assert decode_text(b"YQ==\r\nYmM=\nZGVm") == b"abcdef"
