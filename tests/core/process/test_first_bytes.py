from __future__ import annotations

import pytest
from gateway_core.process.first_bytes import MOST_PEEKED, ClientHello, FirstBytes, HelloReader
from hypothesis import given
from hypothesis import strategies as st

from tests.core.process.hellos import POST_QUANTUM, client_hello, in_records

HELLOS = [client_hello("a.test"), client_hello("a.test", POST_QUANTUM)]
SPREAD = [*HELLOS, in_records(HELLOS[0], 7), in_records(HELLOS[1], 100), in_records(HELLOS[1], 1)]


def read(data: bytes) -> FirstBytes | ClientHello:
    return HelloReader().read(data)


@pytest.mark.parametrize("hello", SPREAD, ids=len)
def test_a_client_hello_is_waited_for_as_a_whole(hello: bytes) -> None:
    reader = HelloReader()

    for size in range(1, len(hello)):
        assert reader.read(hello[:size]) is FirstBytes.MORE
        assert size < reader.needed <= len(hello)
    assert reader.read(hello) == ClientHello("a.test")
    assert read(hello + b"more") == ClientHello("a.test")


@given(st.sampled_from(SPREAD), st.lists(st.integers(1, 5000), max_size=8))
def test_it_does_not_matter_how_a_client_hello_is_cut(hello: bytes, cuts: list[int]) -> None:
    reader = HelloReader()

    for cut in sorted(cut for cut in cuts if cut < len(hello)):
        assert reader.read(hello[:cut]) is FirstBytes.MORE
    assert reader.read(hello) == ClientHello("a.test")


@pytest.mark.parametrize(
    ("name", "read_as"), [("A.Test", "a.test"), ("b.test.", "b.test"), ("xn--bcher-kva.test", "xn--bcher-kva.test")]
)
def test_server_names_are_compared_without_case_and_final_dot(name: str, read_as: str) -> None:
    assert read(client_hello(name)) == ClientHello(read_as)


@pytest.mark.parametrize("name", [None, "192.0.2.1"])
def test_a_client_need_not_name_a_server(name: str | None) -> None:
    assert read(client_hello(name)) == ClientHello("")


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1", b"P", b"PRI * HTTP/2.0", b"\r\nGET", b"\nGET", b"get"])
def test_a_request_without_tls_is_text(start: bytes) -> None:
    assert read(start) is FirstBytes.TEXT


@pytest.mark.parametrize(
    "start",
    [
        b"\x00",
        b"\x80\x2e\x01",
        b"\x15\x03\x01\x00\x02",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x02aaa",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",  # a ServerHello
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",  # an empty ClientHello
        pytest.param(in_records(HELLOS[0], 50)[:55] + b"\x15\x03\x01\x00\x02\x01\x00", id="an alert between records"),
    ],
)
def test_what_is_neither_is_for_the_tls_library_to_refuse(start: bytes) -> None:
    assert read(start) is FirstBytes.OTHER


@pytest.mark.parametrize(("labels", "is_read"), [(127, True), (128, False), (8000, False)])
def test_a_name_that_is_too_long_for_a_host_is_for_the_tls_library_to_refuse(labels: int, is_read: bool) -> None:
    name = b"a." * labels
    old = b"a" * 60 + b".test"
    hello = client_hello(old.decode())[5:]
    at = hello.index(old) - 9  # type and size of the extension, size of the list, type and size of the name
    sizes = [len(name) + 5, len(name) + 3, len(name)]
    extension = b"\0\0%b%b\0%b" % tuple(size.to_bytes(2) for size in sizes)
    behind = hello[at + 9 + len(old) :]
    extensions = extension + name + behind  # the server name is the first of OpenSSL's
    message = hello[4 : at - 2] + len(extensions).to_bytes(2) + extensions
    message = b"\x01" + len(message).to_bytes(3) + message

    expected = ClientHello(name.decode().rstrip(".")) if is_read else FirstBytes.OTHER
    assert read(b"\x16\x03\x01" + len(message).to_bytes(2) + message) == expected


def test_a_client_hello_without_end_is_not_waited_for() -> None:
    endless = b"\x16\x03\x01" + (4096).to_bytes(2) + b"\x01\xff\xff\xff" + bytes(4092)
    endless += (b"\x16\x03\x01" + (4096).to_bytes(2) + bytes(4096)) * 16

    assert read(endless) is FirstBytes.OTHER


@given(st.binary(min_size=1, max_size=100) | st.binary(max_size=100).map(HELLOS[0][:60].__add__))
def test_what_is_waited_for_can_still_be_looked_at(data: bytes) -> None:
    reader = HelloReader()

    if reader.read(data) is FirstBytes.MORE:
        assert len(data) < reader.needed <= MOST_PEEKED


@given(st.binary(max_size=200), st.integers(9, 150))
def test_a_client_hello_with_anything_in_it_is_read_or_left_to_the_tls_library(noise: bytes, at: int) -> None:
    hello = bytearray(HELLOS[0])
    hello[at : at + len(noise)] = noise[: len(hello) - at]

    assert read(bytes(hello)) is FirstBytes.OTHER or isinstance(read(bytes(hello)), ClientHello)


@pytest.mark.parametrize(
    ("offered", "is_validation"),
    [
        (("acme-tls/1",), True),
        (("acme-tls/1", "http/1.1"), False),
        (("h2", "acme-tls/1"), False),
        (("h2", "http/1.1"), False),
        ((), False),
    ],
)
def test_a_client_that_speaks_nothing_but_the_protocol_of_validation_is_an_authority(
    offered: tuple[str, ...], is_validation: bool
) -> None:
    assert read(client_hello("a.test", offered)) == ClientHello("a.test", is_validation)


def test_a_server_name_that_spells_the_protocol_is_no_validation() -> None:
    assert read(client_hello("acme-tls.test")) == ClientHello("acme-tls.test", is_validation=False)
