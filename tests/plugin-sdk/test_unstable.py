from __future__ import annotations

from pathlib import Path

import pytest
from gateway_plugin_sdk import DocumentFormat
from gateway_plugin_sdk.unstable import (
    LineSplitter,
    LineTooLongError,
    certificate_configs,
    document_format,
    is_server_url,
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


def test_hosts_without_a_port_get_one() -> None:
    assert [with_port(host, 7) for host in ("h", "h:1", "[::1]", "[::1]:1")] == ["h:7", "h:1", "[::1]:7", "[::1]:1"]


@pytest.mark.parametrize("text", ["http://h", "https://h:1/", "http://[::1]:65535/path", "https://user@h"])
def test_urls_of_servers(text: str) -> None:
    assert is_server_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h:1",
        "ftp://h",
        "http://",
        "http://:80",
        "http://h:abc",
        "http://h:99999",
        "http://h:0",
        "http://h h",
        "http://h?a",
        "http://[::1",
    ],
)
def test_what_is_no_url_of_a_server(text: str) -> None:
    assert not is_server_url(text)


def test_configurations_of_certificates_are_found_once_each(tmp_path: Path) -> None:
    entry = "{certificates: [{name: acme, config: {names: [a.example.com], storage: {directory: /x}}}]}"
    path = tmp_path / "gateway.yaml"
    listen = [f"{{address: ':{port}', tls: {entry}}}" for port in (443, 444)]
    path.write_text(f"listen: [{', '.join(listen)}, {{address: ':80'}}]\nroutes: [{{id: a, path: /, respond: {{}}}}]\n")

    assert [dict(each)["names"] for each in certificate_configs([path], "acme")] == [["a.example.com"]]
    assert certificate_configs([path], "other") == []
