from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_sdk import Request, Response
from gateway_plugin_sdk.testing import PluginHarness
from gateway_plugin_static import Static
from gateway_plugin_static.body import can_read_cached
from gateway_plugin_static.cached import CachedLookup, _system_open
from gateway_plugin_static.config import StaticConfig
from gateway_plugin_static.lookup import WHOLE, FoundFile, Lookup, Query

from tests.plugins.static.descriptors import open_below


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    (root / "docs").mkdir(parents=True)
    (root / "index.html").write_text("home")
    (root / "docs" / "index.html").write_text("docs")
    (root / "docs" / "map.js").write_text("hidden")
    (root / "empty").write_bytes(b"")
    (root / "app.js").write_text("plain script")
    (root / "app.js.br").write_bytes(b"small")
    (root / "old.js").write_text("newer than its variant")
    (root / "old.js.br").write_bytes(b"old")
    os.utime(root / "old.js.br", (1, 1))
    (root / "exact").write_bytes(os.urandom(WHOLE))
    (root / "large").write_bytes(os.urandom(WHOLE + 1))
    (root / "link").symlink_to("app.js")
    (root / "linked").symlink_to("docs")
    os.mkfifo(root / "fifo")
    descriptor = os.open(root / "app.js", os.O_RDONLY)
    is_able = can_read_cached(descriptor) and _system_open() is not None
    os.close(descriptor)
    if not is_able:
        pytest.skip("neither openat2 with RESOLVE_CACHED nor preadv2 with RWF_NOWAIT on this machine")
    return root


def both(root: Path, **config: Any) -> tuple[Lookup, CachedLookup]:
    """Return both look-ups, of which the one in threads has found a file and a name that is away."""
    options = StaticConfig(root=str(root), **config)
    lookup = Lookup(options)
    for names in (("app.js",), ("exact",), ("large",), ("docs", "index.html"), ("app.js.gz",), ("none",)):
        if (found := lookup.find(Query(names, has_slash=False))) is not None:
            found.close()
    return lookup, CachedLookup(options, lookup)


def in_memory(lookup: Lookup, cached: CachedLookup, query: Query) -> Any:
    """Return the parts of the file that is found in memory.

    The kernel refuses to open at once (EAGAIN) where it has to write down that a link was read (one that is as old as
    its last reader, in ticks of the clock), where it has dropped a name, and while a directory is renamed or a file
    system mounted anywhere. So the look-up is done again, behind one of a thread, which does what was missing.
    """
    for _ in range(1000):
        if (found := cached.find(query)) is not None:
            return parts_of(found)
        parts_of(lookup.find(query))
    raise AssertionError(f"{query} is left to a thread each time")


def parts_of(found: Any) -> Any:
    if not isinstance(found, FoundFile):
        return None
    whole = found.content if found.content is not None else found.file.read_now(0, found.size)
    found.close()
    return found.names, found.size, found.modified_ns, found.coding, found.content is None, whole


@pytest.mark.parametrize(
    ("names", "has_slash"),
    [
        (("app.js",), False),
        (("empty",), False),
        (("exact",), False),
        (("large",), False),
        ((), True),
        (("docs",), True),
        (("docs", "index.html"), False),
    ],
)
def test_a_file_in_memory_is_the_one_that_a_thread_finds(root: Path, names: tuple[str, ...], has_slash: bool) -> None:
    lookup, cached = both(root)
    query = Query(names, has_slash)

    expected, found = parts_of(lookup.find(query)), in_memory(lookup, cached, query)

    assert found == expected
    assert open_below(root) == []


@pytest.mark.parametrize(
    ("names", "has_slash"),
    [
        (("none",), False),
        (("docs",), False),
        (("docs", "map.js"), False),
        (("app.js",), True),
        (("link",), False),
        (("linked", "index.html"), False),
        (("linked",), True),
        (("fifo",), False),
        (("docs", "none", "none"), False),
        (("x" * 300,), False),
        ((), False),
    ],
)
@pytest.mark.parametrize("symlinks", [False, True])
def test_everything_else_is_left_to_a_thread(
    root: Path, names: tuple[str, ...], has_slash: bool, symlinks: bool
) -> None:
    cached = both(root, hide=["map.js"], symlinks=symlinks)[1]

    assert cached.find(Query(names, has_slash)) is None
    assert open_below(root) == []


def test_a_variant_is_sent_unless_it_is_older(root: Path) -> None:
    lookup, cached = both(root)

    for name, content, coding in (("app.js", b"small", "br"), ("old.js", b"newer than its variant", None)):
        query = Query((name,), has_slash=False, codings=("br",))
        expected, found = parts_of(lookup.find(query)), in_memory(lookup, cached, query)
        assert found == expected
        assert (found[3], found[5]) == (coding, content)
    assert open_below(root) == []


def test_what_takes_the_place_of_a_file_is_what_is_found_next(root: Path) -> None:
    lookup, cached = both(root)
    query = Query(("app.js",), has_slash=False)
    assert in_memory(lookup, cached, query)[5] == b"plain script"

    (root / "new").write_text("another script")
    (root / "new").rename(root / "app.js")
    assert in_memory(lookup, cached, query)[5] == b"another script"
    (root / "app.js").unlink()
    assert cached.find(query) is None

    (root / "app.js").symlink_to("index.html")
    assert parts_of(lookup.find(query)) is parts_of(cached.find(query)) is None


def test_a_root_that_is_a_link_is_followed_each_time(root: Path) -> None:
    release = root.parent / "release"
    release.mkdir()
    (release / "app.js").write_text("release")
    current = root.parent / "current"
    current.symlink_to(root)
    lookup, cached = both(current)
    query = Query(("app.js",), has_slash=False)
    assert in_memory(lookup, cached, query)[5] == b"plain script"

    (root.parent / "next").symlink_to(release)
    (root.parent / "next").rename(current)

    assert in_memory(lookup, cached, query)[5] == b"release"


def test_nothing_is_opened_before_a_thread_has_seen_the_file_system(root: Path) -> None:
    options = StaticConfig(root=str(root))
    lookup = Lookup(options)
    cached = CachedLookup(options, lookup)
    query = Query(("app.js",), has_slash=False)

    assert cached.find(query) is None
    parts_of(lookup.find(query))

    assert in_memory(lookup, cached, query)[5] == b"plain script"


def test_head_is_for_a_thread(root: Path) -> None:
    assert both(root)[1].find(Query(("app.js",), has_slash=False, is_read=False)) is None


def test_a_request_for_what_is_in_memory_is_responded_to_at_once(root: Path) -> None:
    with PluginHarness(Static, {"root": str(root)}) as harness:
        first = harness.request("GET", "/app.js").response
        for _ in range(1000):  # see in_memory()
            second = harness.plugin.gateway_pre_proxy(Request("GET", "/app.js"))
            if isinstance(second, Response):
                break
            harness.request("GET", "/app.js")

    assert isinstance(second, Response)
    assert (second.status, second.body) == (first.status, first.body) == (200, b"plain script")
    assert list(second.headers.items()) == list(first.headers.items())
