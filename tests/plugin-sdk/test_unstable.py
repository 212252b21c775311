from __future__ import annotations

import pytest
from gateway_plugin_sdk import DocumentFormat, SourceUrl
from gateway_plugin_sdk.unstable import (
    LineSplitter,
    LineTooLongError,
    document_format,
    switch_option,
    with_port,
)
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.binary(max_size=8).filter(lambda line: b"\n" not in line)), st.data())
def test_it_does_not_matter_where_a_stream_is_cut(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(line + b"\n" for line in lines)
    splitter, found = LineSplitter(100), []

    while whole:
        size = data.draw(st.integers(1, len(whole)))
        found += splitter.feed(whole[:size])
        whole = whole[size:]

    assert found == [line for line in lines if line.strip()]


def test_a_line_has_a_limit() -> None:
    splitter = LineSplitter(10)
    assert splitter.feed(b"0123456789\n01234567") == [b"0123456789"]
    splitter.feed(b"89")

    with pytest.raises(LineTooLongError, match="longer than 10 bytes"):
        splitter.feed(b"x")


def test_names_tell_formats() -> None:
    formats = [document_format(name) for name in ("a/routes", "a.yaml", "a.yml", "a.json", "a.toml", "a.pem")]

    assert formats == [DocumentFormat.YAML] * 3 + [DocumentFormat.JSON, DocumentFormat.TOML, None]


def test_options_and_ports_of_urls() -> None:
    url = SourceUrl.parse("etcd://h/x?tls=true&verify=false&odd=yes")

    assert [switch_option(url, name, default=True) for name in ("tls", "verify", "other")] == [True, False, True]
    with pytest.raises(ValueError, match="option odd: 'yes' is neither true nor false"):
        switch_option(url, "odd", default=True)
    assert [with_port(host, 7) for host in ("h", "h:1", "[::1]", "[::1]:1")] == ["h:7", "h:1", "[::1]:7", "[::1]:1"]
