from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.config.source import SourceUrl, names_of, parse_root, paths_of, urls_of


def test_a_url_is_taken_apart() -> None:
    url = SourceUrl.parse("etcd://us%40er:p%3Aw@10.0.0.1:2379,[::1]:2379/gate%20way/?ca=/etc/ca.pem&empty=")

    assert url.scheme == "etcd"
    assert url.hosts == ("10.0.0.1:2379", "[::1]:2379")
    assert url.path == "/gate way/"
    assert (url.username, url.password) == ("us@er", "p:w")
    assert url.options == {"ca": "/etc/ca.pem", "empty": ""}


def test_a_configuration_keeps_its_name_while_links_on_the_way_to_it_are_swapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = []
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
        (tmp_path / "next").symlink_to(release)
        (tmp_path / "next").replace(tmp_path / "current")
        (tmp_path / release / "gateway.yaml").symlink_to(f"../{release}.yaml")
        names.append(names_of([Path("current/gateway.yaml"), parse_root("etcd://h/a")]))

    assert names == [[str(tmp_path / "current" / "gateway.yaml"), "etcd://h/a"]] * 2
    assert names_of([Path("other/../gateway.yaml")]) == [str(tmp_path / "gateway.yaml")]


def test_texts_of_a_url_show_neither_credentials_nor_options() -> None:
    url = SourceUrl.parse("https://user:word@example.com/g.yaml?token=abc&interval=5s")

    for text in (str(url), repr(url), f"{url}"):
        assert "example.com/g.yaml" in text
        assert "word" not in text
        assert "abc" not in text


@pytest.mark.parametrize("other", ["http://u:2@h/p?interval=1s", "http://h/p?token=2&interval=1s"])
def test_new_credentials_are_the_same_source(other: str) -> None:
    url = SourceUrl.parse("http://u:1@h/p?interval=1s&token=1")

    assert SourceUrl.parse(other).identity == url.identity
    assert SourceUrl.parse("http://u:1@h/p?interval=2s").identity != url.identity


@pytest.mark.parametrize("text", ["etcd:/x", "ETCD://x", "://x", "etcd://h/#part"])
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a URL such as"):
        SourceUrl.parse(text)


def test_an_option_that_is_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'a' twice"):
        SourceUrl.parse("http://h/?a=1&a=2")


def test_a_root_is_a_path_unless_it_begins_like_a_url() -> None:
    roots = tuple(parse_root(text) for text in ("gateway.yaml", "/a/b", "etcd://h/x", "c:d"))

    assert paths_of(roots) == (Path("gateway.yaml"), Path("/a/b"), Path("c:d"))
    assert [str(url) for url in urls_of(roots)] == ["etcd://h/x"]


def test_a_root_that_only_begins_like_a_url_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a URL"):
        parse_root("HTTP://x")


@pytest.mark.parametrize("host", ["h:abc", "h:0", "h:65536", "h:", "[::1]:x", "good:1,bad:y"])
def test_a_port_that_there_cannot_be_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"has the port .*: write a number from 1 to 65535"):
        SourceUrl.parse(f"etcd://{host}/gateway")


@pytest.mark.parametrize("host", ["h", "h:1", "[::1]", "[::1]:65535", "a:1,b:2", ""])
def test_a_port_may_be_given(host: str) -> None:
    assert SourceUrl.parse(f"etcd://{host}/gateway").hosts == tuple(filter(None, host.split(",")))
