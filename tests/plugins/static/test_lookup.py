from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_static.config import StaticConfig
from gateway_plugin_static.lookup import WHOLE, Found, FoundDirectory, FoundFile, FoundListing, Lookup, Query

from tests.plugins.static.descriptors import open_below


def look(root: Path, names: tuple[str, ...], *, slash: bool = False, codings: Any = (), **config: Any) -> Found | None:
    lookup = Lookup(StaticConfig(root=str(root), **config))
    found = lookup.find(Query(names, slash, codings))
    if found is not None:
        found.close()
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.html").write_text("index")
    (tmp_path / "empty").mkdir()
    (tmp_path / "about.html").write_text("about")
    (tmp_path / "big").write_bytes(bytes(WHOLE + 1))
    return tmp_path


def test_small_files_are_read_at_once_and_larger_ones_stay_open(root: Path) -> None:
    small, big = look(root, ("about.html",)), look(root, ("big",))

    assert isinstance(small, FoundFile)
    assert isinstance(big, FoundFile)
    assert (small.content, big.content, big.size) == (b"about", None, WHOLE + 1)


def test_a_directory_is_its_index_or_a_redirect_or_nothing(root: Path) -> None:
    index = look(root, ("docs",), slash=True)
    assert isinstance(index, FoundFile)
    assert index.names == ("docs", "index.html")
    assert isinstance(look(root, ("docs",)), FoundDirectory)
    assert look(root, ("empty",)) is None
    assert look(root, ("empty",), slash=True) is None
    assert look(root, ("about.html",), slash=True) is None


def test_a_listing_shows_what_would_be_sent(root: Path) -> None:
    for name in (".env", "x.bak", ".well-known", "shown"):
        (root / "empty" / name).write_text("x")
    (root / "empty" / "in").symlink_to("../about.html")
    (root / "empty" / "out").symlink_to("/etc/passwd")

    plain = look(root, ("empty",), slash=True, listing=True, hide=("*.bak",))
    linked = look(root, ("empty",), slash=True, listing=True, symlinks=True)

    assert isinstance(plain, FoundListing)
    assert {entry.name for entry in plain.entries} == {".well-known", "shown"}
    assert isinstance(linked, FoundListing)
    assert {entry.name for entry in linked.entries} == {".well-known", "shown", "x.bak", "in"}


def test_endings_are_appended_to_what_is_not_there(root: Path) -> None:
    found = look(root, ("about",), extensions=(".htm", ".html"))

    assert isinstance(found, FoundFile)
    assert found.names == ("about.html",)
    assert look(root, ("about",)) is None
    assert look(root, (), extensions=(".html",), index=()) is None


def test_what_is_hidden_is_not_there(root: Path) -> None:
    for names in (("docs",), ("docs", "index.html"), ("about.html",)):
        assert look(root, names, slash=names == ("docs",), hide=("/docs", "about.*")) is None
    assert look(root, ("about",), extensions=(".html",), hide=("*.html",)) is None
    assert look(root, ("docs",), slash=True, hide=("index.html",)) is None


def test_a_variant_that_is_as_new_as_its_file_is_sent(root: Path) -> None:
    file, variant = root / "about.html", root / "about.html.gz"
    variant.write_bytes(b"compressed")
    modified = file.stat().st_mtime

    for age, expected in ((0.9, "gzip"), (0, "gzip"), (10, None)):
        os.utime(file, (modified, int(modified) + 0.9))
        os.utime(variant, (modified, int(modified) + 0.9 - age))
        found = look(root, ("about.html",), codings=("br", "gzip"), precompressed=("br", "gzip"))
        assert isinstance(found, FoundFile)
        assert (found.coding, found.names) == (expected, ("about.html",))


def test_a_variant_without_its_file_and_one_that_is_a_link_are_not_sent(root: Path) -> None:
    (root / "alone.html.gz").write_bytes(b"compressed")
    (root / "about.html.br").symlink_to("/etc/passwd")

    assert look(root, ("alone.html",), codings=("gzip",)) is None
    found = look(root, ("about.html",), codings=("br",))
    assert isinstance(found, FoundFile)
    assert found.coding is None


def test_files_that_the_configuration_names_may_be_away(root: Path) -> None:
    lookup = Lookup(StaticConfig(root=str(root)))
    query = Query((), False)

    assert lookup.file(("none",), query) is None
    assert lookup.file(("docs",), query) is None
    found = lookup.file(("about.html",), query)
    assert found is not None
    found.close()


def test_no_descriptor_is_left_open(root: Path) -> None:
    (root / "about.html.gz").write_bytes(b"compressed")
    for names in (
        (),
        ("docs",),
        ("docs", "index.html"),
        ("big",),
        ("none",),
        ("about.html",),
        ("empty",),
        ("big", "x"),
    ):
        for slash in (False, True):
            look(root, names, slash=slash, listing=True, codings=("gzip",), extensions=(".html",))

    assert open_below(root) == []
