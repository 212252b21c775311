from __future__ import annotations

import contextlib
import re

import pytest
from gateway_core.config.address import (
    ListenAddress,
    Origin,
    check_host_pattern,
    is_host,
    overlap,
    parse_listen,
    parse_origin,
)
from gateway_core.config.values import InvalidValueError
from gateway_core.process.sockets import BindError, bind
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", ListenAddress("127.0.0.1", 8080)),
        (":8080", ListenAddress("", 8080)),
        ("[::1]:8080", ListenAddress("::1", 8080)),
        ("[::]:0", ListenAddress("::", 0)),
        ("[::ffff:127.0.0.1]:8080", ListenAddress("127.0.0.1", 8080)),
        ("[::ffff:0:0]:8080", ListenAddress("0.0.0.0", 8080)),
        ("localhost:80", ListenAddress("localhost", 80)),
        ("unix:/run/gateway.sock", ListenAddress(path="/run/gateway.sock")),
    ],
)
def test_listen_addresses(text: str, address: ListenAddress) -> None:
    assert parse_listen(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8080",
        "localhost",
        "::1:8080",
        "[::1]",
        "[x]:80",
        "a b:80",
        "h:x",
        "h:70000",
        "h:-1",
        "unix:",
        "unix:a",
        "http://h:80",
        "h:٣",
    ],
)
def test_what_is_no_listen_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError):
        parse_listen(text)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("http://127.0.0.1:8081", Origin("http", "127.0.0.1", 8081)),
        ("http://users", Origin("http", "users", 80)),
        ("https://users.example.com/", Origin("https", "users.example.com", 443)),
        ("http://[::1]:8081", Origin("http", "::1", 8081)),
        ("http://[::1]", Origin("http", "::1", 80)),
        ("http://a_b:1", Origin("http", "a_b", 1)),
    ],
)
def test_origins(text: str, origin: Origin) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("users", "not an http or https URL"),
        ("ftp://users", "not an http or https URL"),
        ("http:users", "not an http or https URL"),
        ("http://", "no valid host"),
        ("http://:80", "no valid host"),
        ("http://256.1.1.1", "no valid host"),
        ("http://a b", "a space"),
        ("http://h/path", "has a path"),
        ("http://h?q", "a query"),
        ("http://h#f", "a fragment"),
        ("http://u:p@h", "credentials"),
        ("http://@h", "credentials"),
        ("http://h:0", "no port"),
        ("http://h:99999", "no port"),
        ("http://h:x", "no port"),
        ("http://[::1", "is not a URL"),
    ],
)
def test_what_is_more_or_less_than_an_origin_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidValueError, match=reason):
        parse_origin(text)


def test_authority_puts_brackets_around_ipv6() -> None:
    assert parse_origin("http://[::1]:8081").authority == "[::1]:8081"
    assert parse_origin("http://users").authority == "users:80"


@pytest.mark.parametrize("text", ["a", "a-b.c", "xn--bcher-kva.example", "127.0.0.1", "::1", "a.", "_dmarc.example"])
def test_hosts(text: str) -> None:
    assert is_host(text)


@pytest.mark.parametrize("text", ["", "-a", "a-", "a..b", ".a", "a/b", "a b", "1.2.3", "300.1.1.1", "a" * 64, "ü"])
def test_no_hosts(text: str) -> None:
    assert not is_host(text)


@given(st.text() | st.text("http:/[]@1.a%?#", max_size=20).map("http://".__add__))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_listen, parse_origin):
        try:
            parse(text)
        except InvalidValueError:
            continue


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("münchen.de", "xn--mnchen-3ya.de"),
        ("*.BÜCHER.example", "*.xn--bcher-kva.example"),
        ("shop.例え.jp", "shop.xn--r8jz45g.jp"),
    ],
)
def test_a_name_beyond_ascii_is_told_as_clients_send_it(name: str, written: str) -> None:
    with pytest.raises(InvalidValueError, match=re.escape(f"clients send it as {written}")):
        check_host_pattern(name)


@pytest.mark.parametrize("port", ["8080", "80", "0"])
def test_a_listener_that_is_only_a_port_is_told_its_forms(port: str) -> None:
    with pytest.raises(InvalidValueError, match=f'is only a port: write ":{port}" for every interface'):
        parse_listen(port)


HOSTS = ["", "0.0.0.0", "127.0.0.1", "127.0.0.2", "localhost", "[::]", "[::1]"]


def is_refused(one: str, other: str) -> bool:
    """Listen on a free port of one host, then on the same port of the other."""
    with contextlib.closing(bind(parse_listen(f"{one}:0"), "first")) as first:
        port = first.getsockname()[1]
        try:
            bind(parse_listen(f"{other}:{port}"), "second").close()
        except BindError:
            return True
    return False


@pytest.mark.parametrize("one", HOSTS)
@pytest.mark.parametrize("other", HOSTS)
def test_addresses_overlap_where_the_system_refuses_to_bind_both(one: str, other: str) -> None:
    # The port may be taken by another process on the other host: hardly ever five times in a row.
    refused = all(is_refused(one, other) for _ in range(5))

    assert overlap(parse_listen(f"{other}:1"), parse_listen(f"{one}:1")) is refused


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("unix:/run/a", "unix:/run/a", True),
        ("unix:/run/a", "unix:/run/x/../a", True),
        ("unix:/run/a", "unix:/run/b", False),
        ("unix:/run/a", ":80", False),
        (":0", ":0", False),
        ("a.test:80", "A.test:80", True),
        ("a.test:80", "b.test:80", False),
        ("a.test:80", ":80", True),
        (":80", "a.test:80", True),
        ("[0::1]:80", "[::1]:80", True),
    ],
)
def test_overlaps_that_are_told_without_binding(one: str, other: str, *, expected: bool) -> None:
    assert overlap(parse_listen(one), parse_listen(other)) is expected
